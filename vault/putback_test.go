package vault_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// A value store that is older than its key store gives refs out again. The key
// that is there already is what tells: nobody is stored under it, so that no
// token opens to somebody else.
func TestRefsAreNotGivenOutTwice(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		token := tokenOf(t, put(t, h, "alice", "full_name", "Alice Doe"), "full_name")
		var b store.Batch
		b.Delete(rows.Control, rows.RefBlockKey)
		if err := h.Values.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		h.Reopen()
		_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
			Collection: "customers", Records: []vault.RecordInput{record("bob", "full_name", "Bob Dylan")},
		})
		if err == nil {
			t.Error("bob was stored under a ref that was given out before")
		}
		wantShown(t, h, []string{token}, "Alice Doe")
	})
}

// brokenEngine takes no commits until it is opened again.
type brokenEngine struct{ store.Store }

func (brokenEngine) Healthy() error { return store.ErrBroken }

// Health asks the engines too: one that takes no commits is not healthy.
func TestHealthOfTheEngines(t *testing.T) {
	for name, wrap := range map[string]func(*vaulttest.Harness){
		"values": func(h *vaulttest.Harness) { h.Wrap = func(s store.Store) store.Store { return brokenEngine{s} } },
		"keys":   func(h *vaulttest.Harness) { h.WrapKeys = func(s store.Store) store.Store { return brokenEngine{s} } },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			if err := h.Vault.Healthy(); err != nil {
				t.Fatal(err)
			}
			wrap(h)
			h.Reopen()
			wantReason(t, h.Vault.Healthy(), vault.StoreUnavailable)
		})
	}
}
