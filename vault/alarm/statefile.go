package alarm

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
)

// maxState is the most that a state takes: MaxPrincipals with two full series
// of the highest threshold, and MaxPersons.
const maxState = 1 << 29

// newSuffix names a state file that is not whole yet. One that a crash left
// is written over.
const newSuffix = ".new"

// readState returns the bytes of a state file.
func readState(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	raw, err := io.ReadAll(io.LimitReader(f, maxState+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > maxState {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrState, maxState)
	}
	return raw, nil
}

// writeState replaces the state file. After a crash at any point it is the old
// one or the new one.
func writeState(path string, raw []byte) error {
	temp := path + newSuffix
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	f, err := os.OpenFile(temp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // through no link that somebody left there
	if err != nil {
		return err
	}
	_, err = f.Write(raw)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp, path); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// syncFolder makes a rename last through a power cut.
func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
