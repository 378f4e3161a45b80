package audit

import (
	"errors"
	"io"
	"path/filepath"
)

// disk is what a FileLog asks of the operating system. It is an interface so
// that tests can fail each call and cut the power between any two. Paths are
// whole paths.
type disk interface {
	// Lock makes the folder if it is not there and takes it for this process
	// alone, until the result is closed. It returns ErrLocked when another holds
	// it.
	Lock(dir string) (io.Closer, error)
	// List returns the names in a folder, in any order.
	List(dir string) ([]string, error)
	// Create makes an empty file, or empties one that is there.
	Create(path string) (diskFile, error)
	// Open opens a file for reading, and for writing if write is set.
	Open(path string, write bool) (diskFile, error)
	// Rename gives a file another name, in place of what had that name.
	Rename(from, to string) error
	// Remove removes a file.
	Remove(path string) error
	// SyncDir makes the names in a folder durable.
	SyncDir(dir string) error
}

// diskFile is one open file.
type diskFile interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size returns the length in bytes.
	Size() (int64, error)
	// Allocate makes the file size bytes long, reserves the room on the disk,
	// and leaves zeros where nothing was written. The file is not longer before.
	Allocate(size int64) error
	// Sync makes content and length durable.
	Sync() error
}

// replace gives a small file its content: the name holds the old one or the
// new, whole, and the new one durably when replace returns nil.
func replace(d disk, name string, content []byte) error {
	file, err := d.Create(name + newSuffix)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(content, 0)
	if err == nil {
		err = file.Sync()
	}
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := d.Rename(name+newSuffix, name); err != nil {
		return err
	}
	return d.SyncDir(filepath.Dir(name))
}
