package filekek

import (
	"crypto/rand"
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// overwrite fills a file in place with random bytes and forces them to the
// disk. The package comment says what that is worth. A symbolic link is not
// followed: it holds no key, and removing it is enough.
func overwrite(path string) (err error) {
	// The owner may have set 0400, which would refuse to be written.
	if info, err := os.Lstat(path); err != nil {
		return err
	} else if !info.Mode().IsRegular() {
		return nil
	}
	if err := os.Chmod(path, 0o600); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|unix.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	noise := make([]byte, max(info.Size(), maxFileSize))
	_, _ = rand.Read(noise)
	if _, err := f.WriteAt(noise, 0); err != nil {
		return err
	}
	return f.Sync()
}
