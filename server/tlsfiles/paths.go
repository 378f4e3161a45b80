package tlsfiles

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

const maxFile = 1 << 20 // bytes; the bundle of all public authorities is a fifth of that

// paths are the three files, by Role-1.
type paths [3]string

func (p paths) of(r Role) string { return p[r-1] }

func (p paths) fault(r Role, err error) *FileError { return &FileError{r, p.of(r), err} }

// read returns the content of a file. The mode of the key is checked on the
// opened file, so that it cannot be exchanged between check and use.
func (p paths) read(r Role) ([]byte, *FileError) {
	// O_NONBLOCK: opening a named pipe must not hang a handshake.
	f, err := os.OpenFile(p.of(r), os.O_RDONLY|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, p.fault(r, ErrMissing)
	case err != nil:
		return nil, p.fault(r, unreadable(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, p.fault(r, unreadable(err))
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, p.fault(r, fmt.Errorf("%w: not a regular file", ErrUnreadable))
	case info.Size() > maxFile:
		return nil, p.fault(r, fmt.Errorf("%w: more than %d bytes", ErrFormat, maxFile))
	case r == Key && mode != 0o600 && mode != 0o400:
		return nil, p.fault(r, fmt.Errorf("has mode %04o, %w", mode.Perm(), ErrMode))
	}
	content, err := io.ReadAll(io.LimitReader(f, maxFile))
	if err != nil {
		clear(content)
		return nil, p.fault(r, unreadable(err))
	}
	return content, nil
}

// unreadable keeps the reason and drops the path, which FileError has.
func unreadable(err error) error {
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err
	}
	return fmt.Errorf("%w: %w", ErrUnreadable, err)
}

// stamp is the outside of the three files, to see a change without reading
// them; nil for a file that cannot be looked at.
type stamp [3]fs.FileInfo

func (p paths) stamp() stamp {
	var s stamp
	for i, path := range p {
		if info, err := os.Stat(path); err == nil {
			s[i] = info
		}
	}
	return s
}

func (s stamp) equal(other stamp) bool {
	for i, a := range s {
		b := other[i]
		if a == nil || b == nil {
			if a != b {
				return false
			}
			continue
		}
		// Writers that replace a file within one tick of the file system's
		// clock are told apart by the file's identity.
		if !a.ModTime().Equal(b.ModTime()) || a.Size() != b.Size() || a.Mode() != b.Mode() || !os.SameFile(a, b) {
			return false
		}
	}
	return true
}
