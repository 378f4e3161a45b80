//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"bytes"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// newEpochs returns epochs of a prefix of their own, with epoch 1 and a blob of
// it.
func newEpochs(t *testing.T, cfg pkcs11kek.Config) (e *pkcs11kek.Epochs, h *hooks, blob []byte) {
	t.Helper()
	tok, h := openHooked(t, cfg)
	e, err := tok.Epochs(t.Context(), t.Name()+"/")
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	blob, err = e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return e, h, blob
}

// once answers the first call of a function, and lets the others pass.
func once(function string, answer error) pkcs11kek.Hook {
	var called atomic.Bool
	return func(f string) error {
		if f == function && called.CompareAndSwap(false, true) {
			return answer
		}
		return nil
	}
}

func TestDestroyLeavesATombstone(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	e, _, _ := newEpochs(t, cfg)
	a := newAdmin(t, cfg)
	label := t.Name() + "/epoch-0000000001"
	if len(a.find(label)) != 1 || len(a.find(label+".destroyed")) != 0 {
		t.Fatal("want a key and no tombstone before")
	}
	if err := e.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := len(a.find(label)); n != 0 {
		t.Errorf("the token still has %d keys of the epoch", n)
	}
	tomb := a.find(label + ".destroyed")
	if len(tomb) != 1 {
		t.Fatalf("%d tombstones, want 1", len(tomb))
	}
	a.do(func(sh pkcs11.SessionHandle) {
		got, err := a.ctx.GetAttributeValue(sh, tomb[0], []*pkcs11.Attribute{
			pkcs11.NewAttribute(pkcs11.CKA_CLASS, nil), pkcs11.NewAttribute(pkcs11.CKA_VALUE, nil)})
		a.check(err)
		if !bytes.Equal(got[0].Value, pkcs11.NewAttribute(pkcs11.CKA_CLASS, pkcs11.CKO_DATA).Value) || string(got[1].Value) != "cloakroom-epoch-destroyed-v1" {
			t.Errorf("a tombstone of class %x with the value %q", got[0].Value, got[1].Value)
		}
	})
	// Without the tombstone it would be as if the epoch had never been.
	a.do(func(sh pkcs11.SessionHandle) { a.check(a.ctx.DestroyObject(sh, tomb[0])) })
	if _, err := e.Wrap(t.Context(), 1, nil, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

// A Destroy that was cut off refuses the key at once, says that it is not
// done, and is finished by the next.
func TestDestroyCutOff(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tests := []struct {
		name   string
		hook   pkcs11kek.Hook
		usable bool // afterwards
	}{
		{"before the tombstone", once("C_CreateObject", pkcs11.Error(pkcs11.CKR_DEVICE_MEMORY)), true},
		{"after the tombstone", once("C_DestroyObject", pkcs11.Error(pkcs11.CKR_FUNCTION_FAILED)), false},
		{"not done, and not told", once("C_DestroyObject", pkcs11kek.ErrIgnored), false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			e, h, blob := newEpochs(t, cfg)
			a := newAdmin(t, cfg)
			end := h.set(tt.hook)
			if err := e.Destroy(t.Context(), 1); !errors.Is(err, keys.ErrAway) {
				t.Fatalf("got %v, want ErrAway", err)
			}
			end()
			_, err := e.Unwrap(t.Context(), 1, blob, nil)
			if tt.usable && err != nil || !tt.usable && !errors.Is(err, keys.ErrDestroyed) {
				t.Errorf("Unwrap after it: %v", err)
			}
			if len(a.find(t.Name()+"/epoch-0000000001")) != 1 {
				t.Fatal("the key should be there still")
			}
			if err := e.Destroy(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			if len(a.find(t.Name()+"/epoch-0000000001")) != 0 {
				t.Error("the key is there still")
			}
			if _, err := e.Unwrap(t.Context(), 1, blob, nil); !errors.Is(err, keys.ErrDestroyed) {
				t.Errorf("got %v, want ErrDestroyed", err)
			}
		})
	}
}

// A Create whose session was lost knows what it made itself.
func TestCreateCutOff(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	for name, function := range map[string]string{"before it is made": "C_GenerateKey", "after it is made": "made"} {
		t.Run(name, func(t *testing.T) {
			e, h, _ := newEpochs(t, cfg)
			defer h.set(once(function, pkcs11.Error(pkcs11.CKR_SESSION_CLOSED)))()
			if err := e.Create(t.Context(), 2); err != nil {
				t.Fatal(err)
			}
			if n := len(newAdmin(t, cfg).find(t.Name() + "/epoch-0000000002")); n != 1 {
				t.Errorf("%d keys, want 1", n)
			}
			if err := e.Create(t.Context(), 2); !errors.Is(err, keys.ErrExists) {
				t.Errorf("got %v, want ErrExists", err)
			}
		})
	}
}

// A login that is lost in the middle hides private objects. That must not
// look like an epoch that never was.
func TestLogoutInTheMiddle(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	e, h, blob := newEpochs(t, cfg)
	a := newAdmin(t, cfg)
	trouble := func() (restore func()) {
		var done atomic.Bool
		return h.set(func(function string) error {
			if function == "C_FindObjects" && done.CompareAndSwap(false, true) {
				a.do(func(sh pkcs11.SessionHandle) { a.check(a.ctx.Logout(sh)) })
			}
			return nil
		})
	}
	end := trouble()
	if err := e.Create(t.Context(), 1); !errors.Is(err, keys.ErrExists) {
		t.Errorf("Create: got %v, want ErrExists", err)
	}
	end()
	end = trouble()
	if out, err := e.Unwrap(t.Context(), 1, blob, nil); err != nil || string(out) != "plain" {
		t.Errorf("Unwrap: %v", err)
	}
	end()
	if n := len(a.find(t.Name() + "/epoch-0000000001")); n != 1 {
		t.Errorf("%d keys, want 1", n)
	}
}

// Two keys of one epoch, as two processes may make, lose nothing and die
// together.
func TestTwoKeysOfAnEpoch(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	e, _, first := newEpochs(t, cfg)
	a := newAdmin(t, cfg)
	label := t.Name() + "/epoch-0000000001"
	// An empty id comes first, so the next Wrap takes the new key.
	a.put(label, bytes.Repeat([]byte{3}, 32))
	second, err := e.Wrap(t.Context(), 1, []byte("plain"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, blob := range [][]byte{first, second} {
		if out, err := e.Unwrap(t.Context(), 1, blob, nil); err != nil || string(out) != "plain" {
			t.Errorf("Unwrap: %v", err)
		}
	}
	second[20] ^= 1
	if _, err := e.Unwrap(t.Context(), 1, second, nil); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
	if err := e.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if n := len(a.find(label)); n != 0 {
		t.Errorf("%d keys are left", n)
	}
}

// An epoch key that could leave the token would make a lie of an erasure.
func TestExtractableEpoch(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	e, _, _ := newEpochs(t, cfg)
	newAdmin(t, cfg).put(t.Name()+"/epoch-0000000007", bytes.Repeat([]byte{3}, 32), pkcs11.NewAttribute(pkcs11.CKA_EXTRACTABLE, true))
	if _, err := e.Wrap(t.Context(), 7, nil, nil); !errors.Is(err, keys.ErrDenied) {
		t.Errorf("got %v, want ErrDenied", err)
	}
	if err := e.Destroy(t.Context(), 7); err != nil {
		t.Errorf("Destroy must work all the same: %v", err)
	}
}
