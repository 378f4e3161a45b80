package filekek_test

import (
	"io/fs"
	"syscall"
)

// owned is a file's information with another owner.
type owned struct {
	fs.FileInfo
	uid uint32
}

// Sys implements fs.FileInfo.
func (o owned) Sys() any {
	st, ok := o.FileInfo.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	changed := *st
	changed.Uid = o.uid
	return &changed
}
