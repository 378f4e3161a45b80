package vault_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func tokenize(t *testing.T, h *vaulttest.Harness, field string, pairs ...string) []vault.TokenizeResult {
	t.Helper()
	q := vault.TokenizeRequest{Collection: "customers", Field: field}
	for i := 0; i < len(pairs); i += 2 {
		q.Items = append(q.Items, vault.TokenizeItem{SubjectID: pairs[i], Value: vaulttest.Text(pairs[i+1])})
	}
	r, err := h.Vault.Tokenize(t.Context(), as("shop"), q)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestTokenize(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		held := put(t, h, "c-1", "full_name", "Ada Lovelace", "email", "a@example.org")
		order(t, h, "c-2", "Main Street 1")
		for _, c := range []struct {
			name, field, subject, value string
			stored                      bool
			refusal                     vault.Reason
		}{
			{"a value that is there, in another spelling", "email", "c-1", " A@EXAMPLE.org ", false, 0},
			{"one more item", "email", "c-1", "b@example.org", true, 0},
			{"the second, again", "email", "c-1", "b@example.org", false, 0},
			{"the last that fits", "email", "c-1", "c@example.org", true, 0},
			{"one too many", "email", "c-1", "d@example.org", false, vault.TooManyValues},
			{"a field without a value", "note", "c-1", "tea", true, 0},
			{"another value of a single-valued field", "full_name", "c-1", "Someone Else", false, vault.ValueExists},
			{"a person without this record", "note", "c-2", "tea", true, 0},
			{"a new person", "note", "c-3", "tea", true, 0},
			{"a bad value", "card", "c-1", "4111111111111112", false, vault.InvalidValue},
			{"no id", "note", "", "tea", false, vault.InvalidRequest},
		} {
			r := tokenize(t, h, c.field, c.subject, c.value)[0]
			if c.refusal != 0 {
				if r.Err == nil || r.Err.Reason != c.refusal || r.Token != "" || r.Stored {
					t.Errorf("%s: %+v, want %v", c.name, r, c.refusal)
				}
				continue
			}
			if r.Err != nil || r.Stored != c.stored {
				t.Errorf("%s: %+v", c.name, r)
				continue
			}
			if !slices.Contains(tokensOf(get(t, h, c.subject), c.field), r.Token) {
				t.Errorf("%s: the record has no such token", c.name)
			}
		}
		got := get(t, h, "c-1")
		wantShown(t, h, tokensOf(got, "email"), "a@example.org", "b@example.org", "c@example.org")
		wantShown(t, h, tokensOf(got, "full_name"), "Ada Lovelace")
		if tokenOf(t, got, "email") != tokenOf(t, held, "email") {
			t.Error("the first token changed")
		}
	})
}

func TestTokenizeBatch(t *testing.T) {
	h := open(t)
	q := vault.TokenizeRequest{Collection: "customers", Field: "note"}
	for i := range vault.MaxBatch + 1 {
		q.Items = append(q.Items, vault.TokenizeItem{SubjectID: fmt.Sprintf("c-%d", i), Value: vaulttest.Text(fmt.Sprintf("note %d", i))})
	}
	_, err := h.Vault.Tokenize(t.Context(), as("shop"), q)
	wantReason(t, err, vault.InvalidRequest)
	q.Items = q.Items[:vault.MaxBatch]
	q.Items[4].SubjectID = "c-3"
	q.Items[6].Value = vaulttest.Data([]byte("x"))
	r, err := h.Vault.Tokenize(t.Context(), as("shop"), q)
	if err != nil || len(r) != vault.MaxBatch {
		t.Fatal(err)
	}
	for i := range r {
		if bad := i == 4 || i == 6; bad != (r[i].Err != nil) || bad == r[i].Stored {
			t.Fatalf("item %d: %+v", i, r[i])
		}
	}
	wantShown(t, h, []string{r[3].Token, r[999].Token}, "note 3", "note 999")
	for name, c := range map[string]struct {
		who  string
		q    vault.TokenizeRequest
		want vault.Reason
	}{
		"no item":            {"shop", vault.TokenizeRequest{Collection: "customers", Field: "note"}, vault.InvalidRequest},
		"unknown collection": {"shop", vault.TokenizeRequest{Collection: "x", Field: "note", Items: q.Items[:1]}, vault.UnknownCollection},
		"unknown field":      {"shop", vault.TokenizeRequest{Collection: "customers", Field: "x", Items: q.Items[:1]}, vault.UnknownField},
		"unknown domain":     {"shop", vault.TokenizeRequest{Collection: "customers", Field: "note", Domain: "x", Items: q.Items[:1]}, vault.UnknownDomain},
		"denied domain":      {"shop", vault.TokenizeRequest{Collection: "customers", Field: "note", Domain: "analytics", Items: q.Items[:1]}, vault.DomainDenied},
		"denied field":       {"clerk", vault.TokenizeRequest{Collection: "customers", Field: "note", Items: q.Items[:1]}, vault.FieldDenied},
		"no right":           {"billing", vault.TokenizeRequest{}, vault.ActionDenied},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := h.Vault.Tokenize(t.Context(), as(c.who), c.q)
			wantReason(t, err, c.want)
		})
	}
}

func TestDescribeTokens(t *testing.T) {
	h := open(t)
	r := put(t, h, "c-1", "note", "tea", "email", "a@example.org")
	street := tokenOf(t, order(t, h, "c-1", "Main Street 1"), "street")
	note := tokenOf(t, r, "note")
	gone := tokenOf(t, put(t, h, "c-2", "note", "x"), "note")
	remove(t, h, "customers", "c-2")
	typo := note[:len(note)-1] + string(note[len(note)-1]^1)
	got, err := h.Vault.DescribeTokens(t.Context(), as("shop"), []string{note, street, note, gone, typo, "tea"})
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		field   string
		refusal vault.Reason
	}{{"note", 0}, {"street", 0}, {"note", 0}, {"", vault.TokenNotFound}, {"", vault.MalformedToken}, {"", vault.MalformedToken}} {
		d := got[i]
		if want.refusal != 0 {
			if d.Err == nil || d.Err.Reason != want.refusal || d.Field != nil || d.Domain != nil {
				t.Errorf("token %d: %+v, want %v", i, d, want.refusal)
			}
			continue
		}
		if d.Err != nil || d.Field.Name != want.field || d.Domain.ID != policy.DefaultDomain || !d.Latest {
			t.Errorf("token %d: %+v", i, d)
		}
	}
	got, err = h.Vault.DescribeTokens(t.Context(), as("clerk"), []string{note, street, gone})
	if err != nil {
		t.Fatal(err)
	}
	if got[0].Err == nil || got[2].Err == nil || got[1].Err != nil || got[0].Err.Reason != got[2].Err.Reason || got[0].Err.Error() != got[2].Err.Error() {
		t.Errorf("the clerk: %+v", got)
	}
	many := slices.Repeat([]string{note}, vault.MaxBatch+1)
	if _, err := h.Vault.DescribeTokens(t.Context(), as("shop"), many[:vault.MaxBatch]); err != nil {
		t.Error(err)
	}
	_, err = h.Vault.DescribeTokens(t.Context(), as("shop"), many)
	wantReason(t, err, vault.InvalidRequest)
	_, err = h.Vault.DescribeTokens(t.Context(), as("shop"), nil)
	wantReason(t, err, vault.InvalidRequest)
	_, err = h.Vault.DescribeTokens(t.Context(), as("billing"), many)
	wantReason(t, err, vault.ActionDenied)
}

// A value past its retention is as good as none: Tokenize neither confirms it
// nor lets it stand in the way of a new one.
func TestTokenizeAfterRetention(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		old := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
		h.Clock.Add(31 * 24 * time.Hour)
		for _, value := range []string{"tea", "tea"} { // stored anew, then found
			r, err := h.Vault.Tokenize(t.Context(), as("shop"), vault.TokenizeRequest{
				Collection: "customers", Field: "note", Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text(value)}},
			})
			if err != nil || r[0].Err != nil {
				t.Fatal(err, r)
			}
			if r[0].Token == old {
				t.Error("the expired value was confirmed by its token")
			}
			wantShown(t, h, []string{r[0].Token}, "tea")
		}
		wantShown(t, h, []string{old}, "TOKEN_NOT_FOUND")
	})
}
