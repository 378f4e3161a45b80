package secretfile_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/sink/secretfile"
)

func TestRead(t *testing.T) {
	const canary = "CANARY-in-a-secret"
	put := func(mode fs.FileMode, text string) func(string) error {
		return func(path string) error {
			return errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chmod(path, mode))
		}
	}
	tests := map[string]struct {
		make func(path string) error
		says string // nothing: it is read
	}{
		"0600": {put(0o600, canary), ""},
		"0400": {put(0o400, canary), ""},
		"through a link": {func(path string) error {
			return errors.Join(put(0o400, canary)(path+".real"), os.Symlink(path+".real", path))
		}, ""},
		"of the greatest size": {put(0o600, strings.Repeat("x", secretfile.MaxSize)), ""},
		"of one byte more":     {put(0o600, strings.Repeat("x", secretfile.MaxSize+1)), "more than"},
		"the group may read":   {put(0o640, canary), "0640"},
		"others may read":      {put(0o604, canary), "0604"},
		"the owner may run":    {put(0o700, canary), "0700"},
		"special bits":         {put(0o600|fs.ModeSetuid, canary), "must have"},
		"through a link to 0644": {func(path string) error {
			return errors.Join(put(0o644, canary)(path+".real"), os.Symlink(path+".real", path))
		}, "0644"},
		"empty":    {put(0o600, ""), "empty"},
		"a folder": {func(path string) error { return os.Mkdir(path, 0o600) }, "regular"},
		"a pipe":   {func(path string) error { return syscall.Mkfifo(path, 0o600) }, "regular"},
		"missing":  {func(string) error { return nil }, "no such file"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "secret")
			if err := test.make(path); err != nil {
				t.Fatal(err)
			}
			text, err := secretfile.Read(path)
			switch {
			case test.says == "" && (err != nil || len(text) == 0):
				t.Errorf("%d bytes, %v", len(text), err)
			case test.says != "" && (!errors.Is(err, secretfile.ErrFile) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), path) || text != nil):
				t.Errorf("%d bytes, err = %v", len(text), err)
			}
			if err != nil && strings.Contains(err.Error(), canary) {
				t.Error("the error holds the secret")
			}
			if (name == "missing") != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("err = %v", err)
			}
		})
	}
}
