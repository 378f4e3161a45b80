package filekek_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
)

// A key whose file is gone is away, one whose file is no longer the service's
// alone is denied, one whose file holds another key is the wrong one; and all is
// well again when the file is.
func TestFileIsLookedAtAgain(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	k, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	aad := []byte("aad")
	blob, err := k.Wrap(t.Context(), []byte("root"), aad)
	if err != nil {
		t.Fatal(err)
	}
	want := func(when string, want error) {
		t.Helper()
		if _, err := k.Unwrap(t.Context(), blob, aad); !errors.Is(err, want) {
			t.Errorf("%s: unwrapping: %v, want %v", when, err, want)
		}
		if _, err := k.Wrap(t.Context(), []byte("root"), aad); !errors.Is(err, want) {
			t.Errorf("%s: wrapping: %v, want %v", when, err, want)
		}
	}
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	want("at first", nil)
	must(os.Rename(path, path+".away"))
	want("file gone", keys.ErrAway)
	must(filekek.Generate(path))
	want("another key in its place", keys.ErrWrongKey)
	must(os.Rename(path+".away", path))
	want("back", nil)
	must(os.Chmod(path, 0o644))
	want("readable by others", keys.ErrDenied)
	must(os.Chmod(path, 0o400))
	want("readable by the owner alone", nil)
	must(os.Symlink(path, path+".link"))
	must(os.Rename(path, path+".real"))
	must(os.Rename(path+".link", path))
	want("a symbolic link in its place", keys.ErrDenied)
}
