package vault_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// restricted is a closed vault with freezes and honey marks, and its value
// store at three moments.
type restricted struct {
	*vaulttest.Harness
	support, card uint64 // freezes in force
	gone          uint64 // a freeze that was thawed
	bait          []byte // key of a mark that refuses, and did not at first
	empty         dump   // before any of it
	was           dump   // before the thaw, and before the mark refused
	now           dump
}

func newRestricted(t *testing.T) *restricted {
	t.Helper()
	h := open(t)
	r := &restricted{Harness: h}
	put(t, h, "bait", "note", "tea")
	put(t, h, "trap", "note", "rum")
	r.empty = dumpOf(t, h.Values, rows.ValueTables())
	r.support = freeze(t, h, vault.FreezeRole, "support").ID
	r.gone = freeze(t, h, vault.FreezeCollection, "orders").ID
	mark(t, h, "bait", false)
	mark(t, h, "trap", false)
	r.card = freeze(t, h, vault.FreezeField, "customers.card").ID
	r.was = dumpOf(t, h.Values, rows.ValueTables())
	mark(t, h, "bait", true)
	thaw(t, h, r.gone)
	r.now = dumpOf(t, h.Values, rows.ValueTables())
	r.bait = r.now[rows.Honey][0].Key
	h.Close()
	return r
}

// back puts rows back to how they were; those that were not there go.
func (r *restricted) back(t *testing.T, was dump, table uint8, keys ...[]byte) {
	t.Helper()
	for _, key := range keys {
		change(t, r.Values, table, key, was.row(table, key))
	}
}

// all returns the keys that a table has at either of two moments.
func (r *restricted) all(was dump, table uint8) (keys [][]byte) {
	for _, row := range slices.Concat(was[table], r.now[table]) {
		keys = append(keys, row.Key)
	}
	return keys
}

// A freeze or a honey mark does not end, nor come back, because somebody who
// writes the disk changed its row: the vault does not open, and the check says
// what is wrong.
func TestRestrictionsAreGuarded(t *testing.T) {
	for _, c := range []struct {
		name   string
		tamper func(t *testing.T, r *restricted)
		want   []string
		opens  bool
	}{
		{"nothing", func(*testing.T, *restricted) {}, nil, true},
		{"a freeze removed", func(t *testing.T, r *restricted) {
			drop(t, r.Values, rows.Freezes, rows.NumberKey(r.support))
		}, []string{"freeze_missing", "guard_broken"}, false},
		{"a mark removed", func(t *testing.T, r *restricted) {
			drop(t, r.Values, rows.Honey, r.bait)
		}, []string{"honey_missing", "guard_broken"}, false},
		{"a freeze that was thawed put back", func(t *testing.T, r *restricted) {
			r.back(t, r.was, rows.Freezes, rows.NumberKey(r.gone))
		}, []string{"freeze_older", "guard_broken"}, false},
		{"a mark put back to before it refused", func(t *testing.T, r *restricted) {
			r.back(t, r.was, rows.Honey, r.bait)
		}, []string{"guard_broken"}, false},
		{"a freeze under another number", func(t *testing.T, r *restricted) {
			change(t, r.Values, rows.Freezes, rows.NumberKey(r.support), r.now.row(rows.Freezes, rows.NumberKey(r.card)))
		}, []string{"freeze_closed"}, false},
		{"a freeze as a mark", func(t *testing.T, r *restricted) {
			change(t, r.Values, rows.Honey, r.bait, r.now.row(rows.Freezes, rows.NumberKey(r.card)))
		}, []string{"honey_closed"}, false},
		{"the guard removed", func(t *testing.T, r *restricted) {
			drop(t, r.Values, rows.Control, rows.GuardKey)
		}, []string{"guard_broken"}, false},
		{"the guard changed", func(t *testing.T, r *restricted) {
			guard := bytes.Clone(r.now.row(rows.Control, rows.GuardKey))
			guard[len(guard)-1] ^= 1
			change(t, r.Values, rows.Control, rows.GuardKey, guard)
		}, []string{"guard_broken"}, false},
		{"another sealed row as the guard", func(t *testing.T, r *restricted) {
			change(t, r.Values, rows.Control, rows.GuardKey, r.now.row(rows.Control, rows.MarkKey))
		}, []string{"guard_broken"}, false},
		{"the guard put back", func(t *testing.T, r *restricted) {
			r.back(t, r.was, rows.Control, rows.GuardKey)
		}, []string{"guard_broken"}, false},
		{"the control row put back", func(t *testing.T, r *restricted) {
			r.back(t, r.was, rows.People, rows.ControlKey)
		}, []string{"guard_broken"}, false},
		{"a control row without freezes, and nothing else", func(t *testing.T, r *restricted) {
			change(t, r.Values, rows.People, rows.ControlKey, rows.ControlRow{Policy: 1}.Append(nil))
			drop(t, r.Values, rows.Control, rows.GuardKey)
			for _, table := range []uint8{rows.Freezes, rows.Honey} {
				for _, key := range r.all(r.now, table) {
					drop(t, r.Values, table, key)
				}
			}
		}, []string{"freeze_missing", "freeze_missing", "honey_missing", "honey_missing", "guard_broken"}, false},
		// All of it together agrees: only the log knows.
		{"all put back to before the thaw", func(t *testing.T, r *restricted) {
			r.back(t, r.was, rows.People, rows.ControlKey)
			r.back(t, r.was, rows.Control, rows.GuardKey)
			r.back(t, r.was, rows.Freezes, r.all(r.was, rows.Freezes)...)
			r.back(t, r.was, rows.Honey, r.all(r.was, rows.Honey)...)
		}, []string{"freeze_older"}, true},
		{"all put back to before there was any", func(t *testing.T, r *restricted) {
			r.back(t, r.empty, rows.People, rows.ControlKey)
			r.back(t, r.empty, rows.Control, rows.GuardKey)
			r.back(t, r.empty, rows.Freezes, r.all(r.empty, rows.Freezes)...)
			r.back(t, r.empty, rows.Honey, r.all(r.empty, rows.Honey)...)
		}, []string{"freeze_missing", "freeze_missing", "honey_missing", "honey_missing"}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := newRestricted(t)
			c.tamper(t, r)
			wantFound(t, deepMemory(t, r.Harness, r.Log), c.want...)
			err := r.TryOpen()
			switch {
			case c.opens && err != nil:
				t.Error(err)
			case !c.opens && !errors.Is(err, store.ErrCorrupt):
				t.Errorf("opened with %v", err)
			}
			if err != nil && slices.Equal(c.want, []string{"freeze_missing", "guard_broken"}) && !strings.Contains(err.Error(), "a freeze may be gone") {
				t.Errorf("%q does not say what it means", err)
			}
		})
	}
}

// A finding about a freeze names it and the entries.
func TestFreezeFindingsNameEntries(t *testing.T) {
	r := newRestricted(t)
	drop(t, r.Values, rows.Freezes, rows.NumberKey(r.support))
	r.back(t, r.was, rows.Freezes, rows.NumberKey(r.gone))
	c := deepMemory(t, r.Harness, r.Log)
	wantFound(t, c, "freeze_older", "freeze_missing", "guard_broken")
	entries := r.Log.Entries()
	for i, want := range []struct {
		number uint64
		object string
	}{{r.gone, "collection orders"}, {r.support, "role support"}} {
		f := c.found[i]
		if e := entries[f.Last-1]; f.Number != want.number || !strings.HasPrefix(e.Object, want.object) {
			t.Errorf("%v: number %d, %q", f, f.Number, e.Object)
		}
	}
	if text := c.found[1].String(); !strings.HasPrefix(text, "freeze_missing: the freeze is missing (number 1); last told by entry ") {
		t.Errorf("%q", text)
	}
}

// What freezes and marks go through leaves nothing that looks like tampering:
// neither for the next start, nor for the check, nor where the log was pruned.
func TestDeepFollowsRestrictions(t *testing.T) {
	h := open(t)
	for _, subject := range []string{"bait", "trap", "kept"} {
		put(t, h, subject, "note", "tea")
	}
	old := freeze(t, h, vault.FreezeRole, "support").ID
	mark(t, h, "kept", false)
	first := h.Log.Size()
	f := freeze(t, h, vault.FreezePrincipal, as("billing").Principal).ID
	freeze(t, h, vault.FreezePrincipal, as("billing").Principal) // is frozen
	mark(t, h, "bait", false)
	mark(t, h, "trap", true)
	mark(t, h, "bait", true)
	if _, _, err := apply(h, "admin", dropNote(t)); err == nil {
		t.Fatal("a field with values was dropped")
	}
	h.Reopen()
	thaw(t, h, f)
	freeze(t, h, vault.FreezePrincipal, as("billing").Principal)
	unmark(t, h, "bait")
	remove(t, h, "customers", "trap")
	h.Apply(edited(t, "To help you.", "To help you well."))
	h.Reopen()
	freeze(t, h, vault.FreezeVault, "")
	wantFound(t, deepMemory(t, h, h.Log))
	c := deepMemory(t, h, tail{h.Log, first})
	wantFound(t, c)
	if c.report.Older != 2+4 { // a freeze and a mark, and the records and notes of bait and kept
		t.Errorf("%d are older than the log", c.report.Older)
	}
	h.Reopen()
	thaw(t, h, old) // of which the log does not tell the beginning
	c = deepMemory(t, h, tail{h.Log, first})
	if wantFound(t, c); c.report.Older != 1+4 {
		t.Errorf("%d are older than the log", c.report.Older)
	}
}

// betweenReads calls a function once, before the next read of the guard.
type betweenReads struct {
	store.Store
	then func()
}

func (b *betweenReads) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	if then := b.then; then != nil && slices.ContainsFunc(keys, func(k store.Key) bool {
		return k.Table == rows.Control && bytes.Equal(k.Key, rows.GuardKey)
	}) {
		b.then = nil
		then()
	}
	return b.Store.Get(ctx, keys, out)
}

// A node that reads the freezes while another changes them does not take two
// generations for tampering.
func TestGuardOfTwoGenerations(t *testing.T) {
	h := open(t)
	card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	other := node(t, h)
	b := &betweenReads{}
	h.Wrap = func(s store.Store) store.Store { b.Store = s; return b }
	h.Reopen()
	h.Vault.WaitSwept()
	freezeOther := func(kind vault.FreezeKind, target string) {
		t.Helper()
		if _, err := other.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: kind, Target: target, Reason: "INC-1"}); err != nil {
			t.Error(err)
		}
	}
	freezeOther(vault.FreezeRole, "support") // so that the state is loaded anew
	b.then = func() { freezeOther(vault.FreezeField, "customers.card") }
	if got := shown(t, h, card); got[0] != "FROZEN" {
		t.Errorf("revealed %q", got)
	}
	if b.then != nil {
		t.Error("the guard was not read")
	}
}
