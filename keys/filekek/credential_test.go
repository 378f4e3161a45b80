package filekek_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// credentials makes a directory as systemd does, with one credential, and
// tells the process of it.
func credentials(t *testing.T, name string, text []byte) (dir string) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "credentials")
	path := filepath.Join(dir, name)
	if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(path, text, 0o400), os.Chmod(path, 0o400)); err != nil {
		t.Fatal(err)
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	return dir
}

func keyText(t *testing.T) []byte {
	t.Helper()
	text, err := os.ReadFile(generate(t))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func TestCredentialContract(t *testing.T) {
	texts := map[keys.KEK][]byte{}
	open := func(t *testing.T, text []byte) keys.KEK {
		credentials(t, "vault.kek", text)
		k, err := filekek.OpenCredential("vault.kek")
		if err != nil {
			t.Fatal(err)
		}
		texts[k] = text
		return k
	}
	keystest.RunKEK(t, keystest.Harness{
		New:    func(t *testing.T) keys.KEK { return open(t, keyText(t)) },
		Reopen: func(t *testing.T, k keys.KEK) keys.KEK { return open(t, texts[k]) },
	})
}

func TestCredentialRefuses(t *testing.T) {
	chmod := func(mode fs.FileMode) func(*testing.T, string) error {
		return func(_ *testing.T, dir string) error { return os.Chmod(filepath.Join(dir, "kek"), mode) }
	}
	chdir := func(mode fs.FileMode) func(*testing.T, string) error {
		return func(_ *testing.T, dir string) error { return os.Chmod(dir, mode) }
	}
	tests := []struct {
		name   string
		change func(t *testing.T, dir string) error
		ask    string // empty: "kek"
		want   error
		says   string
	}{
		{name: "as systemd makes it"},
		{name: "mode 0440, by an access list", change: chmod(0o440)},
		{name: "directory of mode 0550, by an access list", change: chdir(0o550)},
		{name: "mode 0600", change: chmod(0o600), want: keys.ErrDenied, says: "mode 0600"},
		{name: "mode 0444", change: chmod(0o444), want: keys.ErrDenied, says: "mode 0444"},
		{name: "mode 0460", change: chmod(0o460), want: keys.ErrDenied, says: "mode 0460"},
		{name: "directory of mode 0755", change: chdir(0o755), want: keys.ErrDenied, says: "mode 0755"},
		{name: "directory of mode 0770", change: chdir(0o770), want: keys.ErrDenied, says: "mode 0770"},
		{name: "symbolic link", change: func(_ *testing.T, dir string) error {
			return errors.Join(os.Rename(filepath.Join(dir, "kek"), filepath.Join(dir, "real")), os.Symlink("real", filepath.Join(dir, "kek")))
		}, want: keys.ErrDenied, says: "symbolic link"},
		{name: "another name", ask: "other", want: keys.ErrNoKey, says: "does not exist"},
		{name: "no name", ask: " ", want: keys.ErrUsage, says: "name"},
		{name: "a name that climbs", ask: "..", want: keys.ErrUsage, says: "name"},
		{name: "a path", ask: "../kek", want: keys.ErrUsage, says: "name"},
		{name: "a name of 256", ask: strings.Repeat("k", 256), want: keys.ErrUsage, says: "name"},
		{name: "no systemd", change: func(t *testing.T, _ string) error { t.Setenv("CREDENTIALS_DIRECTORY", ""); return nil }, want: keys.ErrNoKey, says: "systemd"},
		{name: "relative directory", change: func(t *testing.T, _ string) error { t.Setenv("CREDENTIALS_DIRECTORY", "x"); return nil }, want: keys.ErrNoKey, says: "systemd"},
		{name: "no directory", change: func(_ *testing.T, dir string) error { return os.RemoveAll(dir) }, want: keys.ErrNoKey, says: "directory"},
		{name: "not a key", change: func(_ *testing.T, dir string) error {
			path := filepath.Join(dir, "kek")
			return errors.Join(os.Remove(path), os.WriteFile(path, []byte("secret"), 0o400))
		}, want: keys.ErrFormat, says: "credential"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dir := credentials(t, "kek", keyText(t))
			if tt.change != nil {
				if err := tt.change(t, dir); err != nil {
					t.Fatal(err)
				}
			}
			ask := tt.ask
			if ask == "" {
				ask = "kek"
			}
			_, err := filekek.OpenCredential(ask)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "secret")) {
				t.Errorf("%q does not name the rule %q, or shows the text", err, tt.says)
			}
		})
	}
}

func TestCredentialOwner(t *testing.T) {
	dir := credentials(t, "kek", keyText(t))
	file, err := os.Stat(filepath.Join(dir, "kek"))
	if err != nil {
		t.Fatal(err)
	}
	folder, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	// What root owns is good for every user, what another user owns is not.
	root, want := os.Geteuid() == 0, keys.ErrDenied
	if root {
		want = nil
	}
	if err := filekek.CheckCredential("c", file, os.Geteuid()+1); !errors.Is(err, want) {
		t.Errorf("a file of user %d: %v", os.Geteuid(), err)
	}
	if err := filekek.CheckCredentialDir("d", folder, os.Geteuid()+1); !errors.Is(err, want) {
		t.Errorf("a directory of user %d: %v", os.Geteuid(), err)
	}
	if err := filekek.CheckCredential("c", owned{file, 4711}, os.Geteuid()); !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), "owned by user 4711") {
		t.Errorf("another user's file: %v", err)
	}
	if err := filekek.CheckCredentialDir("d", owned{folder, 4711}, os.Geteuid()); !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), "owned by user 4711") {
		t.Errorf("another user's directory: %v", err)
	}
}
