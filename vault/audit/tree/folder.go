package tree

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// VerifierKeyName is the file that holds the verifier key.
const VerifierKeyName = "vkey"

const (
	checkpointName = "checkpoint"
	newSuffix      = ".new"
)

// folder is the folder of a tree. Paths are relative and have slashes.
type folder string

func (d folder) at(path string) string { return filepath.Join(string(d), filepath.FromSlash(path)) }

// tile reads a tile. One that is not there is a *TileError.
func (d folder) tile(t tile) ([]byte, error) {
	data, err := os.ReadFile(d.at(t.path()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &TileError{t.path(), "is missing"}
	}
	return data, err
}

// read reads a tile into the memory of buf, or more if it needs it.
func (d folder) read(t tile, buf []byte) (_ []byte, err error) {
	f, err := os.Open(d.at(t.path()))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &TileError{t.path(), "is missing"}
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it is only read
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	buf = slices.Grow(buf[:0], int(info.Size()))[:info.Size()]
	_, err = io.ReadFull(f, buf)
	return buf, err
}

// optional reads a file; one that is not there gives nil.
func (d folder) optional(path string) ([]byte, error) {
	data, err := os.ReadFile(d.at(path))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// put writes a file so that its name holds the old content or the new, whole
// and durable. The name itself becomes durable by sync. A file that has the
// content already is left alone.
func (d folder) put(path string, data []byte, touched map[string]bool) (err error) {
	name := d.at(path)
	touched[filepath.Dir(name)] = true // also if left alone: its name may not be durable yet
	if have, err := os.ReadFile(name); err == nil && bytes.Equal(have, data) {
		return nil
	}
	if err := d.makeDirs(filepath.Dir(name), touched); err != nil {
		return err
	}
	f, err := os.OpenFile(name+newSuffix, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(name + newSuffix) // the room it takes may be what is missing
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return os.Rename(name+newSuffix, name)
}

// makeDirs makes a folder and those above it, and notes what must be synced
// for their names to last.
func (d folder) makeDirs(dir string, touched map[string]bool) error {
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if dir != string(d) {
		if err := d.makeDirs(filepath.Dir(dir), touched); err != nil {
			return err
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	touched[filepath.Dir(dir)] = true
	return nil
}

// sync makes the names in the touched folders durable and forgets the
// folders.
func (d folder) sync(touched map[string]bool) error {
	for dir := range touched {
		f, err := os.Open(dir)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return fmt.Errorf("sync a folder of the tree: %w", err)
		}
		delete(touched, dir)
	}
	return nil
}

// replace writes one file and makes its name durable.
func (d folder) replace(path string, data []byte) error {
	touched := map[string]bool{}
	if err := d.put(path, data, touched); err != nil {
		return err
	}
	return d.sync(touched)
}

// drop removes a partial tile, and its folder when that is empty. A tile that
// stays by an error is removed by the next sweep.
func (d folder) drop(t tile) {
	name := d.at(t.path())
	_ = os.Remove(name)
	_ = os.Remove(filepath.Dir(name)) // fails while others are in it
}

// sweep removes unfinished files, and every partial tile that a tree of the
// given size has no use for.
func (d folder) sweep(size uint64) error {
	keep := map[string]bool{}
	for _, t := range partials(size) {
		keep[d.at(t.path())] = true
	}
	err := filepath.WalkDir(string(d), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		dir := filepath.Dir(path)
		partial := strings.HasSuffix(dir, ".p") && !keep[path]
		if !partial && !strings.HasSuffix(path, newSuffix) {
			return nil
		}
		if err := os.Remove(path); err != nil { //nolint:gosec // the folder is the daemon's own, mode 0700
			return err
		}
		if partial {
			_ = os.Remove(dir) //nolint:gosec // see above
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // a folder that was emptied on the way
	}
	return err
}
