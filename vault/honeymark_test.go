package vault_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// honeyAlarms tells a detector the entries of the log since n, as the watcher
// does that comes to them later, and returns who raised the honey rule.
func honeyAlarms(t *testing.T, h *vaulttest.Harness, n int) (who []string) {
	t.Helper()
	d, err := alarm.New(alarm.Defaults(), h.Vault.IsHoney)
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range entriesSince(h, n) {
		for _, a := range d.Observe(uint64(i), e) {
			if a.Rule == alarm.Honey {
				who = append(who, a.Principal)
			}
		}
	}
	return who
}

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

// Values are confirmed of a trap too, and asked what tokens stand for: either
// raises the alarm, whatever the answer. A reader of all records raises none.
func TestHoneyAlarms(t *testing.T) {
	h := open(t)
	r := put(t, h, "trap", "full_name", "Ada Lovelace", "note", "bait")
	put(t, h, "c-1", "note", "tea")
	mark(t, h, "trap", false)
	tokens := tokensOf(r, "note")
	describe := func(who string) func() {
		return func() {
			if _, err := h.Vault.DescribeTokens(t.Context(), as(who), tokens); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, c := range []struct {
		name string
		call func()
		want string
	}{
		{"a right guess", func() { tokenize(t, h, "note", "trap", "bait") }, "shop"},
		{"a wrong guess", func() { tokenize(t, h, "full_name", "trap", "Somebody Else") }, "shop"},
		{"a wrong guess among others", func() { tokenize(t, h, "note", "c-1", "tea", "trap", "tea") }, "shop"},
		{"a value of an empty field", func() { tokenize(t, h, "card", "trap", "4111111111111111") }, "shop"},
		{"a guess of another", func() { tokenize(t, h, "note", "c-1", "tea") }, ""},
		{"describe", describe("shop"), "shop"},
		{"describe without right", describe("clerk"), "clerk"},
		{"get", func() { get(t, h, "trap") }, ""},
		{"list", func() {
			if _, _, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers"}); err != nil {
				t.Fatal(err)
			}
		}, ""},
		{"write", func() { upsert(t, h, "trap", "note", "bait") }, ""},
	} {
		var want []string
		if c.want != "" {
			want = []string{as(c.want).Principal}
		}
		before := len(h.Log.Entries())
		c.call()
		if got := honeyAlarms(t, h, before); !slices.Equal(got, want) {
			t.Errorf("%s: alarms of %q, want %q", c.name, got, want)
		}
	}
	_, err := h.Vault.Tokenize(context.Background(), as("billing"), vault.TokenizeRequest{})
	wantReason(t, err, vault.ActionDenied)
}

// A honey record that refuses confirms no value: the right guess is answered as
// any other.
func TestHoneyConfirmsNothing(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "trap", "full_name", "Ada Lovelace", "email", "ada@example.org")
		other := put(t, h, "c-1", "full_name", "Someone Else", "email", "else@example.org")
		mark(t, h, "trap", true)
		one := func(subject, field, value string) string {
			before := len(h.Log.Entries())
			got := tokenize(t, h, field, subject, value)[0]
			if refused := entriesSince(h, before)[0].Items[0]; got.Err != nil && refused.Subject == [16]byte{} {
				t.Errorf("%s: the log does not name the person", field)
			}
			if slices.Contains(append(tokensOf(r, field), tokensOf(other, field)...), got.Token) {
				t.Errorf("%s: answered with the token that was there", field)
			}
			return fmt.Sprintf("stored %t, %v", got.Stored, got.Err)
		}
		for i, field := range []string{"full_name", "email", "email", "email"} {
			right, wrong := map[string]string{"full_name": "Ada Lovelace", "email": "ada@example.org"}[field], "Some Other"
			if field == "email" { // which each call stores
				wrong = fmt.Sprintf("other%d@example.org", i)
			}
			if a, b := one("trap", field, right), one("c-1", field, wrong); a != b {
				t.Errorf("%s: the right guess gives %s, another %s", field, a, b)
			}
		}
		if got := tokensOf(get(t, h, "trap"), "email"); len(got) != 3 {
			t.Errorf("the record holds %d addresses, want 3", len(got))
		}
		unmark(t, h, "trap")
		if got := tokenize(t, h, "full_name", "trap", "Ada Lovelace")[0]; got.Err != nil || got.Stored {
			t.Errorf("unmarked: %+v", got)
		}
	})
}
