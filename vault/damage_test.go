package vault_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// change writes a row past the vault.
func change(t *testing.T, s store.Store, table uint8, key, value []byte) {
	t.Helper()
	var b store.Batch
	if value == nil {
		b.Delete(table, key)
	} else {
		b.Put(table, key, value)
	}
	if err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

// cellsOf returns the cells of a person, by field and item.
func cellsOf(t *testing.T, h *vaulttest.Harness, ref uint64) []store.Row {
	t.Helper()
	var out []store.Row
	for _, r := range scanAll(t, h.Values, rows.People) {
		if k, err := rows.ParsePersonKey(r.Key); err == nil && k.Ref == ref && k.Field != 0 {
			out = append(out, r)
		}
	}
	return out
}

// three stores three persons with a note each and returns refs and tokens.
func three(t *testing.T, h *vaulttest.Harness) (refs []uint64, tokens []string) {
	t.Helper()
	for i := range 3 {
		tokens = append(tokens, tokenOf(t, put(t, h, fmt.Sprintf("c-%d", i), "note", fmt.Sprintf("note %d", i)), "note"))
	}
	refs, _ = refsOf(t, h)
	return refs, tokens
}

// A key that is missing without a line in the ledger is lost data: that person
// only, never taken for an erasure, and never swept or made anew.
func TestLostPersonKey(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		var logged bytes.Buffer
		h.Logger = slog.New(slog.NewTextHandler(&logged, nil))
		refs, tokens := three(t, h)
		change(t, h.Keys, rows.Subjects, rows.RefKey(refs[1]), nil)
		h.Reopen() // the key was in the cache
		wantShown(t, h, tokens, "note 0", "DATA_CORRUPT", "note 2")
		got, err := h.Vault.ReadRecord(t.Context(), as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "support"})
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range got.Fields {
			if f.Count > 0 && got.Values.Items[f.First].Err.Reason != vault.DataCorrupt {
				t.Errorf("read: %v", got.Values.Items[f.First].Err)
			}
		}
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{
			record("c-0", "note", "new 0"), record("c-1", "note", "new 1"), record("c-2", "note", "new 2"),
		}})
		if err != nil || r[0].Err != nil || r[2].Err != nil || r[1].Err == nil || r[1].Err.Reason != vault.DataCorrupt {
			t.Errorf("upsert: %v, %+v", err, r)
		}
		page, _, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers"})
		if err != nil || len(page) != 2 {
			t.Errorf("list: %v, %d records, want the 2 that open", err, len(page))
		}
		wantShown(t, h, tokens, "new 0", "DATA_CORRUPT", "new 2")
		if !bytes.Contains(logged.Bytes(), []byte("key is missing")) {
			t.Error("the server's log has no alarm")
		}
		// The person can still be erased, and is erased then.
		remove(t, h, "customers", "c-1")
		wantShown(t, h, tokens, "new 0", "TOKEN_NOT_FOUND", "new 2")
	})
}

// A changed key row opens nothing.
func TestDamagedPersonKey(t *testing.T) {
	h := open(t)
	refs, tokens := three(t, h)
	for _, r := range scanAll(t, h.Keys, rows.Subjects) {
		if !bytes.Equal(r.Key, rows.RefKey(refs[1])) {
			continue
		}
		for i := range r.Value {
			bad := bytes.Clone(r.Value)
			bad[i] ^= 0x40
			change(t, h.Keys, rows.Subjects, r.Key, bad)
			h.Reopen()
			if got := shown(t, h, tokens...); got[0] != "note 0" || got[1] != "DATA_CORRUPT" || got[2] != "note 2" {
				t.Fatalf("byte %d flipped: %q", i, got)
			}
		}
	}
}

// Each byte of a cell counts, and a damaged cell is one item's error.
func TestDamagedCell(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		refs, tokens := three(t, h)
		cell := cellsOf(t, h, refs[1])[0]
		for i := range cell.Value {
			bad := bytes.Clone(cell.Value)
			bad[i] ^= 1
			change(t, h.Values, rows.People, cell.Key, bad)
			if got := shown(t, h, tokens...); got[0] != "note 0" || got[1] != "DATA_CORRUPT" || got[2] != "note 2" {
				t.Fatalf("byte %d of %d flipped: %q", i, len(bad), got)
			}
		}
		for name, bad := range map[string][]byte{
			"empty": {}, "cut off": cell.Value[:len(cell.Value)-1], "longer": append(bytes.Clone(cell.Value), 0), "zeros": make([]byte, len(cell.Value)),
		} {
			change(t, h.Values, rows.People, cell.Key, bad)
			if got := shown(t, h, tokens...); got[0] != "note 0" || got[1] != "DATA_CORRUPT" || got[2] != "note 2" {
				t.Errorf("%s: %q", name, got)
			}
		}
		k, err := h.Vault.Tokenize(t.Context(), as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "note", Items: []vault.TokenizeItem{
			{SubjectID: "c-0", Value: vaulttest.Text("note 0")}, {SubjectID: "c-1", Value: vaulttest.Text("note 1")},
		}})
		if err != nil || k[0].Err != nil || k[1].Err == nil || k[1].Err.Reason != vault.DataCorrupt {
			t.Errorf("tokenize: %v, %+v", err, k)
		}
		change(t, h.Values, rows.People, cell.Key, cell.Value)
		wantShown(t, h, tokens, "note 0", "note 1", "note 2")
	})
}

// A cell opens in its place only.
func TestMovedCell(t *testing.T) {
	h := open(t)
	a := put(t, h, "c-1", "full_name", "Ada", "note", "tea", "email", "a@example.org", "email", "b@example.org")
	b := put(t, h, "c-2", "full_name", "Bea", "note", "coffee", "email", "c@example.org", "email", "d@example.org")
	refs, _ := refsOf(t, h)
	from, to := cellsOf(t, h, refs[0]), cellsOf(t, h, refs[1])
	mail := [2]int{}
	for i, r := range from {
		if k, _ := rows.ParsePersonKey(r.Key); k.Item == 2 {
			mail = [2]int{i - 1, i}
		}
	}
	for _, c := range []struct {
		name    string
		source  store.Row
		target  []byte
		token   string
		opensAs string
	}{
		{"to another person", from[0], to[0].Key, tokensOf(b, "full_name")[0], "Ada"},
		{"to another field", from[0], from[len(from)-1].Key, tokensOf(a, "note")[0], "Ada"},
		{"to another item", from[mail[0]], from[mail[1]].Key, tokensOf(a, "email")[1], "a@example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var have store.Rows
			if err := h.Values.Get(t.Context(), []store.Key{{Table: rows.People, Key: c.target}}, &have); err != nil {
				t.Fatal(err)
			}
			was, ok := have.Value(0)
			if !ok {
				t.Fatal("there is no such place")
			}
			change(t, h.Values, rows.People, c.target, c.source.Value)
			if got := shown(t, h, c.token); got[0] != "DATA_CORRUPT" {
				t.Errorf("revealed %q", got)
			}
			change(t, h.Values, rows.People, c.target, was)
		})
	}
}

// A key is not swept while its person has rows: a header that is gone is
// damage, and the key is the last hope.
func TestKeyOfADamagedPersonIsKept(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		put(t, h, "c-1", "note", "tea")
		refs, _ := refsOf(t, h)
		var b store.Batch
		b.Delete(rows.People, rows.HeaderKey(refs[0]))
		if err := h.Values.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		h.Reopen()
		h.Vault.WaitSwept()
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != 1 {
			t.Errorf("%d keys are left, want 1", n)
		}
	})
}
