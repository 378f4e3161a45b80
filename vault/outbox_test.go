package vault_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// deaf makes the log fail right after the next commit that changes a person,
// and returns the ids of the outbox rows of that commit.
func deaf(h *vaulttest.Harness, g *gate) *[][16]byte {
	ids := new([][16]byte)
	g.set(nil, func(b *store.Batch) error {
		for _, w := range b.Writes {
			if w.Table == rows.Outbox && w.Op == store.OpPut {
				*ids = append(*ids, [16]byte(w.Key))
				h.Log.Fail(errors.New("no space"))
			}
		}
		return nil
	})
	return ids
}

// A change that was stored and could not be logged owes its entry: it comes
// into the log once that can be written again, or at the next start, under the
// id that it had.
func TestOwedEntries(t *testing.T) {
	for name, recovers := range map[string]func(t *testing.T, h *vaulttest.Harness){
		"before the next change": func(t *testing.T, h *vaulttest.Harness) { put(t, h, "next", "note", "x") },
		"in the background": func(t *testing.T, h *vaulttest.Harness) {
			if err := h.Vault.Tidy(t.Context()); err != nil {
				t.Error(err)
			}
		},
		"at the next start": func(t *testing.T, h *vaulttest.Harness) { h.Reopen() },
	} {
		for _, o := range operations {
			changes := o.action == audit.ActionCreate || o.action == audit.ActionUpdate || o.action == audit.ActionDelete ||
				o.action == audit.ActionPolicyApply || o.name == "tokenize"
			if !changes {
				continue
			}
			t.Run(o.name+" "+name, func(t *testing.T) {
				var g *gate
				h, token := seeded(t)
				h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
				h.Reopen()
				ids := deaf(h, g)
				answered, err := o.call(t.Context(), h, token)
				if wantReason(t, err, vault.AuditUnavailable); answered {
					t.Error("an answer beside the error")
				}
				if len(*ids) != 1 {
					t.Fatalf("%d outbox rows, want 1", len(*ids))
				}
				g.set(nil, nil)
				before := len(h.Log.Entries())
				h.Log.Fail(nil)
				recovers(t, h)
				n := 0
				for _, e := range entriesSince(h, before) {
					if e.ID == (*ids)[0] {
						n++
						if e.Action != o.action || e.Outcome != audit.Allowed || e.Request != "test" {
							t.Errorf("logged %+v", e)
						}
					}
				}
				if n != 1 {
					t.Errorf("the owed entry stands %d times in the log, want once", n)
				}
			})
		}
	}
}

// What is owed blocks further changes as long as it cannot be logged.
func TestOwedEntriesComeFirst(t *testing.T) {
	var g *gate
	h, token := seeded(t)
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	ids := deaf(h, g)
	if _, err := operations[0].call(t.Context(), h, token); err == nil {
		t.Fatal("no error")
	}
	for range 3 {
		_, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
		wantReason(t, err, vault.AuditUnavailable)
	}
	if len(*ids) != 1 {
		t.Errorf("%d changes were stored without the log", len(*ids))
	}
}

// A vault does not start while what it owes cannot be logged, and starts once
// it can.
func TestStartNeedsTheLog(t *testing.T) {
	var g *gate
	h, token := seeded(t)
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	deaf(h, g)
	if _, err := operations[0].call(t.Context(), h, token); err == nil {
		t.Fatal("no error")
	}
	h.Close()
	h.Wrap = nil
	if err := h.TryOpen(); !errors.Is(err, &vault.Error{Reason: vault.AuditUnavailable}) {
		t.Errorf("opened with %v", err)
	}
	h.Log.Fail(nil)
	h.Reopen()
	if get(t, h, "new") == nil {
		t.Error("the stored change is gone")
	}
}

// Rows of the outbox are deleted once their entries are durable.
func TestOutboxIsEmptied(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		for range 3 {
			upsert(t, h, "c-1", "note", "x")
		}
		if n := len(scanAll(t, h.Values, rows.Outbox)); n > 2 {
			t.Errorf("%d rows while the vault runs, want only the last", n)
		}
		before := h.Log.Size()
		h.Reopen()
		if n := len(scanAll(t, h.Values, rows.Outbox)); n != 0 {
			t.Errorf("%d rows after a clean stop", n)
		}
		if h.Log.Size() != before {
			t.Error("entries were written again after a clean stop")
		}
	})
}

// TestCrashRepeatsNothing: what was logged before a crash is not logged again
// by the next start, though its rows were still in the outbox.
func TestCrashRepeatsNothing(t *testing.T) {
	h := open(t)
	for i := range 5 {
		put(t, h, fmt.Sprintf("c-%d", i), "card", "4111111111111111")
	}
	left := scanAll(t, h.Values, rows.Outbox)
	if len(left) == 0 {
		t.Fatal("the outbox is empty: the test says nothing")
	}
	h.Close()
	for _, r := range left { // as a vault that was killed leaves them
		change(t, h.Values, rows.Outbox, r.Key, r.Value)
	}
	h.Reopen()
	seen := map[[16]byte]bool{}
	for _, e := range h.Log.Entries() {
		if seen[e.ID] {
			t.Errorf("an entry of %v stands twice", e.Action)
		}
		seen[e.ID] = true
	}
	if after := scanAll(t, h.Values, rows.Outbox); len(after) > 0 {
		t.Errorf("%d rows are still in the outbox", len(after))
	}
}
