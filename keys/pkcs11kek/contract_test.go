//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// troubles are what the tests of the contract can do to a token.
type troubles[K comparable] struct {
	hooks map[K]*hooks
	pins  map[K]string
	admin admin
}

func newTroubles[K comparable](t *testing.T, cfg pkcs11kek.Config) troubles[K] {
	return troubles[K]{map[K]*hooks{}, map[K]string{}, newAdmin(t, cfg)}
}

func (tr troubles[K]) faults() keystest.Faults[K] {
	return keystest.Faults[K]{
		// The real library refuses a wrong PIN, once the login is lost.
		Deny: func(t *testing.T, k K) func() {
			write := func(text string) {
				if err := os.WriteFile(tr.pins[k], []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			write("wrong-pin")
			tr.admin.check(tr.admin.ctx.CloseAllSessions(tr.admin.slot))
			return func() { write(pin) }
		},
		Away: func(_ *testing.T, k K) func() {
			return tr.hooks[k].set(func(string) error { return pkcs11.Error(pkcs11.CKR_TOKEN_NOT_PRESENT) })
		},
		Slow: func(_ *testing.T, k K) (<-chan struct{}, func()) { return tr.hooks[k].hold() },
	}
}

// token opens a token with a PIN file and hooks of its own.
func token(t *testing.T, cfg pkcs11kek.Config) (*pkcs11kek.Token, *hooks, string) {
	t.Helper()
	cfg.PINFile = filepath.Join(t.TempDir(), "pin")
	if err := os.WriteFile(cfg.PINFile, []byte(pin), 0o600); err != nil {
		t.Fatal(err)
	}
	tok, h := openHooked(t, cfg)
	return tok, h, cfg.PINFile
}

func TestContract(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	var names counter
	labels := map[keys.KEK]string{}
	tr := newTroubles[keys.KEK](t, cfg)
	client := func(t *testing.T, label string, fresh bool) keys.KEK {
		tok, h, pinFile := token(t, cfg)
		if fresh {
			if err := tok.Generate(t.Context(), pkcs11kek.KeyRef{Label: label}); err != nil {
				t.Fatal(err)
			}
		}
		kek, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: label})
		if err != nil {
			t.Fatal(err)
		}
		labels[kek], tr.hooks[kek], tr.pins[kek] = label, h, pinFile
		return kek
	}
	keystest.RunKEK(t, keystest.Harness{
		New:    func(t *testing.T) keys.KEK { return client(t, names.next(t), true) },
		Reopen: func(t *testing.T, k keys.KEK) keys.KEK { return client(t, labels[k], false) },
		Faults: tr.faults(),
	})
}

func TestEpochsContract(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	var names counter
	prefixes := map[keys.EpochKEK]string{}
	tr := newTroubles[keys.EpochKEK](t, cfg)
	client := func(t *testing.T, prefix string) keys.EpochKEK {
		tok, h, pinFile := token(t, cfg)
		e, err := tok.Epochs(t.Context(), prefix)
		if err != nil {
			t.Fatal(err)
		}
		prefixes[e], tr.hooks[e], tr.pins[e] = prefix, h, pinFile
		return e
	}
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New:    func(t *testing.T) keys.EpochKEK { return client(t, names.next(t)) },
		Reopen: func(t *testing.T, k keys.EpochKEK) keys.EpochKEK { return client(t, prefixes[k]) },
		Faults: tr.faults(),
	})
}
