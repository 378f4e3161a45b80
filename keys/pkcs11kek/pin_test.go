//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/miekg/pkcs11"
	"golang.org/x/sys/unix"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

func TestPINFile(t *testing.T) {
	cfg, ok := config(t, pinToken)
	if !ok {
		return
	}
	write := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o600) }
	}
	chmod := func(mode fs.FileMode) func(string) error {
		return func(path string) error { return os.Chmod(path, mode) }
	}
	tests := []struct {
		name   string
		change func(path string) error
		want   error
		says   string
	}{
		{"good", chmod(0o600), nil, ""},
		{"mode 0400", chmod(0o400), nil, ""},
		{"line end", write(pin + "\n"), nil, ""},
		{"missing", os.Remove, keys.ErrDenied, "does not exist"},
		{"mode 0640", chmod(0o640), keys.ErrDenied, "mode 0640"},
		{"mode 0604", chmod(0o604), keys.ErrDenied, "mode 0604"},
		{"symbolic link", func(p string) error {
			return errors.Join(os.Rename(p, p+".real"), os.Symlink(p+".real", p))
		}, keys.ErrDenied, "symbolic link"},
		{"directory", func(p string) error { return errors.Join(os.Remove(p), os.Mkdir(p, 0o600)) }, keys.ErrDenied, "regular file"},
		{"named pipe", func(p string) error { return errors.Join(os.Remove(p), unix.Mkfifo(p, 0o600)) }, keys.ErrDenied, "regular file"},
		{"empty", write(""), keys.ErrDenied, "one line"},
		{"two lines", write(pin + "\n\n"), keys.ErrDenied, "one line"},
		{"line end of Windows", write(pin + "\r\n"), keys.ErrDenied, "one line"},
		{"256 bytes", write(strings.Repeat("1", 256) + "\n"), keys.ErrDenied, "255 bytes"},
		{"very long", write(strings.Repeat("1", 1<<20)), keys.ErrDenied, "255 bytes"},
		{"255 bytes, refused by the token", write(strings.Repeat("1", 255) + "\n"), keys.ErrDenied, "CKR_PIN"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := cfg
			cfg.PINFile = filepath.Join(t.TempDir(), "pin")
			if err := errors.Join(os.WriteFile(cfg.PINFile, []byte(pin), 0o600), tt.change(cfg.PINFile)); err != nil {
				t.Fatal(err)
			}
			tok, err := pkcs11kek.Open(t.Context(), cfg)
			if err == nil {
				defer tok.Close()
			}
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), pin)) {
				t.Errorf("%q does not say %q, or shows the PIN", err, tt.says)
			}
		})
	}
}

func TestPINFileOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(path, []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := pkcs11kek.CheckPINFile(path, info, os.Geteuid()); err != nil {
		t.Error(err)
	}
	if err := pkcs11kek.CheckPINFile(path, info, os.Geteuid()+1); !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), "owned by") {
		t.Errorf("another user's file: %v", err)
	}
}

// A wrong PIN is tried once, whatever is asked and however often.
func TestWrongPINOnce(t *testing.T) {
	cfg, ok := config(t, pinToken)
	if !ok {
		return
	}
	tok, h, pinFile := token(t, cfg)
	kek := newKEK(t, tok, t.Name())
	a := newAdmin(t, cfg)
	var logins atomic.Int32
	h.set(func(function string) error {
		if function == "C_Login" {
			logins.Add(1)
		}
		return nil
	})
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(pinFile, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("wrong")
	a.check(a.ctx.CloseAllSessions(a.slot))
	for range 3 {
		if _, err := kek.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrDenied) {
			t.Fatalf("got %v, want ErrDenied", err)
		} else if strings.Contains(err.Error(), "wrong\"") || strings.Contains(err.Error(), pin) {
			t.Errorf("the error shows a PIN: %v", err)
		}
	}
	if logins.Load() != 1 {
		t.Errorf("a wrong PIN was tried %d times, want once", logins.Load())
	}
	write("wrong too")
	for range 2 {
		_, _ = kek.Wrap(t.Context(), nil, nil)
	}
	if logins.Load() != 2 {
		t.Errorf("after another wrong PIN %d tries, want 2", logins.Load())
	}
	write(pin)
	works(t, kek)
	if logins.Load() != 3 {
		t.Errorf("%d logins, want 3: one for each PIN", logins.Load())
	}
}

// A login that could lock the token is not tried.
func TestLockedPIN(t *testing.T) {
	cfg, ok := config(t, pinToken)
	if !ok {
		return
	}
	tests := []struct {
		name string
		flag pkcs11kek.TokenFlags
		says string
	}{
		{"locked", pkcs11.CKF_USER_PIN_LOCKED, "locked"},
		{"one try left", pkcs11.CKF_USER_PIN_FINAL_TRY, "by hand"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := pkcs11kek.OpenHooked(t.Context(), cfg, func(function string) error {
				switch function {
				case "C_GetTokenInfo":
					return tt.flag
				case "C_Login":
					t.Error("a login was tried")
				}
				return nil
			})
			if !errors.Is(err, keys.ErrDenied) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("got %v, want ErrDenied that says %q", err, tt.says)
			}
		})
	}
}
