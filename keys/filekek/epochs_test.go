package filekek_test

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func newEpochs(t *testing.T) (*filekek.Epochs, string) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "epochs")
	e, err := filekek.CreateEpochs(dir)
	if err != nil {
		t.Fatal(err)
	}
	return e, dir
}

func TestEpochsContract(t *testing.T) {
	dirs := map[keys.EpochKEK]string{}
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New: func(t *testing.T) keys.EpochKEK {
			e, dir := newEpochs(t)
			dirs[e] = dir
			return e
		},
		Reopen: func(t *testing.T, k keys.EpochKEK) keys.EpochKEK {
			e, err := filekek.OpenEpochs(dirs[k])
			if err != nil {
				t.Fatal(err)
			}
			return e
		},
		Faults: keystest.Faults[keys.EpochKEK]{
			Deny: func(t *testing.T, k keys.EpochKEK) func() { return chmod(t, dirs[k], 0o755, 0o700) },
		},
	})
}

// chmod sets a mode and returns what sets the other one.
func chmod(t *testing.T, path string, mode, back fs.FileMode) (restore func()) {
	t.Helper()
	set := func(m fs.FileMode) {
		if err := os.Chmod(path, m); err != nil {
			t.Fatal(err)
		}
	}
	set(mode)
	return func() { set(back) }
}

func TestEpochsDirectory(t *testing.T) {
	e, dir := newEpochs(t)
	if _, err := filekek.CreateEpochs(dir); !errors.Is(err, keys.ErrExists) {
		t.Errorf("CreateEpochs on a directory that is there: %v", err)
	}
	if _, err := filekek.OpenEpochs(dir + ".not"); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("OpenEpochs on nothing: %v", err)
	}
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "epoch-0000000001.key")
	if _, err := filekek.OpenEpochs(path); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("OpenEpochs on a file: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("the key file: %v, want mode 0600", err)
	}
	if err := os.Chmod(path, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Wrap(t.Context(), 1, nil, nil); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("a key file that others can read: %v", err)
	}
}

// A copy of the key file, or one put under another number, opens nothing of
// another epoch.
func TestEpochFileUnderAnotherNumber(t *testing.T) {
	e, dir := newEpochs(t)
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	blob, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(dir, "epoch-0000000001.key"), filepath.Join(dir, "epoch-0000000002.key")); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Unwrap(t.Context(), 2, blob, nil); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
	if _, err := e.Unwrap(t.Context(), 1, blob, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("a lost key: got %v, want ErrNoKey", err)
	}
}

// The bytes are overwritten before the name goes: what still holds the file
// open reads no key.
func TestDestroyOverwrites(t *testing.T) {
	e, dir := newEpochs(t)
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "epoch-0000000001.key")
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	key, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	// A Create that was cut off left another name of the same file, and a part.
	left := filepath.Join(dir, ".epoch-0000000001.key.tmp-1")
	if err := errors.Join(os.Link(path, left), os.Chmod(path, 0o400)); err != nil {
		t.Fatal(err)
	}
	if err := e.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	after, err := io.ReadAll(f)
	if err != nil || bytes.Contains(after, key[len("cloakroom-epoch-kek-v1:"):]) {
		t.Errorf("the destroyed key can still be read through an open file (%v)", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 || !strings.HasSuffix(entries[0].Name(), ".destroyed") {
		t.Errorf("left in the directory: %v, want the tombstone alone", entries)
	}
}

// A Destroy that was cut off after the tombstone is finished by the next, and
// in between the key is refused.
func TestDestroyCutOff(t *testing.T) {
	e, dir := newEpochs(t)
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "epoch-0000000001.destroyed"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := e.Wrap(t.Context(), 1, nil, nil); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("got %v, want ErrDestroyed", err)
	}
	if err := e.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, "epoch-0000000001.key")); !os.IsNotExist(err) {
		t.Errorf("the key file is still there: %v", err)
	}
}

func FuzzUnwrap(f *testing.F) {
	path := filepath.Join(f.TempDir(), "kek")
	if err := filekek.Generate(path); err != nil {
		f.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		f.Fatal(err)
	}
	good, err := kek.Wrap(f.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:5])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, blob []byte) {
		if _, err := kek.Unwrap(t.Context(), blob, []byte("aad")); (err == nil) != bytes.Equal(blob, good) {
			t.Errorf("a blob that Wrap did not make: %v", err)
		}
	})
}
