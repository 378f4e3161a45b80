package filekek_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
)

func TestCheckPassphraseFile(t *testing.T) {
	dir := t.TempDir()
	file, key := filepath.Join(dir, "pass.kek"), filepath.Join(dir, "kek.key")
	phrase := func(context.Context) ([]byte, error) { return []byte("correct horse battery"), nil }
	if err := errors.Join(filekek.GeneratePassphrase(t.Context(), file, phrase), filekek.Generate(key)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{file: nil, key: keys.ErrFormat, filepath.Join(dir, "none"): keys.ErrNoKey} {
		if err := filekek.CheckPassphraseFile(path); !errors.Is(err, want) {
			t.Errorf("%s: err = %v, want %v", filepath.Base(path), err, want)
		}
	}
}
