package devca

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// place puts a file at path, whole and durable. The step that makes it visible
// is os.Link, which never replaces a file, or os.Rename, which does.
func place(path string, content []byte, mode fs.FileMode, show func(from, to string) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // made with mode 0600
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.Close())
		if e := os.Remove(f.Name()); !errors.Is(e, fs.ErrNotExist) { // a rename took it away
			err = errors.Join(err, e)
		}
		if err == nil {
			err = syncDir(dir)
		}
	}()
	if err := f.Chmod(mode); err != nil { // whatever the umask says
		return err
	}
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return show(f.Name(), path)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
