//go:build !cgo || nopkcs11

package pkcs11kek_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// What a binary without the library says must tell its user why.
func TestNotBuilt(t *testing.T) {
	_, err := pkcs11kek.Open(t.Context(), pkcs11kek.Config{})
	if !errors.Is(err, pkcs11kek.ErrNotBuilt) || pkcs11kek.Built {
		t.Fatalf("got %v, want ErrNotBuilt", err)
	}
	const says = "built without PKCS#11 support: "
	if text := err.Error(); text != says+"cgo was off" && text != says+"the build tag nopkcs11 was set" {
		t.Errorf("%q does not say why", text)
	}
	var (
		token  pkcs11kek.Token
		kek    pkcs11kek.KEK
		epochs pkcs11kek.Epochs
	)
	calls := map[string]func() error{
		"Generate":       func() error { return token.Generate(t.Context(), pkcs11kek.KeyRef{}) },
		"KEK":            func() error { _, err := token.KEK(t.Context(), pkcs11kek.KeyRef{}); return err },
		"Epochs":         func() error { _, err := token.Epochs(t.Context(), "x"); return err },
		"KEK.Wrap":       func() error { _, err := kek.Wrap(t.Context(), nil, nil); return err },
		"KEK.Unwrap":     func() error { _, err := kek.Unwrap(t.Context(), nil, nil); return err },
		"Epochs.Create":  func() error { return epochs.Create(t.Context(), 1) },
		"Epochs.Wrap":    func() error { _, err := epochs.Wrap(t.Context(), 1, nil, nil); return err },
		"Epochs.Unwrap":  func() error { _, err := epochs.Unwrap(t.Context(), 1, nil, nil); return err },
		"Epochs.Destroy": func() error { return epochs.Destroy(t.Context(), 1) },
	}
	for name, call := range calls {
		if err := call(); !errors.Is(err, pkcs11kek.ErrNotBuilt) {
			t.Errorf("%s: got %v, want ErrNotBuilt", name, err)
		}
	}
	if err := token.Close(); err != nil || !strings.HasPrefix(kek.Name(), "pkcs11") || epochs.Name() == "" {
		t.Errorf("Close: %v; names %q and %q", err, kek.Name(), epochs.Name())
	}
}
