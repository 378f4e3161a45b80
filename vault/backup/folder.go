package backup

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	suffix     = ".cloak"
	temporary  = ".tmp-"
	nameLayout = "20060102T150405Z"
)

// A Folder keeps artefacts: <kind>-<UTC time>-<8 digits of the pair>.cloak.
type Folder struct{ path string }

// OpenFolder returns the folder of artefacts at path, which must be there: a
// disk that is not mounted must not pass for an empty folder.
func OpenFolder(path string) (*Folder, error) {
	switch info, err := os.Stat(path); {
	case err != nil:
		return nil, fmt.Errorf("folder of backups: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("%w: %s is not a folder", ErrUsage, path)
	}
	return &Folder{filepath.Clean(path)}, nil
}

// Artefact is a file of a folder.
type Artefact struct {
	Path   string
	Size   int64
	Header Header
	// Err says why the header cannot be read; Header is then empty.
	Err error
}

// Path returns the folder's path.
func (f *Folder) Path() string { return f.path }

// name returns the name of an artefact.
func name(m *Manifest) string {
	return fmt.Sprintf("%s-%s-%s%s", m.Kind, m.Time.UTC().Format(nameLayout), hex.EncodeToString(m.Pair[:4]), suffix)
}

// Write writes an artefact as the function Write does into a new file of mode
// 0600, which has its name when all of it is durable. What an interrupted
// Write left is removed. An error wrapping fs.ErrExist when there is a file of
// that name already.
func (f *Folder) Write(ctx context.Context, kek keys.KEK, m Manifest, dump func(Emit) error) (_ Artefact, _ Manifest, err error) {
	f.sweep()
	path := filepath.Join(f.path, name(&m))
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return Artefact{}, m, fmt.Errorf("backup %s: %w", path, errors.Join(err, fs.ErrExist))
	}
	file, err := f.create(filepath.Base(path))
	if err != nil {
		return Artefact{}, m, fmt.Errorf("backup: %w", err)
	}
	defer func() {
		_ = file.Close()
		if err != nil {
			_ = os.Remove(file.Name()) // the next Write does it
		}
	}()
	w := bufio.NewWriterSize(file, 1<<20)
	header, m, err := Write(ctx, w, kek, m, dump)
	if err != nil {
		return Artefact{}, m, err
	}
	if err := errors.Join(w.Flush(), file.Sync()); err != nil {
		return Artefact{}, m, fmt.Errorf("backup %s: %w", path, err)
	}
	info, err := file.Stat()
	if err != nil {
		return Artefact{}, m, err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return Artefact{}, m, fmt.Errorf("backup: %w", err)
	}
	return Artefact{Path: path, Size: info.Size(), Header: header}, m, syncFolder(f.path)
}

// create makes a temporary file and holds a lock on it, by which sweep knows
// that somebody still writes it.
func (f *Folder) create(name string) (*os.File, error) {
	var tag [8]byte
	_, _ = rand.Read(tag[:])
	path := filepath.Join(f.path, "."+name+temporary+hex.EncodeToString(tag[:]))
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_ = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) // some file systems have none
	return file, file.Chmod(0o600)                            // whatever the umask says
}

// sweep removes temporary files that nobody writes any more.
func (f *Folder) sweep() {
	left, err := filepath.Glob(filepath.Join(f.path, ".*"+suffix+temporary+"*"))
	if err != nil {
		return
	}
	for _, path := range left {
		file, err := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = os.Remove(path)
		}
		_ = file.Close()
	}
}

// List returns the artefacts of the folder, newest first; those whose header
// cannot be read come last. Files of other names, and what is no regular file,
// are not looked at.
func (f *Folder) List() ([]Artefact, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, fmt.Errorf("folder of backups: %w", err)
	}
	var out []Artefact
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) || strings.HasPrefix(e.Name(), ".") || !e.Type().IsRegular() {
			continue
		}
		a := Artefact{Path: filepath.Join(f.path, e.Name())}
		a.Header, a.Size, a.Err = peekFile(a.Path)
		if !errors.Is(a.Err, fs.ErrNotExist) { // removed meanwhile
			out = append(out, a)
		}
	}
	slices.SortStableFunc(out, func(a, b Artefact) int {
		if (a.Err == nil) != (b.Err == nil) {
			return map[bool]int{true: 1, false: -1}[a.Err != nil]
		}
		return b.Header.Time.Compare(a.Header.Time)
	})
	return out, nil
}

func peekFile(path string) (Header, int64, error) {
	file, err := os.Open(path)
	if err != nil {
		return Header{}, 0, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Header{}, 0, err
	}
	h, err := Peek(file)
	return h, info.Size(), err
}

// Remove unlinks artefacts of the folder. It goes on after an error and
// returns all of them; one that is gone already is none.
func (f *Folder) Remove(artefacts ...Artefact) error {
	var errs []error
	for _, a := range artefacts {
		if filepath.Dir(a.Path) != f.path {
			errs = append(errs, fmt.Errorf("%w: %s is not in %s", ErrUsage, a.Path, f.path))
			continue
		}
		if err := os.Remove(a.Path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
	}
	if len(artefacts) > 0 {
		errs = append(errs, syncFolder(f.path))
	}
	return errors.Join(errs...)
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
