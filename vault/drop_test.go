package vault_test

import (
	"context"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// looking calls a function once, after a page of members was read.
type looking struct {
	store.Store
	once sync.Once
	then func()
}

func (l *looking) Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]store.Row, error) {
	page, err := l.Store.Scan(ctx, table, from, to, limit)
	if table == rows.Members && l.then != nil {
		l.once.Do(l.then)
	}
	return page, err
}

// A value cannot slip into a field between the look whether it holds any and
// its end.
func TestNoValueEntersADroppedField(t *testing.T) {
	for name, write := range map[string]func(h *vaulttest.Harness) *vault.Error{
		"put": func(h *vaulttest.Harness) *vault.Error {
			r, err := h.Vault.PutRecords(context.Background(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-2", "note", "late")}})
			if err != nil {
				return err.(*vault.Error)
			}
			return r[0].Err
		},
		"tokenize": func(h *vaulttest.Harness) *vault.Error {
			r, err := h.Vault.Tokenize(context.Background(), as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "note", Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("late")}}})
			if err != nil {
				return err.(*vault.Error)
			}
			return r[0].Err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			var l *looking
			h.Wrap = func(s store.Store) store.Store { l = &looking{Store: s}; return l }
			h.Reopen()
			put(t, h, "c-1", "full_name", "Ada Lovelace")
			var refused *vault.Error
			l.then = func() { refused = write(h) }
			if n, _, err := apply(h, "admin", dropNote(t)); n != 2 || err != nil {
				t.Fatalf("version %d, %v", n, err)
			}
			if refused == nil || refused.Reason != vault.Contention {
				t.Errorf("the write was answered with %v", refused)
			}
			put(t, h, "c-3", "full_name", "Bea") // others go on
		})
	}
}

// A write that was decided before the field was closed is decided anew.
func TestWriteDecidedBeforeADrop(t *testing.T) {
	h := open(t)
	var g *gate
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	put(t, h, "c-1", "full_name", "Ada Lovelace")
	var once sync.Once
	g.set(func(b *store.Batch) error {
		if writes(b, rows.Members) { // the put's batch, on its way to the store
			once.Do(func() {
				if n, _, err := apply(h, "admin", dropNote(t)); n != 2 || err != nil {
					t.Errorf("version %d, %v", n, err)
				}
			})
		}
		return nil
	}, nil)
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-2", "note", "late")}})
	if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.UnknownField {
		t.Errorf("%v, %+v", err, r)
	}
}

// After a drop that was refused the field is as open as before.
func TestRefusedDropOpensTheField(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	_, _, err := apply(h, "admin", dropNote(t))
	wantReason(t, err, vault.FieldHoldsValues)
	upsert(t, h, "c-1", "note", "coffee")
	tokenize(t, h, "note", "c-1", "coffee")
	_, _, err = h.Vault.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(dropNote(t)), ValidateOnly: true})
	wantReason(t, err, vault.FieldHoldsValues)
	upsert(t, h, "c-1", "note", "water")
}
