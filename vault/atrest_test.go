package vault_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// cellTime is what a cell holds before its value.
const cellTime = 8

// Equal values are told apart by nobody who reads the rows: no sealed row
// shares a part with another, and the size of a cell tells the length of its
// value up to the padding, and nothing more.
func TestEqualValuesDiffer(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		for i := range 40 {
			upsert(t, h, fmt.Sprintf("c-%d", i), "note", "the same note for everybody", "email", "same@example.org", "email", "same@example.org", "card", "4111111111111111")
		}
		put(t, h, "again", "note", "the same note for everybody")
		remove(t, h, "customers", "again")
		put(t, h, "again", "note", "the same note for everybody")
		seen := map[string]string{}
		sealed := 0
		for _, r := range scanAll(t, h.Values, rows.People) {
			k, err := rows.ParsePersonKey(r.Key)
			if err != nil {
				t.Fatal(err)
			}
			if k.Field == 0 && !k.Identity {
				continue
			}
			sealed++
			// The format and the key's id stand before; from there on, no
			// block of 8 bytes comes twice in all rows.
			for i := 6; i+8 <= len(r.Value); i++ {
				part := string(r.Value[i : i+8])
				if where, twice := seen[part]; twice {
					t.Fatalf("rows %x and %s share bytes", r.Key, where)
				}
				seen[part] = fmt.Sprintf("%x", r.Key)
			}
		}
		if sealed != 40*5+2 {
			t.Errorf("%d sealed rows, want %d", sealed, 40*5+2)
		}
	})
}

func TestCellSizes(t *testing.T) {
	h := open(t)
	for n := 1; n <= 70; n++ {
		id := fmt.Sprintf("c-%d", n)
		put(t, h, id, "note", strings.Repeat("x", n))
		refs, _ := refsOf(t, h)
		cell := cellsOf(t, h, refs[len(refs)-1])[0]
		if got, want := len(cell.Value), seal.BlobSize(cellTime+n); got != want {
			t.Errorf("a value of %d bytes makes a cell of %d, want %d", n, got, want)
		}
	}
	if seal.BlobSize(cellTime+1) != seal.BlobSize(cellTime+7) || seal.BlobSize(cellTime+7) == seal.BlobSize(cellTime+8) {
		t.Error("sizes do not go in steps of 16")
	}
}

// The id under which a caller knows a person is found by a keyed hash: two
// vaults have different ones for the same id, and none is the hash of the id.
func TestLookupIsKeyed(t *testing.T) {
	var hashes [2][]byte
	for i := range hashes {
		h := open(t)
		var g *gate
		h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
		h.Reopen()
		g.set(func(b *store.Batch) error {
			for _, w := range b.Writes {
				if w.Table == rows.Lookup {
					hashes[i] = bytes.Clone(w.Key)
				}
			}
			return nil
		}, nil)
		put(t, h, "c-1", "note", "x")
	}
	if len(hashes[0]) != 16 || len(hashes[1]) != 16 || bytes.Equal(hashes[0], hashes[1]) {
		t.Error("the hash of an id depends on nothing secret")
	}
}
