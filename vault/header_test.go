package vault_test

import (
	"context"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A reveal obeys the header, whatever else is stored.
func TestHeaderDecides(t *testing.T) {
	for name, header := range map[string]rows.Header{
		"erased":                       {State: rows.Erased, KeyGeneration: 1, TokenGeneration: 1, Records: 1},
		"all tokens of it are revoked": {State: rows.Active, KeyGeneration: 1, TokenGeneration: 2, Records: 1},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			refs, tokens := three(t, h)
			wantShown(t, h, tokens, "note 0", "note 1", "note 2")
			change(t, h.Values, rows.People, rows.HeaderKey(refs[1]), header.Append(nil))
			wantShown(t, h, tokens, "note 0", "TOKEN_NOT_FOUND", "note 2")
			d, err := h.Vault.DescribeTokens(t.Context(), as("shop"), tokens)
			if err != nil || d[0].Err != nil || d[1].Err == nil || d[1].Err.Reason != vault.TokenNotFound {
				t.Errorf("described as %+v, %v", d, err)
			}
		})
	}
}

// peeking calls a function once, after the rows of a person were read.
type peeking struct {
	store.Store
	once sync.Once
	then func()
}

func (p *peeking) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	err := p.Store.Get(ctx, keys, out)
	for _, k := range keys {
		if k.Table == rows.People && len(k.Key) > len(rows.ControlKey) && p.then != nil {
			p.once.Do(p.then)
		}
	}
	return err
}

// A person whom another node erases while a call is on its way is gone, and
// that is no loss of data: a write makes a new person, a reveal finds nothing,
// a list leaves them out.
func TestErasedByAnotherNode(t *testing.T) {
	for name, call := range map[string]func(v *vault.Vault, token string) (vault.Reason, error){
		"upsert": func(v *vault.Vault, _ string) (vault.Reason, error) {
			r, err := v.PutRecords(context.Background(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "note", "new")}})
			if err != nil || r[0].Err == nil {
				return 0, err
			}
			return r[0].Err.Reason, nil
		},
		"reveal": func(v *vault.Vault, token string) (vault.Reason, error) {
			var out vault.Revealed
			err := v.Detokenize(context.Background(), as("reader"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "support"}, &out)
			if err != nil || out.Items[0].Err == nil {
				return 0, err
			}
			return out.Items[0].Err.Reason, nil
		},
		"list": func(v *vault.Vault, _ string) (vault.Reason, error) {
			page, _, err := v.ListRecords(context.Background(), as("shop"), vault.ListRequest{Collection: "customers"})
			return vault.Reason(len(page)), err
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			token := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
			other := node(t, h)
			var p *peeking
			h.Wrap = func(s store.Store) store.Store { p = &peeking{Store: s}; return p }
			h.Reopen() // with no key in its cache
			erased := false
			p.then = func() {
				_, err := other.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
				erased = err == nil
			}
			got, err := call(h.Vault, token)
			want := map[string]vault.Reason{"upsert": 0, "reveal": vault.TokenNotFound, "list": 0}[name]
			if err != nil || got != want || !erased {
				t.Errorf("%v, %v; want %v (erased: %t)", got, err, want, erased)
			}
			for _, e := range h.Log.Entries() {
				for _, it := range e.Items {
					if it.Refusal == uint16(vault.DataCorrupt) {
						t.Error("the log tells of damaged data")
					}
				}
			}
		})
	}
}

// Damaged headers and records are errors of their own person.
func TestDamagedRows(t *testing.T) {
	for _, c := range []struct {
		name  string
		key   func(ref uint64) []byte
		value []byte
		shown string
	}{
		{"header of an unknown format", rows.HeaderKey, []byte{9, 1, 0, 0, 0, 1, 1, 0, 0, 1}, "DATA_CORRUPT"},
		{"header with a flag of the future", rows.HeaderKey, []byte{1, 1, 0, 0, 0, 1, 1, 1, 0, 1}, "DATA_CORRUPT"},
		{"header cut off", rows.HeaderKey, []byte{1, 1}, "DATA_CORRUPT"},
		{"header of another key generation", rows.HeaderKey, []byte{1, 1, 0, 0, 0, 2, 1, 0, 0, 1}, "DATA_CORRUPT"},
		{"record cut off", func(ref uint64) []byte { return rows.RecordKey(ref, 1) }, []byte{1, 1, 0}, "note 1"},
		{"record of an unknown format", func(ref uint64) []byte { return rows.RecordKey(ref, 1) }, []byte{7}, "note 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			refs, tokens := three(t, h)
			change(t, h.Values, rows.People, c.key(refs[1]), c.value)
			wantShown(t, h, tokens, "note 0", c.shown, "note 2")
			ids := []string{"c-0", "c-1", "c-2"}
			got, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: ids})
			if err != nil || got[0].Err != nil || got[2].Err != nil {
				t.Fatalf("get: %v, %+v", err, got)
			}
			if c.name != "header of another key generation" && (got[1].Err == nil || got[1].Err.Reason != vault.DataCorrupt) {
				t.Errorf("get: %+v", got[1])
			}
			if page, _, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers"}); err != nil || len(page) != 2 {
				t.Errorf("list: %v, %d records", err, len(page))
			}
			r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{
				record("c-0", "note", "new 0"), record("c-1", "note", "new 1"), record("c-9", "note", "new 9"),
			}})
			if err != nil || r[0].Err != nil || r[2].Err != nil || r[1].Err == nil || r[1].Err.Reason != vault.DataCorrupt {
				t.Errorf("upsert: %v, %+v", err, r)
			}
		})
	}
}
