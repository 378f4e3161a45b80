package filekek

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	kekPrefix   = "cloakroom-kek-v1:"
	epochPrefix = "cloakroom-epoch-kek-v1:"
	maxFileSize = 256
)

// source is where a secret lies, and the rules of files there.
type source struct {
	what string // for errors
	path string
	// check looks at the opened file; uid is the user that the process runs as.
	check func(what, path string, info fs.FileInfo, uid int) error
	max   int // bytes
}

func keyFile(path string) source { return source{"key file", path, checkFile, maxFileSize} }

// read returns the whole file after checking that nobody else could have read
// or put it. All checks are of the opened file, so it cannot be exchanged
// between check and use. The errors name path and rule. The caller clears the
// text.
func (s source) read() (text []byte, err error) {
	// O_NONBLOCK: opening a named pipe must not hang; regular files ignore it.
	f, err := os.OpenFile(s.path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %s %s does not exist", keys.ErrNoKey, s.what, s.path)
	case errors.Is(err, unix.ELOOP):
		return nil, fmt.Errorf("%w: %s %s must not be a symbolic link", keys.ErrDenied, s.what, s.path)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("%w: %s %s: %w", keys.ErrDenied, s.what, s.path, err)
	case err != nil:
		return nil, fmt.Errorf("%w: opening %s: %w", keys.ErrAway, s.what, err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %w", keys.ErrAway, s.what, err)
	}
	if err := s.check(s.what, s.path, info, os.Geteuid()); err != nil {
		return nil, err
	}
	// One buffer, so that no part of the secret is left behind in a smaller one.
	buf := make([]byte, s.max+1)
	n, err := io.ReadFull(f, buf)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		clear(buf)
		return nil, fmt.Errorf("%w: reading %s: %w", keys.ErrAway, s.what, err)
	}
	return buf[:n], nil
}

// readKey reads a key in the text form of this package.
func (s source) readKey(prefix string) (key [keys.SecretSize]byte, err error) {
	text, err := s.read()
	defer clear(text)
	if err != nil {
		return key, err
	}
	err = parseKey(s.what+" "+s.path, prefix, text, &key)
	return key, err
}

func checkFile(what, path string, info fs.FileInfo, uid int) error {
	switch {
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: %s %s must be a regular file", keys.ErrDenied, what, path)
	case owner(info) != uid:
		return fmt.Errorf("%w: %s %s is owned by user %d, must be owned by user %d", keys.ErrDenied, what, path, owner(info), uid)
	case info.Mode() != 0o600 && info.Mode() != 0o400:
		return fmt.Errorf("%w: %s %s has mode %04o, must have 0600 or 0400", keys.ErrDenied, what, path, modeBits(info))
	}
	return nil
}

func checkDir(path string, info fs.FileInfo, uid int) error {
	switch {
	case !info.IsDir():
		return fmt.Errorf("%w: %s must be a directory", keys.ErrDenied, path)
	case owner(info) != uid:
		return fmt.Errorf("%w: directory %s is owned by user %d, must be owned by user %d", keys.ErrDenied, path, owner(info), uid)
	case info.Mode() != fs.ModeDir|0o700:
		return fmt.Errorf("%w: directory %s has mode %04o, must have 0700", keys.ErrDenied, path, modeBits(info))
	}
	return nil
}

// owner returns the user id of a file, or -1 where files have none.
func owner(info fs.FileInfo) int {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(st.Uid)
	}
	return -1
}

// modeBits returns the permission bits as chmod takes them, special bits
// included.
func modeBits(info fs.FileInfo) uint32 {
	m := uint32(info.Mode().Perm())
	for bit, is := range map[uint32]bool{
		0o4000: info.Mode()&fs.ModeSetuid != 0, 0o2000: info.Mode()&fs.ModeSetgid != 0, 0o1000: info.Mode()&fs.ModeSticky != 0,
	} {
		if is {
			m |= bit
		}
	}
	return m
}

// parseKey reads the text of a key; what it is of goes into the errors.
func parseKey(what, prefix string, text []byte, key *[keys.SecretSize]byte) error {
	body, ok := bytes.CutPrefix(bytes.TrimSuffix(text, []byte("\n")), []byte(prefix))
	if !ok {
		return fmt.Errorf("%w: %s does not start with %q", keys.ErrFormat, what, prefix)
	}
	enc := base64.StdEncoding.Strict()
	if want := enc.EncodedLen(keys.SecretSize); len(body) != want {
		return fmt.Errorf("%w: %s has %d characters after %q, want %d", keys.ErrFormat, what, len(body), prefix, want)
	}
	// Decode skips line breaks, so a text of the right length may be short.
	var buf [33]byte
	defer clear(buf[:])
	if n, err := enc.Decode(buf[:], body); err != nil || n != keys.SecretSize {
		return fmt.Errorf("%w: %s does not hold %d bytes in base64", keys.ErrFormat, what, keys.SecretSize)
	}
	copy(key[:], buf[:])
	return nil
}

func formatKey(prefix string, key *[keys.SecretSize]byte) []byte {
	return append(base64.StdEncoding.AppendEncode([]byte(prefix), key[:]), '\n')
}

// writeNew puts a file of mode 0600 at path, durably and whole, or fails with
// an error wrapping fs.ErrExist when there is one already. Until it returns
// nil the file may be there or not, but never in part.
func writeNew(path string, content []byte) (err error) {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	f, err := os.CreateTemp(dir, "."+base+".tmp-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		_ = f.Close()
		if e := os.Remove(f.Name()); err == nil {
			err = e
		}
		if err == nil {
			err = syncDir(dir)
		}
	}()
	if err := f.Chmod(0o600); err != nil { // whatever the umask says
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces a file that is there.
	return os.Link(f.Name(), path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
