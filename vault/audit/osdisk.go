//go:build unix

package audit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// osDisk is the disk of the operating system.
type osDisk struct{}

func (osDisk) Lock(dir string) (io.Closer, error) {
	err := os.Mkdir(dir, 0o700)
	if err == nil {
		err = osDisk{}.SyncDir(filepath.Dir(dir)) // or a power cut may take the folder with all in it
	}
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, err
	}
	// The lock is on the folder itself, so that there is no file to leave behind.
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, ErrLocked
		}
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	return f, nil // closing gives the lock back
}

func (osDisk) List(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	names := make([]string, len(entries))
	for i, e := range entries {
		names[i] = e.Name()
	}
	return names, nil
}

func (osDisk) Create(path string) (diskFile, error) {
	return openFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

func (osDisk) Open(path string, write bool) (diskFile, error) {
	if write {
		return openFile(path, os.O_RDWR)
	}
	return openFile(path, os.O_RDONLY)
}

func (osDisk) Rename(from, to string) error { return os.Rename(from, to) }

func (osDisk) Remove(path string) error { return os.Remove(path) }

func (osDisk) SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// osFile is an open file of the operating system.
type osFile struct{ *os.File }

func openFile(path string, flags int) (diskFile, error) {
	f, err := os.OpenFile(path, flags, 0o600)
	if err != nil {
		return nil, err
	}
	return osFile{f}, nil
}

func (f osFile) Size() (int64, error) {
	info, err := f.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// fill writes zeros from the end of the file up to size. It takes the place
// of an allocation where the file system knows none.
func (f osFile) fill(size int64) error {
	at, err := f.Size()
	if err != nil {
		return err
	}
	zeros := make([]byte, 1<<16)
	for at < size {
		n, err := f.WriteAt(zeros[:min(int64(len(zeros)), size-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}
