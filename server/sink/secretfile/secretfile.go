// Package secretfile reads the small files that hold a sink's secrets: headers
// of a collector, the key of a webhook's signatures.
//
// A file is regular, has mode 0600 or 0400, and at most MaxSize bytes. It may be
// reached by a symbolic link, since that is how secrets are mounted into
// containers. Errors name the path and the rule, never content.
package secretfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

// MaxSize is the most a file may hold, in bytes.
const MaxSize = 16 << 10

// ErrFile: the file may not be used as it is.
var ErrFile = errors.New("the secret file")

// Read returns the content. ErrFile, wrapping fs.ErrNotExist too when there is
// none.
func Read(path string) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0) // a pipe would hold up the open
	if err != nil {
		return nil, refuse(path, bare(err))
	}
	defer func() { _ = f.Close() }() // nothing was written
	info, err := f.Stat()
	if err != nil {
		return nil, refuse(path, bare(err))
	}
	switch mode := info.Mode(); {
	case !mode.IsRegular():
		return nil, refuse(path, errors.New("is not a regular file"))
	case mode != 0o600 && mode != 0o400:
		return nil, refuse(path, fmt.Errorf("has mode %04o, must have 0600 or 0400", mode.Perm()))
	}
	text, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	switch {
	case err != nil:
		return nil, refuse(path, bare(err))
	case len(text) > MaxSize:
		return nil, refuse(path, fmt.Errorf("has more than %d bytes", MaxSize))
	case len(text) == 0:
		return nil, refuse(path, errors.New("is empty"))
	}
	return text, nil
}

func refuse(path string, why error) error { return fmt.Errorf("%w %s: %w", ErrFile, path, why) }

// bare drops the path, which refuse says.
func bare(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}
