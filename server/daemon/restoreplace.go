package daemon

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A restore works in a folder of its own in the data directory. When everything
// in it is on the disk, a file is put beside it that says so, by one rename:
// from then on the restore has happened, and whoever opens the directory next
// moves the files. Before, nothing has happened.
//
//	restore.tmp/     the restored stores
//	restore.done     {"aside": "before-restore-20260102T150405Z", "old": ["keys.db", …], "restored": ["keys.db", …]}
//
// Moving is renaming, one file after the other: what stood there goes into the
// folder aside, what was restored takes its place. Each step can be repeated.
// The folder aside is for who restored to remove: it holds what was erased
// since the backup was made, and its key until the erasure epoch ends.
const (
	stagingName = "restore.tmp"
	doneName    = "restore.done"
	asidePrefix = "before-restore-"
)

// placed is the content of restore.done.
type placed struct {
	Aside    string   `json:"aside"`
	Old      []string `json:"old"`      // stood there before
	Restored []string `json:"restored"` // take their place
}

// sound tells whether nothing outside the directory is moved.
func (p *placed) sound() bool {
	for _, name := range append(append([]string{p.Aside}, p.Old...), p.Restored...) {
		if name == "" || filepath.Base(name) != name || strings.HasPrefix(name, ".") {
			return false
		}
	}
	return strings.HasPrefix(p.Aside, asidePrefix)
}

// placeRestored says that a restore has happened, and moves its files. fault,
// when not nil, is asked before each step. It returns the folder aside, or
// nothing when nothing stood there.
func placeRestored(dir string, fault func(step string) error) (string, error) {
	p := placed{Aside: asidePrefix + time.Now().UTC().Format("20060102T150405.000Z")}
	var err error
	if p.Old, err = storeFiles(dir); err != nil {
		return "", err
	}
	if p.Restored, err = storeFiles(filepath.Join(dir, stagingName)); err != nil {
		return "", err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return "", err
	}
	if err := syncAll(filepath.Join(dir, stagingName)); err != nil {
		return "", err
	}
	temp, done := filepath.Join(dir, doneName+".tmp"), filepath.Join(dir, doneName)
	if err := writeSynced(temp, text); err != nil {
		return "", err
	}
	if err := ask(fault, "say that it is done"); err != nil {
		return "", err
	}
	if err := os.Rename(temp, done); err != nil {
		return "", err
	}
	if err := syncDir(dir); err != nil {
		return "", err
	}
	return movePlaced(dir, fault)
}

// finishRestore brings a restore to its end that was killed while its files were
// moved, and refuses one that was killed before.
func (n *Node) finishRestore() error {
	if _, err := movePlaced(n.config.Directory, nil); err != nil {
		return fmt.Errorf("finish a restore: %w", err)
	}
	return nil
}

// unfinished refuses a directory in which a restore was begun and not finished.
func (n *Node) unfinished() error {
	for _, name := range []string{doneName, stagingName} {
		there, err := exists(filepath.Join(n.config.Directory, name))
		if err != nil {
			return err
		}
		if there {
			return fmt.Errorf("%w: %s", ErrRestoring, filepath.Join(n.config.Directory, name))
		}
	}
	return nil
}

// movePlaced moves the files of a restore that has happened; without one it
// does nothing.
func movePlaced(dir string, fault func(step string) error) (aside string, err error) {
	done, err := os.Open(filepath.Join(dir, doneName))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	defer done.Close()
	// Two processes must not move at once; the second finds nothing left to do.
	if err := unix.Flock(int(done.Fd()), unix.LOCK_EX); err != nil {
		return "", err
	}
	if there, err := exists(done.Name()); err != nil || !there {
		return "", err
	}
	var p placed
	if err := json.NewDecoder(done).Decode(&p); err != nil || !p.sound() {
		return "", fmt.Errorf("%s cannot be read", done.Name())
	}
	staging, old := filepath.Join(dir, stagingName), filepath.Join(dir, p.Aside)
	if len(p.Old) > 0 {
		if err := os.MkdirAll(old, 0o700); err != nil {
			return "", err
		}
	}
	// All that is old goes before anything takes its place, so a file under an old
	// name that is not aside yet is the old one.
	for _, step := range []struct {
		from, to string
		names    []string
	}{{dir, old, p.Old}, {staging, dir, p.Restored}} {
		for _, name := range step.names {
			if err := move(step.from, step.to, name, step.from == dir, fault); err != nil {
				return "", err
			}
		}
	}
	if err := ask(fault, "clean up"); err != nil {
		return "", err
	}
	if err := errors.Join(syncDir(dir), os.RemoveAll(staging), os.Remove(done.Name()), syncDir(dir)); err != nil {
		return "", err
	}
	if len(p.Old) == 0 {
		return "", nil
	}
	return old, nil
}

// storeFiles lists the files of stores in a folder, those of an index too.
func storeFiles(dir string) ([]string, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".db") && e.Type().IsRegular() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}

// move renames a file, unless an earlier attempt did: then it is gone, or, of
// those that go aside, there already.
func move(from, to, name string, aside bool, fault func(step string) error) error {
	source, target := filepath.Join(from, name), filepath.Join(to, name)
	there, err := exists(source)
	if err != nil || !there {
		return err
	}
	if moved, err := exists(target); err != nil || moved && aside {
		return err
	}
	if err := ask(fault, "move "+name); err != nil {
		return err
	}
	if err := os.Rename(source, target); err != nil {
		return err
	}
	return errors.Join(syncDir(from), syncDir(to))
}

func ask(fault func(string) error, step string) error {
	if fault == nil {
		return nil
	}
	return fault(step)
}

func writeSynced(path string, content []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Sync(), f.Close())
}

// syncAll forces the files of a folder and the folder to the disk.
func syncAll(dir string) error {
	names, err := storeFiles(dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		f, err := os.OpenFile(filepath.Join(dir, name), os.O_RDWR, 0)
		if err != nil {
			return err
		}
		if err := errors.Join(f.Sync(), f.Close()); err != nil {
			return err
		}
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
