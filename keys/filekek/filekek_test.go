package filekek_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func generate(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestContract(t *testing.T) {
	paths := map[keys.KEK]string{}
	open := func(t *testing.T, path string) keys.KEK {
		kek, err := filekek.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		paths[kek] = path
		return kek
	}
	keystest.RunKEK(t, keystest.Harness{
		New:    func(t *testing.T) keys.KEK { return open(t, generate(t)) },
		Reopen: func(t *testing.T, k keys.KEK) keys.KEK { return open(t, paths[k]) },
	})
}

func TestGenerate(t *testing.T) {
	old := unix.Umask(0o277)
	defer unix.Umask(old)
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "kek")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v, want 0600 whatever the umask", info.Mode(), err)
	}
	if err := filekek.Generate(path); !errors.Is(err, keys.ErrExists) {
		t.Errorf("a second Generate: %v, want ErrExists", err)
	}
	after, err := os.ReadFile(path)
	if err != nil || !bytes.Equal(before, after) {
		t.Error("a second Generate changed the file")
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("%d files, want the key alone", len(entries))
	}
}

func TestOpenRefuses(t *testing.T) {
	body := strings.Repeat("A", 43) + "="
	write := func(text string) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	chmod := func(mode fs.FileMode) func(*testing.T, string) {
		return func(t *testing.T, path string) {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
	tests := []struct {
		name   string
		change func(t *testing.T, path string)
		want   error
		says   string
	}{
		{"as generated", func(*testing.T, string) {}, nil, ""},
		{"mode 0400", chmod(0o400), nil, ""},
		{"no line end", write("cloakroom-kek-v1:" + body), nil, ""},
		{"missing", func(t *testing.T, p string) { _ = os.Remove(p) }, keys.ErrNoKey, "does not exist"},
		{"mode 0640", chmod(0o640), keys.ErrDenied, "mode 0640"},
		{"mode 0604", chmod(0o604), keys.ErrDenied, "mode 0604"},
		{"mode 0700", chmod(0o700), keys.ErrDenied, "mode 0700"},
		{"mode 4600", chmod(0o600 | fs.ModeSetuid), keys.ErrDenied, "mode 4600"},
		{"symbolic link", func(t *testing.T, p string) {
			if err := errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p)); err != nil {
				t.Fatal(err)
			}
		}, keys.ErrDenied, "symbolic link"},
		{"directory", func(t *testing.T, p string) {
			if err := errors.Join(os.Remove(p), os.Mkdir(p, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, keys.ErrDenied, "regular file"},
		{"named pipe", func(t *testing.T, p string) {
			if err := errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)); err != nil {
				t.Fatal(err)
			}
		}, keys.ErrDenied, "regular file"},
		{"empty", write(""), keys.ErrFormat, "does not start with"},
		{"raw bytes", write(strings.Repeat("\x01", 32)), keys.ErrFormat, "does not start with"},
		{"an epoch's file", write("cloakroom-epoch-kek-v1:" + body), keys.ErrFormat, "does not start with"},
		{"short", write("cloakroom-kek-v1:" + body[4:]), keys.ErrFormat, "40 characters"},
		{"long", write("cloakroom-kek-v1:" + body + body), keys.ErrFormat, "88 characters"},
		{"two lines", write("cloakroom-kek-v1:" + body + "\n\n"), keys.ErrFormat, "45 characters"},
		{"very long", write("cloakroom-kek-v1:" + strings.Repeat("A", 1<<20)), keys.ErrFormat, "characters"},
		{"not base64", write("cloakroom-kek-v1:" + "*" + body[1:]), keys.ErrFormat, "base64"},
		{"33 bytes", write("cloakroom-kek-v1:" + strings.Repeat("A", 44)), keys.ErrFormat, "32 bytes"},
		{"line break inside", write("cloakroom-kek-v1:" + strings.Repeat("A", 39) + "\n" + "AAA="), keys.ErrFormat, "base64"},
		{"loose end bits", write("cloakroom-kek-v1:" + strings.Repeat("A", 42) + "B="), keys.ErrFormat, "base64"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := generate(t)
			tt.change(t, path)
			_, err := filekek.Open(path)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path)) {
				t.Errorf("%q does not name the path and %q", err, tt.says)
			}
		})
	}
}

func TestOwner(t *testing.T) {
	path := generate(t)
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := filekek.CheckFile(path, info, os.Geteuid()); err != nil {
		t.Error(err)
	}
	if err := filekek.CheckFile(path, info, os.Geteuid()+1); !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), "owned by") {
		t.Errorf("another user's file: %v", err)
	}
	if info, err = os.Stat(filepath.Dir(path)); err != nil {
		t.Fatal(err)
	}
	if err := filekek.CheckDir("d", info, os.Geteuid()+1); !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), "owned by") {
		t.Errorf("another user's directory: %v", err)
	}
}

func TestWrongKeyNamesBoth(t *testing.T) {
	a, err := filekek.Open(generate(t))
	if err != nil {
		t.Fatal(err)
	}
	b, err := filekek.Open(generate(t))
	if err != nil {
		t.Fatal(err)
	}
	blob, err := a.Wrap(t.Context(), []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = b.Unwrap(t.Context(), blob, nil)
	for _, kek := range []*filekek.KEK{a, b} {
		if print := strings.TrimPrefix(kek.Name(), "file/"); err == nil || !strings.Contains(err.Error(), print) {
			t.Errorf("%v does not name the fingerprint %s", err, print)
		}
	}
}
