package vault_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// retold is an entry with another time, under an id of that time.
func retold(e *audit.Entry, at time.Time) *audit.Entry {
	c := *e
	c.Time = at.UTC()
	binary.BigEndian.PutUint64(c.ID[:], uint64(at.UnixNano()))
	return &c
}

// owing is a vault that was stopped while it owed the entry of a change, with
// the row of the outbox and the entry of the first version of the same cell.
func owing(t *testing.T) (h *vaulttest.Harness, row store.Row, first *audit.Entry) {
	t.Helper()
	h = open(t)
	put(t, h, "c-1", "note", "tea")
	entries := h.Log.Entries()
	first = entries[len(entries)-1]
	var g *gate
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	h.Clock.Add(time.Minute)
	deaf(h, g)
	_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
		Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "note", "coffee")},
	})
	wantReason(t, err, vault.AuditUnavailable)
	h.Close()
	h.Wrap = nil
	h.Log.Fail(nil)
	return h, scanAll(t, h.Values, rows.Outbox)[0], first
}

// Whoever writes the disk cannot have the vault log what it did not do: a row of
// the outbox that it did not write at that place ends the start and the check,
// nothing comes into the log, and every row stays.
func TestForgedOutbox(t *testing.T) {
	for _, c := range []struct {
		name  string
		forge func(row store.Row, first *audit.Entry, now time.Time) store.Row
	}{
		{"the first entry in clear, with a new time", func(_ store.Row, first *audit.Entry, now time.Time) store.Row {
			e := retold(first, now)
			return store.Row{Key: e.ID[:], Value: e.Append(nil)}
		}},
		{"the first entry in clear, as it was", func(_ store.Row, first *audit.Entry, _ time.Time) store.Row {
			return store.Row{Key: first.ID[:], Value: first.Append(nil)}
		}},
		{"a row under another key", func(row store.Row, first *audit.Entry, _ time.Time) store.Row {
			return store.Row{Key: first.ID[:], Value: row.Value}
		}},
		{"a row under a longer key", func(row store.Row, _ *audit.Entry, _ time.Time) store.Row {
			return store.Row{Key: append(bytes.Clone(row.Key), 0), Value: row.Value}
		}},
		{"a changed row", func(row store.Row, _ *audit.Entry, _ time.Time) store.Row {
			value := bytes.Clone(row.Value)
			value[len(value)/2] ^= 1
			return store.Row{Key: row.Key, Value: value}
		}},
		{"a row cut short", func(row store.Row, _ *audit.Entry, _ time.Time) store.Row {
			return store.Row{Key: row.Key, Value: row.Value[:3]}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, row, first := owing(t)
			forged := c.forge(row, first, h.Clock.Now())
			change(t, h.Values, rows.Outbox, forged.Key, forged.Value)
			have, size := len(scanAll(t, h.Values, rows.Outbox)), h.Log.Size()
			_, deep := deepOf(t.Context(), optionsOf(h, h.Log))
			for name, err := range map[string]error{"the start": h.TryOpen(), "the check": deep} {
				if !errors.Is(err, store.ErrCorrupt) {
					t.Errorf("%s: %v", name, err)
				} else if text := err.Error(); !strings.Contains(text, fmt.Sprintf("row %x of the outbox", forged.Key)) || !strings.Contains(text, "evidence") {
					t.Errorf("%s: %q does not say which row, and what to do", name, text)
				}
			}
			if n := len(scanAll(t, h.Values, rows.Outbox)); n != have {
				t.Errorf("%d rows are left of %d", n, have)
			}
			if h.Log.Size() != size {
				t.Error("the log has grown")
			}
			drop(t, h.Values, rows.Outbox, forged.Key)
			change(t, h.Values, rows.Outbox, row.Key, row.Value)
			if err := h.TryOpen(); err != nil {
				t.Errorf("without the forged row: %v", err)
			}
			wantFound(t, deepMemory(t, h, h.Log))
		})
	}
}

// What the vault owes is read back from the store too.
func TestForgedOwedRow(t *testing.T) {
	var g *gate
	h, token := seeded(t)
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	ids := deaf(h, g)
	if _, err := operations[0].call(t.Context(), h, token); err == nil {
		t.Fatal("no error")
	}
	g.set(nil, nil)
	key := (*ids)[0][:]
	was := dumpOf(t, h.Values, rows.ValueTables()).row(rows.Outbox, key)
	forged := retold(h.Log.Entries()[0], h.Clock.Now())
	change(t, h.Values, rows.Outbox, key, forged.Append(nil))
	size := h.Log.Size()
	h.Log.Fail(nil)
	_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("next", "note", "x")}})
	if wantReason(t, err, vault.DataCorrupt); h.Log.Size() != size {
		t.Error("the log has grown")
	}
	change(t, h.Values, rows.Outbox, key, was)
	put(t, h, "next", "note", "x")
}

// Nothing of an entry stands in clear in the store.
func TestOutboxIsSealed(t *testing.T) {
	_, row, first := owing(t)
	for _, clear := range []string{first.Principal, first.Request, first.Collection, string(first.Items[0].Subject[:])} {
		if clear == "" || bytes.Contains(row.Value, []byte(clear)) {
			t.Errorf("%q is in the row", clear)
		}
	}
}

// Changes that are alike in everything, by a clock that stands, have ids of
// their own: a row of the outbox never takes the place of another.
func TestChangeIDsAreUnique(t *testing.T) {
	h := open(t)
	put(t, h, "c-1")
	before := len(h.Log.Entries())
	const n = 300
	for range n {
		upsert(t, h, "c-1")
	}
	ids := map[[16]byte]bool{}
	for _, e := range entriesSince(h, before) {
		if e.Action == audit.ActionUpdate {
			ids[e.ID] = true
		}
	}
	if len(ids) != n {
		t.Errorf("%d ids for %d changes", len(ids), n)
	}
}
