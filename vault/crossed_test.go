package vault_test

import (
	"bytes"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A record that somebody else keeps changing costs its neighbours in the batch
// nothing: after the batch has conflicted once, each record is on its own.
func TestConflictOfOneRecordInABatch(t *testing.T) {
	h := open(t)
	put(t, h, "c-0", "note", "tea")
	refs, _ := refsOf(t, h)
	var g *gate
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	g.set(func(b *store.Batch) error {
		for _, w := range b.Writes {
			if w.Table == rows.People && bytes.Equal(w.Key, rows.RecordKey(refs[0], 1)) {
				return &store.ConflictError{Require: 1, Write: -1}
			}
		}
		return nil
	}, nil)
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{
		record("c-0", "note", "coffee"), record("c-1", "note", "coffee"),
	}})
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Err == nil || r[0].Err.Reason != vault.Contention {
		t.Errorf("the contended record: %+v", r[0])
	}
	if r[1].Err != nil {
		t.Errorf("its neighbour: %v", r[1].Err)
	}
}
