package vault_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// Who reads the audit log learns from the entries of marks neither who is marked
// nor, by a handle that stands elsewhere too, of whom it could ask.
func TestHoneyEntries(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	before := len(h.Log.Entries())
	mark(t, h, "c-1", true)
	mark(t, h, "c-1", false)
	unmark(t, h, "c-1")
	mark(t, h, "c-1", false)
	var got []string
	for _, e := range entriesSince(h, before) {
		got = append(got, e.Object)
		if e.Action != audit.ActionHoney || e.Outcome != audit.Allowed || e.Reason != "INC-1" || e.Count != 1 || len(e.Items) != 0 || e.Collection != "" {
			t.Errorf("logged %+v", e)
		}
	}
	// A number is a generation of the control row; the mark keeps the one it had.
	if want := []string{"mark 1, refuse", "mark 1", "unmark 1", "mark 4"}; !slices.Equal(got, want) {
		t.Errorf("logged %q, want %q", got, want)
	}
}

// Whoever reveals a trap and erases it at once does not escape the alarm: the
// mark outlives the person, over a restart, and old tokens stay a trap. A new
// person of the same id is nobody's trap.
func TestMarkOutlivesErasure(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		trap := tokenOf(t, put(t, h, "trap", "note", "bait"), "note")
		order(t, h, "trap", "Main Street 1")
		put(t, h, "other", "note", "bait")
		mark(t, h, "trap", false)
		mark(t, h, "other", true)
		before := len(h.Log.Entries())
		wantShown(t, h, []string{trap}, "bait")
		remove(t, h, "customers", "trap")
		remove(t, h, "orders", "trap")
		thief := as("reader").Principal
		check := func(when string, from int) {
			t.Helper()
			if got := honeyAlarms(t, h, from); !slices.Equal(got, []string{thief}) {
				t.Errorf("%s: alarms of %q, want %q", when, got, thief)
			}
		}
		check("revealed and erased", before)
		h.Reopen()
		check("after a restart", before)
		before = len(h.Log.Entries())
		wantShown(t, h, []string{trap}, "TOKEN_NOT_FOUND")
		check("by an old token", before)

		before = len(h.Log.Entries())
		fresh := tokenOf(t, put(t, h, "trap", "note", "tea"), "note")
		wantShown(t, h, []string{fresh}, "tea")
		if got := honeyAlarms(t, h, before); got != nil {
			t.Errorf("alarms of %q for a new person of the same id", got)
		}
		// The list names who is there; the log counts all.
		before = len(h.Log.Entries())
		got, err := h.Vault.Honeys(t.Context(), as("guard"))
		if err != nil || len(got) != 1 || got[0].Subject != "other" || entriesSince(h, before)[0].Count != 2 {
			t.Errorf("the list: %+v, %v, %+v", got, err, entriesSince(h, before)[0])
		}
	})
}

// An id ends the marks of all who had it, the erased ones too, each with an entry.
func TestUnmarkTheErased(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		put(t, h, "other", "note", "bait")
		mark(t, h, "other", false)
		var subjects [][16]byte
		for range 3 {
			subjects = append(subjects, revealSubject(t, h, tokenOf(t, put(t, h, "trap", "note", "bait"), "note")))
			mark(t, h, "trap", true)
			remove(t, h, "customers", "trap")
		}
		put(t, h, "trap", "note", "tea")
		h.Reopen()
		before := len(h.Log.Entries())
		unmark(t, h, "trap")
		var got []string
		for _, e := range entriesSince(h, before) {
			got = append(got, e.Object)
		}
		if want := []string{"unmark 2", "unmark 3", "unmark 4"}; !slices.Equal(got, want) {
			t.Errorf("logged %q, want %q", got, want)
		}
		for _, s := range subjects {
			if h.Vault.IsHoney(s) {
				t.Error("still marked")
			}
		}
		wantReason(t, h.Vault.UnmarkHoney(t.Context(), as("guard"), "trap", "INC-1"), vault.SubjectNotFound)
		if n := len(scanAll(t, h.Values, rows.Honey)); n != 1 {
			t.Errorf("%d rows, want the other's", n)
		}
	})
}

// One who is marked while being erased is either marked before, and stays so, or
// was not there any more.
func TestMarkRacesWithErasure(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		on := nodes(t, h)
		marked := 0
		for i := range 20 {
			subject := fmt.Sprintf("c-%d", i)
			put(t, h, subject, "note", "bait")
			done := make(chan error)
			go func() {
				done <- on[i%2].MarkHoney(context.Background(), as("guard"), vault.HoneyRequest{Subject: subject, Reason: "INC-1"})
			}()
			if _, err := on[1].DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: subject}); err != nil {
				t.Error(err)
			}
			if err := <-done; err != nil {
				wantReason(t, err, vault.SubjectNotFound)
				continue
			}
			marked++
		}
		if n := len(scanAll(t, h.Values, rows.Honey)); n != marked {
			t.Errorf("%d marks, and %d were acknowledged", n, marked)
		}
	})
}

// before calls a function once, before the commit of the first mark.
type before struct {
	store.Store
	then func()
}

func (b *before) Commit(ctx context.Context, batch *store.Batch) error {
	if b.then != nil && slices.ContainsFunc(batch.Writes, func(w store.Write) bool { return w.Table == rows.Honey }) {
		then := b.then
		b.then = nil
		then()
	}
	return b.Store.Commit(ctx, batch)
}

// One who is erased after being found and before being marked gets no mark: who
// is told that a person is marked can rely on a trap.
func TestErasedBeforeMarked(t *testing.T) {
	h := open(t)
	put(t, h, "trap", "note", "bait")
	other := node(t, h)
	b := &before{}
	h.Wrap = func(s store.Store) store.Store { b.Store = s; return b }
	h.Reopen()
	b.then = func() {
		if _, err := other.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "trap"}); err != nil {
			t.Error(err)
		}
	}
	wantReason(t, h.Vault.MarkHoney(t.Context(), as("guard"), vault.HoneyRequest{Subject: "trap", Reason: "INC-1"}), vault.SubjectNotFound)
	if n := len(scanAll(t, h.Values, rows.Honey)); b.then != nil || n != 0 {
		t.Errorf("%d marks", n)
	}
}

// At the bound a new mark takes the place of the oldest of an erased person, and
// of nobody else.
func TestHoneyBound(t *testing.T) {
	h := open(t)
	var erased [][16]byte
	for _, subject := range []string{"gone-1", "gone-2"} {
		erased = append(erased, revealSubject(t, h, tokenOf(t, put(t, h, subject, "note", "tea"), "note")))
	}
	for i := range 4 {
		put(t, h, fmt.Sprintf("c-%d", i), "note", "tea")
	}
	mark(t, h, "c-0", false)
	mark(t, h, "gone-1", false)
	mark(t, h, "gone-2", false)
	h.Vault.PretendHoneys(vault.MaxHoneys - 4)
	mark(t, h, "c-1", false)
	last := func(subject string) error {
		return h.Vault.MarkHoney(t.Context(), as("guard"), vault.HoneyRequest{Subject: subject, Reason: "INC-1"})
	}
	wantReason(t, last("c-2"), vault.InvalidRequest)
	mark(t, h, "c-1", true) // is there
	remove(t, h, "customers", "gone-2")
	remove(t, h, "customers", "gone-1")
	for i, want := range [][2]bool{{false, true}, {false, false}} {
		before := len(h.Log.Entries())
		if err := last(fmt.Sprintf("c-%d", 2+i)); err != nil {
			t.Fatal(err)
		}
		if got := [2]bool{h.Vault.IsHoney(erased[0]), h.Vault.IsHoney(erased[1])}; got != want {
			t.Errorf("marked: %t, want %t", got, want)
		}
		entries := entriesSince(h, before)
		if len(entries) != 2 || entries[0].Object != fmt.Sprintf("unmark %d", 2+i) {
			t.Errorf("logged %+v", entries)
		}
	}
	put(t, h, "c-4", "note", "tea")
	wantReason(t, last("c-4"), vault.InvalidRequest)
	unmark(t, h, "c-1")
	if err := last("c-4"); err != nil {
		t.Error(err)
	}
}
