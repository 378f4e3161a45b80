package vault_test

import (
	"context"
	"errors"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// The root goes over to another KEK while the vault serves; from then on the
// old one does not open it. A next KEK that cannot be used changes nothing.
func TestRewrapRoot(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	old := h.KEK
	path := filepath.Join(t.TempDir(), "next")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	next, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	denied := keys.ErrDenied
	h.NextKEK = func(context.Context) (keys.KEK, error) { return next, denied }
	h.Reopen()
	if _, _, err := h.Vault.RewrapRoot(t.Context(), as("keeper"), "T-1"); !errors.Is(err, &vault.Error{Reason: vault.KeysUnavailable}) {
		t.Errorf("by a KEK that denies: %v", err)
	}
	h.Reopen()
	denied = nil
	before, after, err := h.Vault.RewrapRoot(t.Context(), as("keeper"), "T-1")
	if err != nil || before != old.Name() || after != next.Name() {
		t.Fatal(before, after, err)
	}
	h.Close()
	if err := h.TryOpen(); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("opened by the old KEK: %v", err)
	}
	h.KEK, h.NextKEK = next, nil
	if err := h.TryOpen(); err != nil {
		t.Fatal(err)
	}
	if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != "4111111111111111" {
		t.Errorf("after the change of the KEK: %v", refusal)
	}
	if before, after, err := h.Vault.RewrapRoot(t.Context(), as("keeper"), "T-2"); err != nil || before != after {
		t.Errorf("anew by the same: %s, %s, %v", before, after, err)
	}
	if k := keyOf(t, h, vault.KeyRef{Kind: vault.KeyKEK}); k.Generation != 3 || k.Provider != next.Name() {
		t.Errorf("the list says %+v", k)
	}
}
