package vault_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func mark(t *testing.T, h *vaulttest.Harness, subject string, refuse bool) {
	t.Helper()
	if err := h.Vault.MarkHoney(t.Context(), as("guard"), vault.HoneyRequest{Subject: subject, Refuse: refuse, Reason: "INC-1"}); err != nil {
		t.Fatal(err)
	}
}

func unmark(t *testing.T, h *vaulttest.Harness, subject string) {
	t.Helper()
	if err := h.Vault.UnmarkHoney(t.Context(), as("guard"), subject, "INC-1"); err != nil {
		t.Fatal(err)
	}
}

// revealSubject reveals a token and returns the subject that the log names.
func revealSubject(t *testing.T, h *vaulttest.Harness, token string) [16]byte {
	t.Helper()
	before := len(h.Log.Entries())
	shown(t, h, token)
	return entriesSince(h, before)[0].Items[0].Subject
}

// A reveal of a honey record is answered as usual, or like one of nothing; the
// log names the person either way, and the detector knows who it is.
func TestHoney(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		trap := tokenOf(t, put(t, h, "trap", "note", "bait"), "note")
		silent := tokenOf(t, put(t, h, "silent", "note", "bait"), "note")
		plain := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
		check := func(when string, marked bool) {
			t.Helper()
			want := []string{"bait", "bait", "tea"}
			if marked {
				want[1] = "TOKEN_NOT_FOUND"
			}
			if got := shown(t, h, trap, silent, plain); !slices.Equal(got, want) {
				t.Errorf("%s: revealed %q, want %q", when, got, want)
			}
			for i, token := range []string{trap, silent, plain} {
				if got := h.Vault.IsHoney(revealSubject(t, h, token)); got != (marked && i < 2) {
					t.Errorf("%s: token %d is of a honey record: %t", when, i, got)
				}
			}
			if h.Vault.IsHoney([16]byte{}) || h.Vault.IsHoney([16]byte{1, 2, 3}) {
				t.Errorf("%s: nobody is a honey record", when)
			}
		}
		check("before", false)
		mark(t, h, "trap", false)
		mark(t, h, "silent", true)
		check("marked", true)
		h.Apply(testPolicy + "\n# changed\n")
		check("under another policy", true)
		h.Reopen()
		check("after a restart", true)
		got, err := h.Vault.Honeys(t.Context(), as("guard"))
		want := []vault.Honey{{Subject: "trap", Reason: "INC-1", By: as("guard").Principal}, {Subject: "silent", Refuse: true, Reason: "INC-1", By: as("guard").Principal}}
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(vault.Honey{}, "At")); err != nil || diff != "" {
			t.Errorf("the list: %v %s", err, diff)
		}
		mark(t, h, "trap", true) // again, with other settings
		if got := shown(t, h, trap); got[0] != "TOKEN_NOT_FOUND" || len(scanAll(t, h.Values, rows.Honey)) != 2 {
			t.Errorf("marked again: %q", got)
		}
		unmark(t, h, "trap")
		unmark(t, h, "silent")
		check("unmarked", false)
		if n := len(scanAll(t, h.Values, rows.Honey)); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

// Who asks cannot tell a honey record that refuses from nothing; only the log
// differs, by the person.
func TestHoneyIsLikeNothing(t *testing.T) {
	h := open(t)
	r := put(t, h, "trap", "full_name", "Ada Lovelace", "email", "ada@example.org", "note", "bait")
	gone := put(t, h, "gone", "full_name", "Ada Lovelace", "email", "ada@example.org", "note", "bait")
	remove(t, h, "customers", "gone")
	mark(t, h, "trap", true)
	read := func(subject string, names ...string) (string, *audit.Entry) {
		before := len(h.Log.Entries())
		got, err := h.Vault.ReadRecord(t.Context(), as("support"), vault.ReadRequest{Collection: "customers", SubjectID: subject, Purpose: "support", Fields: names})
		return told(got, err), entriesSince(h, before)[0]
	}
	for _, names := range [][]string{nil, {"note"}, {"note", "card"}} {
		trapped, entry := read("trap", names...)
		nothing, other := read("gone", names...)
		if trapped != nothing {
			t.Errorf("a read of %v: %q, and of nothing %q", names, trapped, nothing)
		}
		if len(entry.Items) != 1 || !h.Vault.IsHoney(entry.Items[0].Subject) || entry.Items[0].Outcome != audit.Refused || entry.Items[0].Refusal != uint16(vault.RecordNotFound) {
			t.Errorf("logged %+v", entry.Items)
		}
		if diff := cmp.Diff(other, entry, cmpopts.IgnoreFields(audit.Entry{}, "ID", "Time", "Items")); diff != "" {
			t.Error(diff)
		}
	}
	for _, c := range []struct{ who, field, purpose string }{{"support", "note", "support"}, {"mailer", "email", "newsletter"}, {"reader", "full_name", "payment"}} {
		one := func(r *vault.Record) string {
			var out vault.Revealed
			err := h.Vault.Detokenize(t.Context(), as(c.who), vault.DetokenizeRequest{Tokens: tokensOf(r, c.field), Purpose: c.purpose}, &out)
			return fmt.Sprintf("%v %+v", err, out.Items)
		}
		if a, b := one(r), one(gone); a != b {
			t.Errorf("%s: %s, and of nothing %s", c.field, a, b)
		}
	}
	// Tokens and metadata are as usual, as are changes.
	if get(t, h, "trap") == nil {
		t.Error("the record itself is hidden")
	}
	upsert(t, h, "trap", "note", "more bait")
}

func TestHoneyRequests(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	put(t, h, "gone", "note", "tea")
	remove(t, h, "customers", "gone")
	good := vault.HoneyRequest{Subject: "c-1", Reason: "INC-1"}
	for _, c := range []struct {
		name, who string
		q         vault.HoneyRequest
		want      vault.Reason
	}{
		{"nobody", "guard", vault.HoneyRequest{Reason: "INC-1"}, vault.InvalidRequest},
		{"no reason", "guard", vault.HoneyRequest{Subject: "c-1"}, vault.InvalidRequest},
		{"free text", "guard", vault.HoneyRequest{Subject: "c-1", Reason: "for fun"}, vault.InvalidRequest},
		{"unknown", "guard", vault.HoneyRequest{Subject: "c-9", Reason: "INC-1"}, vault.SubjectNotFound},
		{"erased", "guard", vault.HoneyRequest{Subject: "gone", Reason: "INC-1"}, vault.SubjectNotFound},
		{"no right", "shop", good, vault.ActionDenied},
		{"no right, and not there", "shop", vault.HoneyRequest{Subject: "c-9"}, vault.ActionDenied},
		{"the administrator", "admin", good, vault.ActionDenied},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := len(h.Log.Entries())
			wantReason(t, h.Vault.MarkHoney(t.Context(), as(c.who), c.q), c.want)
			wantReason(t, h.Vault.UnmarkHoney(t.Context(), as(c.who), c.q.Subject, c.q.Reason), c.want)
			for _, e := range entriesSince(h, before) {
				if e.Action != audit.ActionHoney || e.Outcome != audit.Refused || len(e.Items) > 0 {
					t.Errorf("logged %+v", e)
				}
			}
			if n := len(entriesSince(h, before)); n != 2 {
				t.Errorf("%d entries", n)
			}
		})
	}
	wantReason(t, h.Vault.UnmarkHoney(t.Context(), as("guard"), "c-1", "INC-1"), vault.SubjectNotFound)
	_, err := h.Vault.Honeys(t.Context(), as("relief"))
	wantReason(t, err, vault.ActionDenied)
}
