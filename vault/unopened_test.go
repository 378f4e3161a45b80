package vault_test

import (
	"bytes"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// TestUnopenedIsLogged: a value that was authorised and does not open leaves an
// entry of its own, which raises the alarm; its neighbours leave none.
func TestUnopenedIsLogged(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		refs, tokens := three(t, h)
		cell := cellsOf(t, h, refs[1])[0]
		spoilt := bytes.Clone(cell.Value)
		spoilt[len(spoilt)-1] ^= 1
		change(t, h.Values, rows.People, cell.Key, spoilt)
		corrupt := func() (entries, items int) {
			for _, e := range h.Log.Entries() {
				n := 0
				for _, it := range e.Items {
					if it.Refusal == uint16(vault.DataCorrupt) && it.Subject != ([16]byte{}) && it.Outcome == audit.Refused {
						n++
					}
				}
				if n > 0 {
					entries, items = entries+1, items+n
				}
			}
			return entries, items
		}
		wantShown(t, h, tokens, "note 0", "DATA_CORRUPT", "note 2")
		if entries, items := corrupt(); entries != 1 || items != 1 {
			t.Errorf("a batch: %d entries with %d items say that a value does not open", entries, items)
		}
		if _, err := h.Vault.ReadRecord(t.Context(), as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "support"}); err != nil {
			t.Fatal(err)
		}
		if entries, items := corrupt(); entries != 2 || items != 2 {
			t.Errorf("a record: %d entries with %d items say that a value does not open", entries, items)
		}
	})
}
