package vault_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
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
