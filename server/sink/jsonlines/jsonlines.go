// Package jsonlines is a sink of the audit log that appends to a file: one
// JSON object a line.
//
// # What is claimed
//
//   - A batch is safe when it is on the disk: it is written and fsynced before
//     the sink's cursor moves.
//   - Every line is whole. What an interrupted write left at the end, a line
//     without its end, is cut off when the file is opened and written again. A
//     write that fails is taken back.
//   - Lines are doubled only by a crash between the fsync and the cursor, and
//     then have the same index and id.
//   - The file is made with mode 0600. One that is there keeps its mode, which
//     may let the group read, for a program that ships it, and nothing more. It
//     is refused when it is a symbolic link or no regular file.
//
// # Rotation
//
// Before each batch the path is looked at: when another file or none stands
// there, the present one is closed and the path opened anew. So a rotation by
// renaming (logrotate's default, with "delaycompress", since a batch that is
// being written ends in the old file) needs no signal. Rotation by copying and
// cutting (logrotate's "copytruncate") loses lines between its two steps and
// is not for this file.
//
// # What is not
//
// The file stands on a disk of this node until something ships it: who can
// write there can change it. The vault's own log has a Merkle tree for that.
package jsonlines

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/cloakroom-vault/cloakroom/server/sink"
)

// ErrFile: what stands at the path may not be used.
var ErrFile = errors.New("jsonlines: the file")

// Target appends to one file. Use Open.
type Target struct {
	path string
	file file // nil until the next Deliver opens it
	buf  []byte
}

var _ sink.Target = (*Target)(nil)

// file is what a Target asks of an open file; tests let it fail.
type file interface {
	io.ReaderAt
	io.WriteCloser
	Stat() (fs.FileInfo, error)
	Truncate(size int64) error
	Sync() error
}

// Open opens or makes the file, whose folder must exist, and cuts off an
// unfinished line at its end. ErrFile, and errors of the disk.
func Open(path string) (*Target, error) {
	t := &Target{path: path}
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *Target) open() error {
	f, err := os.OpenFile(t.path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0o600)
	if errors.Is(err, syscall.ELOOP) {
		return fmt.Errorf("%w %s: a symbolic link", ErrFile, t.path)
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	if err := t.adopt(f); err != nil {
		return errors.Join(err, f.Close())
	}
	t.file = f
	return nil
}

// adopt checks an opened file, makes its name durable and cuts it after its
// last whole line.
func (t *Target) adopt(f file) error {
	info, err := f.Stat()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	if err := allowed(t.path, info); err != nil {
		return err
	}
	end, err := wholeLines(f, info.Size())
	if err == nil && end < info.Size() {
		if err = f.Truncate(end); err == nil {
			err = f.Sync()
		}
	}
	if err == nil && info.Size() == 0 { // it may be new
		err = syncDir(filepath.Dir(t.path))
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

// Check reports whether Open would take what stands at the path now, which may
// be nothing. ErrFile.
func Check(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return allowed(path, info)
}

func allowed(path string, info fs.FileInfo) error {
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return fmt.Errorf("%w %s: not a regular file", ErrFile, path)
	case mode.Perm()&0o037 != 0:
		return fmt.Errorf("%w %s: mode %04o; only its owner may write it, and others may not read it", ErrFile, path, mode.Perm())
	}
	return nil
}

// wholeLines returns the length of f up to its last line break.
func wholeLines(f io.ReaderAt, size int64) (int64, error) {
	buf := make([]byte, 64<<10)
	for size > 0 {
		part := buf[:min(size, int64(len(buf)))]
		if _, err := f.ReadAt(part, size-int64(len(part))); err != nil {
			return 0, err
		}
		for i := len(part) - 1; i >= 0; i-- {
			if part[i] == '\n' {
				return size - int64(len(part)) + int64(i) + 1, nil
			}
		}
		size -= int64(len(part))
	}
	return 0, nil
}

// Deliver implements sink.Target.
func (t *Target) Deliver(_ context.Context, batch []sink.Entry) error {
	if err := t.follow(); err != nil {
		return err
	}
	t.buf = t.buf[:0]
	for _, e := range batch {
		t.buf = append(append(t.buf, e.JSON...), '\n')
	}
	before, err := t.file.Stat()
	if err == nil {
		err = t.write(t.buf, before.Size())
	}
	if err != nil {
		_ = t.Close() // the next Deliver opens the path anew, and looks at its end
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

// write makes text durable at the end of the file, which is at size, or takes
// it back.
func (t *Target) write(text []byte, size int64) error {
	_, err := t.file.Write(text)
	if err == nil {
		// After a failed fsync nobody knows what is on the disk, so the whole batch
		// is taken back and written again.
		err = t.file.Sync()
	}
	if err == nil {
		return nil
	}
	if now, e := t.file.Stat(); e == nil && now.Size() > size {
		err = errors.Join(err, t.file.Truncate(size))
	}
	return err
}

// follow opens the path anew when it was rotated away.
func (t *Target) follow() error {
	if t.file == nil {
		return t.open()
	}
	there, err := os.Lstat(t.path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	mine, e := t.file.Stat()
	if e != nil {
		return fmt.Errorf("%w: %w", ErrFile, e)
	}
	if err == nil && os.SameFile(there, mine) {
		return nil
	}
	if err := t.Close(); err != nil {
		return err
	}
	return t.open()
}

// Close implements sink.Target.
func (t *Target) Close() error {
	if t.file == nil {
		return nil
	}
	f := t.file
	t.file = nil
	if err := f.Close(); err != nil {
		return fmt.Errorf("%w: %w", ErrFile, err)
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
