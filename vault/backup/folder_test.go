package backup_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

func folder(t *testing.T) (*backup.Folder, string) {
	t.Helper()
	dir := t.TempDir()
	f, err := backup.OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	return f, dir
}

func names(t *testing.T, dir string) (out []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func TestFolderWritesAWholeFileOrNone(t *testing.T) {
	f, dir := folder(t)
	defer unix.Umask(unix.Umask(0o277))
	a, m, err := f.Write(t.Context(), kek(), manifest(backup.Values), dump(some(100_000)))
	if err != nil {
		t.Fatal(err)
	}
	if want := filepath.Join(dir, "values-20261122T103000Z-abcdef01.cloak"); a.Path != want {
		t.Errorf("it lies at %s, want %s", a.Path, want)
	}
	info, err := os.Stat(a.Path)
	if err != nil || info.Mode() != 0o600 || info.Size() != a.Size {
		t.Errorf("%v, %v; want 0600 and %d bytes", info.Mode(), err, a.Size)
	}
	b, err := os.ReadFile(a.Path)
	if err != nil {
		t.Fatal(err)
	}
	if got, rows, err := read(t, kek(), b); err != nil || len(rows) == 0 || got.Tables[0].Rows != m.Tables[0].Rows {
		t.Errorf("%d rows, %v", len(rows), err)
	}
	if _, _, err := f.Write(t.Context(), kek(), manifest(backup.Values), dump(nil)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over a file that is there: %v", err)
	}
	broken := errors.New("it broke")
	for _, kind := range []backup.Kind{backup.Keys} {
		if _, _, err := f.Write(t.Context(), kek(), manifest(kind), func(emit backup.Emit) error {
			_ = dump(some(3_000_000))(emit)
			return broken
		}); !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
	}
	away := keystest.NewKEK()
	away.Fail(keys.ErrAway)
	if _, _, err := f.Write(t.Context(), away, manifest(backup.Keys), dump(nil)); !errors.Is(err, keys.ErrAway) {
		t.Errorf("got %v", err)
	}
	if got := names(t, dir); len(got) != 1 {
		t.Errorf("the folder holds %q", got)
	}
	if again, err := os.ReadFile(a.Path); err != nil || !slices.Equal(again, b) {
		t.Error("the first artefact changed", err)
	}
}

// What a process that died has left goes; what another one still writes stays.
func TestFolderSweeps(t *testing.T) {
	f, dir := folder(t)
	stale, busy := filepath.Join(dir, ".values-x.cloak.tmp-0011"), filepath.Join(dir, ".values-x.cloak.tmp-0022")
	for _, path := range []string{stale, busy, filepath.Join(dir, ".other"), filepath.Join(dir, "notes.txt")} {
		if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writing, err := os.Open(busy)
	if err != nil {
		t.Fatal(err)
	}
	defer writing.Close()
	if err := unix.Flock(int(writing.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, _, err := f.Write(t.Context(), kek(), manifest(backup.Values), dump(nil)); err != nil {
		t.Fatal(err)
	}
	got := names(t, dir)
	if slices.Contains(got, filepath.Base(stale)) || !slices.Contains(got, filepath.Base(busy)) || len(got) != 4 {
		t.Errorf("the folder holds %q", got)
	}
}

func TestFolderLists(t *testing.T) {
	f, dir := folder(t)
	var want []string
	for i, kind := range []backup.Kind{backup.Keys, backup.Values, backup.Values} {
		m := manifest(kind)
		m.Time, m.Pair[0] = made.Add(time.Duration(i)*time.Hour), byte(i)
		a, _, err := f.Write(t.Context(), kek(), m, dump(nil))
		if err != nil {
			t.Fatal(err)
		}
		want = append([]string{a.Path}, want...)
	}
	bad := filepath.Join(dir, "keys-bad.cloak")
	if err := errors.Join(
		os.WriteFile(bad, []byte("no artefact"), 0o600),
		os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600),
		os.Mkdir(filepath.Join(dir, "folder.cloak"), 0o700),
		unix.Mkfifo(filepath.Join(dir, "pipe.cloak"), 0o600),
	); err != nil {
		t.Fatal(err)
	}
	list, err := f.List()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, a := range list {
		got = append(got, a.Path)
	}
	if !slices.Equal(got, append(want, bad)) {
		t.Errorf("got %q, want %q", got, append(want, bad))
	}
	if last := list[len(list)-1]; !errors.Is(last.Err, backup.ErrFormat) || list[0].Err != nil || list[0].Size == 0 {
		t.Errorf("%v, %+v", last.Err, list[0])
	}
	elsewhere := backup.Artefact{Path: filepath.Join(t.TempDir(), "x.cloak")}
	if err := f.Remove(list[0], elsewhere, list[0]); !errors.Is(err, backup.ErrUsage) {
		t.Errorf("removing a file of another folder: %v", err)
	}
	if left, err := f.List(); err != nil || len(left) != len(list)-1 {
		t.Errorf("%d artefacts are left, %v", len(left), err)
	}
}

func TestOpenFolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := backup.OpenFolder(file + "-none"); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file+"-none") {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := backup.OpenFolder(file); !errors.Is(err, backup.ErrUsage) {
		t.Errorf("a file: %v", err)
	}
}
