package vault_test

import (
	"bytes"
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// badPage is an engine that meets a damaged page whenever one of some keys is
// asked for.
type badPage struct {
	store.Store
	bad atomic.Pointer[[][]byte] // set while background work may read
}

func (b *badPage) on(keys ...[]byte) { b.bad.Store(&keys) }

func (b *badPage) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	var damaged [][]byte
	if on := b.bad.Load(); on != nil {
		damaged = *on
	}
	for _, k := range keys {
		for _, bad := range damaged {
			if bytes.Equal(k.Key, bad) {
				out.Reset()
				return fmt.Errorf("%w: page 7", store.ErrCorrupt)
			}
		}
	}
	return b.Store.Get(ctx, keys, out)
}

// A damaged page costs those whose rows it held their answers, and nobody
// else, in every call that takes many items.
func TestDamagedPageInABatch(t *testing.T) {
	h := open(t)
	const n = 20
	var tokens, ids []string
	for i := range n {
		ids = append(ids, fmt.Sprintf("c-%d", i))
		tokens = append(tokens, tokenOf(t, put(t, h, ids[i], "note", "tea"), "note"))
	}
	refs, _ := refsOf(t, h)
	p, k := &badPage{}, &badPage{}
	h.Wrap = func(s store.Store) store.Store { p.Store = s; return p }
	h.WrapKeys = func(s store.Store) store.Store { k.Store = s; return k }
	h.Reopen()
	p.on(rows.HeaderKey(refs[3]), rows.CellKey(refs[5], 4, 1))
	k.on(rows.RefKey(refs[7]))
	wantBad := func(call string, i int, err *vault.Error, bad ...int) {
		t.Helper()
		want := false
		for _, b := range bad {
			want = want || i == b
		}
		if want && (err == nil || err.Reason != vault.DataCorrupt) {
			t.Errorf("%s: item %d on the damaged page: %v", call, i, err)
		}
		if !want && err != nil {
			t.Errorf("%s: item %d elsewhere: %v", call, i, err)
		}
	}
	var out vault.Revealed
	err := h.Vault.Detokenize(t.Context(), as("support"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	for i := range out.Items {
		wantBad("detokenize", i, out.Items[i].Err, 3, 5, 7)
	}
	got, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: ids})
	if err != nil {
		t.Fatal(err)
	}
	for i := range got {
		wantBad("get", i, got[i].Err, 3)
	}
	described, err := h.Vault.DescribeTokens(t.Context(), as("shop"), tokens)
	if err != nil {
		t.Fatal(err)
	}
	for i := range described {
		wantBad("describe", i, described[i].Err, 3, 5)
	}
	q := vault.PutRequest{Collection: "customers", Upsert: true}
	for _, id := range ids {
		q.Records = append(q.Records, vault.RecordInput{SubjectID: id, Fields: fields("note", "coffee")})
	}
	stored, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
	if err != nil {
		t.Fatal(err)
	}
	for i := range stored {
		wantBad("put", i, stored[i].Err, 3, 7)
	}
	records, _, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers"})
	if err != nil || len(records) != n-2 { // without their ids nobody can name 3 and 7
		t.Errorf("list: %d records, %v", len(records), err)
	}
}
