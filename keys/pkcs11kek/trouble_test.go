//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// fresh returns a KEK of a new key, and what its token can be troubled by.
func fresh(t *testing.T, cfg pkcs11kek.Config) (*pkcs11kek.KEK, *hooks) {
	t.Helper()
	tok, h := openHooked(t, cfg)
	return newKEK(t, tok, t.Name()), h
}

func newKEK(t testing.TB, tok *pkcs11kek.Token, label string) *pkcs11kek.KEK {
	t.Helper()
	ref := pkcs11kek.KeyRef{Label: label}
	if err := tok.Generate(context.Background(), ref); err != nil {
		t.Fatal(err)
	}
	kek, err := tok.KEK(context.Background(), ref)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func works(t *testing.T, kek keys.KEK) {
	t.Helper()
	blob, err := kek.Wrap(t.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := kek.Unwrap(t.Context(), blob, []byte("aad")); err != nil || string(out) != "plain" {
		t.Fatalf("opened to %d bytes, %v", len(out), err)
	}
}

// What the library really loses is set up again without the caller's notice.
func TestComesBack(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	a := newAdmin(t, cfg)
	tests := []struct {
		name string
		lose func()
	}{
		{"sessions closed", func() { a.check(a.ctx.CloseAllSessions(a.slot)) }},
		// The session stays, and private objects seem not to be there.
		{"logged out", func() { a.do(func(sh pkcs11.SessionHandle) { a.check(a.ctx.Logout(sh)) }) }},
		{"library finalised", func() { a.check(a.ctx.Finalize()) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			tok := open(t, cfg)
			kek := newKEK(t, tok, t.Name())
			epochs, err := tok.Epochs(t.Context(), t.Name())
			if err != nil {
				t.Fatal(err)
			}
			if err := epochs.Create(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			works(t, kek)
			tt.lose()
			// An epoch that is there must not be made anew.
			if err := epochs.Create(t.Context(), 1); !errors.Is(err, keys.ErrExists) {
				t.Errorf("Create: got %v, want ErrExists", err)
			}
			tt.lose()
			works(t, kek)
			tt.lose()
			if err := epochs.Destroy(t.Context(), 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// A token that is really taken away is not one without keys.
func TestTakenAway(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tok := open(t, cfg)
	kek := newKEK(t, tok, t.Name())
	epochs, err := tok.Epochs(t.Context(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := epochs.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	works(t, kek)
	a := newAdmin(t, cfg)
	tokens := filepath.Join(filepath.Dir(os.Getenv("SOFTHSM2_CONF")), "tokens")
	rename := func(from, to string) {
		t.Helper()
		if err := os.Rename(from, to); err != nil {
			t.Fatal(err)
		}
	}
	rename(tokens, tokens+".away")
	for name, call := range map[string]func() error{
		"KEK":     func() error { _, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: t.Name()}); return err },
		"Wrap":    func() error { _, err := kek.Wrap(t.Context(), nil, nil); return err },
		"Create":  func() error { return epochs.Create(t.Context(), 2) },
		"epoch":   func() error { _, err := epochs.Wrap(t.Context(), 1, nil, nil); return err },
		"Destroy": func() error { return epochs.Destroy(t.Context(), 1) },
	} {
		if err := call(); !errors.Is(err, keys.ErrAway) {
			t.Errorf("%s: got %v, want ErrAway", name, err)
		}
	}
	rename(tokens+".away", tokens)
	// SoftHSM looks for tokens only when it is initialised, as in a restart.
	a.check(a.ctx.Finalize())
	works(t, kek)
	if _, err := epochs.Wrap(t.Context(), 1, nil, nil); err != nil {
		t.Error(err)
	}
}

// A session that is lost between two calls of one use is replaced once, and
// only once.
func TestRetriesOnce(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	kek, h := fresh(t, cfg)
	for _, tt := range []struct {
		name  string
		times int32
		want  error
	}{{"lost once", 1, nil}, {"lost twice", 2, keys.ErrAway}} {
		t.Run(tt.name, func(t *testing.T) {
			var left, calls atomic.Int32
			left.Store(tt.times)
			defer h.set(func(function string) error {
				if function == "C_Encrypt" {
					calls.Add(1)
					if left.Add(-1) >= 0 {
						return pkcs11.Error(pkcs11.CKR_SESSION_HANDLE_INVALID)
					}
				}
				return nil
			})()
			if _, err := kek.Wrap(t.Context(), []byte("plain"), nil); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			if calls.Load() != 2 {
				t.Errorf("tried %d times, want 2", calls.Load())
			}
		})
	}
}

// What the library may say of a call, and what is made of it.
func TestAnswers(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	kek, h := fresh(t, cfg)
	blob, err := kek.Wrap(t.Context(), []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		answer pkcs11.Error
		always bool // the probe gets the answer too
		want   error
	}{
		{"general error, key works", pkcs11.CKR_GENERAL_ERROR, false, keys.ErrWrongKey},
		{"general error, key does not work", pkcs11.CKR_GENERAL_ERROR, true, keys.ErrAway},
		{"function failed, key works", pkcs11.CKR_FUNCTION_FAILED, false, keys.ErrWrongKey},
		{"bad bytes", pkcs11.CKR_ENCRYPTED_DATA_INVALID, true, keys.ErrWrongKey},
		{"bad tag by 3.0", 0x42, true, keys.ErrWrongKey},
		{"device memory", pkcs11.CKR_DEVICE_MEMORY, true, keys.ErrAway},
		{"of the vendor", pkcs11.CKR_VENDOR_DEFINED + 7, true, keys.ErrAway},
		{"not permitted", pkcs11.CKR_KEY_FUNCTION_NOT_PERMITTED, true, keys.ErrDenied},
		{"logged out for good", pkcs11.CKR_USER_NOT_LOGGED_IN, true, keys.ErrDenied},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var calls atomic.Int32
			defer h.set(func(function string) error {
				if function == "C_Decrypt" && (calls.Add(1) == 1 || tt.always) {
					return tt.answer
				}
				return nil
			})()
			if out, err := kek.Unwrap(t.Context(), blob, nil); !errors.Is(err, tt.want) || len(out) > 0 {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	works(t, kek)
}

func TestClosed(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tok := open(t, cfg)
	kek := newKEK(t, tok, t.Name())
	other := open(t, cfg)
	for range 2 {
		if err := tok.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := kek.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("got %v, want ErrUsage", err)
	}
	again, err := other.KEK(t.Context(), pkcs11kek.KeyRef{Label: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	works(t, again)
}
