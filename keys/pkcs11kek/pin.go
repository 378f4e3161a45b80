//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const maxPIN = 255

// readPIN reads a PIN file after checking that nobody else could have read or
// put it. All checks are of the opened file. The caller clears the PIN.
func readPIN(path string) ([]byte, error) {
	// O_NONBLOCK: opening a named pipe must not hang; regular files ignore it.
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: PIN file %s does not exist", keys.ErrDenied, path)
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%w: PIN file %s must not be a symbolic link", keys.ErrDenied, path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: PIN file %s: %w", keys.ErrDenied, path, err)
	case err != nil:
		return nil, fmt.Errorf("%w: opening PIN file: %w", keys.ErrAway, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: PIN file: %w", keys.ErrAway, err)
	}
	if err := checkPINFile(path, info, os.Geteuid()); err != nil {
		return nil, err
	}
	text := make([]byte, maxPIN+2) // a PIN, a line end, and a byte too many
	n, err := io.ReadFull(f, text)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(text)
		return nil, fmt.Errorf("%w: reading PIN file: %w", keys.ErrAway, err)
	}
	pin := bytes.TrimSuffix(text[:n], []byte("\n"))
	if len(pin) == 0 || len(pin) > maxPIN || bytes.ContainsAny(pin, "\r\n\x00") {
		clear(text)
		return nil, fmt.Errorf("%w: PIN file %s must hold one line of 1 to %d bytes", keys.ErrDenied, path, maxPIN)
	}
	return pin, nil
}

func checkPINFile(path string, info fs.FileInfo, uid int) error {
	owner := -1
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		owner = int(st.Uid)
	}
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: PIN file %s must be a regular file", keys.ErrDenied, path)
	case owner != uid:
		return fmt.Errorf("%w: PIN file %s is owned by user %d, must be owned by user %d", keys.ErrDenied, path, owner, uid)
	case info.Mode() != 0o600 && info.Mode() != 0o400:
		return fmt.Errorf("%w: PIN file %s has mode %04o, must have 0600 or 0400", keys.ErrDenied, path, info.Mode().Perm())
	}
	return nil
}
