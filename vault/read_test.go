package vault_test

import (
	"encoding/base64"
	"fmt"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// Ids are answered in their places, also those that stand twice.
func TestGetRecords(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		first := put(t, h, "c-1", "note", "tea", "email", "a@example.org")
		put(t, h, "c-2", "note", "coffee")
		order(t, h, "c-4", "Main Street 1")
		ids := []string{"c-2", "c-3", "", "c-1", "c-2", "c-4"}
		r, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: ids})
		if err != nil || len(r) != len(ids) {
			t.Fatal(err, len(r))
		}
		for i, want := range []vault.Reason{0, vault.RecordNotFound, vault.InvalidRequest, 0, 0, vault.RecordNotFound} {
			switch {
			case want != 0 && (r[i].Err == nil || r[i].Err.Reason != want || r[i].Record != nil):
				t.Errorf("item %d: %+v, want %v", i, r[i], want)
			case want == 0 && (r[i].Err != nil || r[i].Record.SubjectID != ids[i]):
				t.Errorf("item %d: %+v", i, r[i])
			}
		}
		got := r[3].Record
		if got.ETag != first.ETag || !got.Created.Equal(first.Created) || got.Collection != "customers" {
			t.Errorf("got %+v, want %+v", got, first)
		}
		// Fields stand in the order of the policy, and only those with values.
		if len(got.Fields) != 2 || got.Fields[0].Field != "email" || got.Fields[1].Field != "note" {
			t.Errorf("fields: %+v", got.Fields)
		}
	})
}

func TestGetLimits(t *testing.T) {
	h := open(t)
	ids := make([]string, vault.MaxBatch+1)
	for i := range ids {
		ids[i] = fmt.Sprintf("c-%d", i)
	}
	call := func(who, collection, domain string, ids []string) error {
		_, err := h.Vault.GetRecords(t.Context(), as(who), vault.GetRequest{Collection: collection, SubjectIDs: ids, Domain: domain})
		return err
	}
	if err := call("shop", "customers", "", ids[:vault.MaxBatch]); err != nil {
		t.Error(err)
	}
	wantReason(t, call("shop", "customers", "", ids), vault.InvalidRequest)
	wantReason(t, call("shop", "customers", "", nil), vault.InvalidRequest)
	wantReason(t, call("shop", "suppliers", "", ids[:1]), vault.UnknownCollection)
	wantReason(t, call("shop", "customers", "mars", ids[:1]), vault.UnknownDomain)
	wantReason(t, call("shop", "customers", "analytics", ids[:1]), vault.FieldDenied)
	wantReason(t, call("analyst", "customers", "", ids[:1]), vault.FieldDenied)
	wantReason(t, call("clerk", "customers", "", ids[:1]), vault.FieldDenied)
	wantReason(t, call("billing", "customers", "", ids[:1]), vault.ActionDenied)
	wantReason(t, call("stranger", "customers", "", ids[:1]), vault.PrincipalUnknown)
}

// Tokens of one domain are not those of another, and only open for who holds
// the right in that domain.
func TestDomains(t *testing.T) {
	h := open(t)
	own := tokenOf(t, put(t, h, "c-1", "full_name", "Ada Lovelace", "note", "tea"), "full_name")
	r, err := h.Vault.GetRecords(t.Context(), as("analyst"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}, Domain: "analytics"})
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	theirs := tokenOf(t, r[0].Record, "full_name")
	if own == theirs || own[:16] == theirs[:16] {
		t.Error("tokens of two domains can be joined")
	}
	if got, refusal := reveal(t, h, "lab", theirs, "support", 0); got != "Ada Lovelace" {
		t.Errorf("the lab, in its domain: %q, %v", got, refusal)
	}
	if _, refusal := reveal(t, h, "support", theirs, "support", policy.ViewPlain); refusal != vault.DomainDenied {
		t.Errorf("support, in another domain: %v", refusal)
	}
	if _, refusal := reveal(t, h, "lab", own, "support", 0); refusal != vault.DomainDenied {
		t.Errorf("the lab, in the default domain: %v", refusal)
	}
	// Of an answer in a domain the caller may not read, the tokens are left out.
	p, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Domain: "analytics", Records: []vault.RecordInput{record("c-2", "note", "x")}})
	if err != nil || p[0].Err != nil || len(p[0].Record.Fields) != 0 {
		t.Errorf("%v, %+v", err, p)
	}
	k, err := h.Vault.Tokenize(t.Context(), as("lab"), vault.TokenizeRequest{Collection: "customers", Field: "full_name", Domain: "analytics",
		Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("Ada Lovelace")}}})
	if err != nil || k[0].Token != theirs {
		t.Errorf("tokenize in the domain: %v, %+v", err, k)
	}
}

func TestListRecords(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		var want []string
		for i := range 25 {
			put(t, h, fmt.Sprintf("c-%d", i), "note", "x")
			want = append(want, fmt.Sprintf("c-%d", i))
		}
		order(t, h, "o-1", "Main Street 1")
		list := func(size int) []string {
			t.Helper()
			var all []string
			next := ""
			for {
				page, token, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers", PageSize: size, PageToken: next})
				if err != nil {
					t.Fatal(err)
				}
				if size > 0 && len(page) > size {
					t.Fatalf("a page of %d records, want at most %d", len(page), size)
				}
				for _, r := range page {
					all = append(all, r.SubjectID)
				}
				if next = token; next == "" {
					return all
				}
			}
		}
		for _, size := range []int{0, 1, 7, 25, 1000} {
			if got := list(size); !slices.Equal(got, want) {
				t.Errorf("in pages of %d: %q", size, got)
			}
		}
		remove(t, h, "customers", "c-3")
		want = slices.DeleteFunc(want, func(s string) bool { return s == "c-3" })
		put(t, h, "c-3", "note", "back") // a new person, so the last
		if got := list(4); !slices.Equal(got, append(want, "c-3")) {
			t.Errorf("after a delete: %q", got)
		}
	})
}

func TestPageTokens(t *testing.T) {
	h := open(t)
	for i := range 3 {
		put(t, h, fmt.Sprintf("c-%d", i), "note", "x")
	}
	list := func(who, collection, domain, token string, size int) error {
		_, _, err := h.Vault.ListRecords(t.Context(), as(who), vault.ListRequest{Collection: collection, PageSize: size, PageToken: token, Domain: domain})
		return err
	}
	_, token, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers", PageSize: 2})
	if err != nil || token == "" {
		t.Fatal(err)
	}
	if err := list("shop", "customers", "", token, 2); err != nil {
		t.Error(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(token)
	if err != nil {
		t.Fatal(err)
	}
	for i := range raw {
		bad := slices.Clone(raw)
		bad[i] ^= 1
		wantReason(t, list("shop", "customers", "", base64.RawURLEncoding.EncodeToString(bad), 2), vault.InvalidPageToken)
	}
	for name, c := range map[string]struct {
		err  error
		want vault.Reason
	}{
		"of another principal":  {list("analyst", "customers", "analytics", token, 2), vault.InvalidPageToken},
		"of another collection": {list("shop", "orders", "", token, 2), vault.InvalidPageToken},
		"made up":               {list("shop", "customers", "", "tea", 2), vault.InvalidPageToken},
		"cut off":               {list("shop", "customers", "", token[:20], 2), vault.InvalidPageToken},
		"a page of 1,001":       {list("shop", "customers", "", "", 1001), vault.InvalidRequest},
		"a page of -1":          {list("shop", "customers", "", "", -1), vault.InvalidRequest},
		"no right":              {list("clerk", "customers", "", token, 2), vault.FieldDenied},
		"no right at all":       {list("billing", "customers", "", "tea", -1), vault.ActionDenied},
	} {
		t.Run(name, func(t *testing.T) { wantReason(t, c.err, c.want) })
	}
}

// Who may read tokens of another domain only is not told the callers' own ids
// in a list: beside them, the tokens of two domains could be joined.
func TestListsNameNobodyToOtherDomains(t *testing.T) {
	h := open(t)
	put(t, h, "ada@example.org", "note", "tea")
	for _, c := range []struct{ who, domain, want string }{
		{"shop", "", "ada@example.org"}, {"analyst", "analytics", ""},
	} {
		records, _, err := h.Vault.ListRecords(t.Context(), as(c.who), vault.ListRequest{Collection: "customers", Domain: c.domain})
		if err != nil || len(records) != 1 {
			t.Fatalf("%s: %d records, %v", c.who, len(records), err)
		}
		if got := records[0].SubjectID; got != c.want {
			t.Errorf("%s is told %q, want %q", c.who, got, c.want)
		}
	}
}
