package vault_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// TestAuditSigner holds that a vault signs its log under one key for good, and
// that a vault made before there was one gets it when it is opened.
func TestAuditSigner(t *testing.T) {
	h := vaulttest.OnDisk(t)
	vkey := func() string {
		t.Helper()
		s, err := h.Vault.AuditSigner()
		if err != nil {
			t.Fatal(err)
		}
		return s.VerifierKey()
	}
	made := vkey()
	h.Reopen()
	if vkey() != made {
		t.Error("another key after opening again")
	}
	var b store.Batch
	b.Delete(rows.Keyring, []byte("audit-signer/0"))
	if err := h.Keys.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	given := vkey()
	if given == made {
		t.Error("the key is still there, the test shows nothing")
	}
	h.Reopen()
	if vkey() != given {
		t.Error("another key after opening again")
	}
}
