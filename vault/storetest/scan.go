package storetest

import (
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func testScan(t *testing.T, e Engine) {
	f := newFixture(t, e)
	for _, k := range []string{"b", "a", "\x00", "c\x00", "c", "cc", "\xff\xff", "d"} {
		f.put(Cells, k, "v"+k)
	}
	f.put(Ledger, "a2", "of another table")
	tests := []struct {
		name     string
		from, to []byte
		limit    int
		want     []string
	}{
		{"all", nil, nil, 100, []string{"\x00", "a", "b", "c", "c\x00", "cc", "d", "\xff\xff"}},
		{"all, empty from", []byte{}, nil, 100, []string{"\x00", "a", "b", "c", "c\x00", "cc", "d", "\xff\xff"}},
		{"from is inside", []byte("b"), nil, 2, []string{"b", "c"}},
		{"from is absent", []byte("bb"), nil, 2, []string{"c", "c\x00"}},
		{"to is outside", []byte("a"), []byte("c"), 100, []string{"a", "b"}},
		{"to is absent", []byte("a"), []byte("bzz"), 100, []string{"a", "b"}},
		{"prefix", []byte("c"), store.PrefixEnd([]byte("c")), 100, []string{"c", "c\x00", "cc"}},
		{"after a key", store.Next([]byte("c")), nil, 1, []string{"c\x00"}},
		{"prefix without end", []byte("\xff"), store.PrefixEnd([]byte("\xff")), 9, []string{"\xff\xff"}},
		{"limit cuts", nil, nil, 3, []string{"\x00", "a", "b"}},
		{"limit fits", nil, nil, 8, []string{"\x00", "a", "b", "c", "c\x00", "cc", "d", "\xff\xff"}},
		{"empty range", []byte("b"), []byte("b"), 9, nil},
		{"reversed range", []byte("d"), []byte("a"), 9, nil},
		{"empty to", nil, []byte{}, 9, nil},
		{"past the end", []byte("\xff\xff\xff"), nil, 9, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rows, err := f.Scan(t.Context(), Cells, tt.from, tt.to, tt.limit)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, r := range rows {
				got = append(got, string(r.Key))
				if string(r.Value) != "v"+string(r.Key) {
					t.Errorf("row %q reads %q", r.Key, r.Value)
				}
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
	t.Run("rows belong to the caller", func(t *testing.T) {
		rows, err := f.Scan(t.Context(), Cells, nil, nil, 3)
		if err != nil || len(rows) != 3 {
			t.Fatalf("%d rows, %v", len(rows), err)
		}
		for i := range rows {
			clear(rows[i].Key)
			rows[i].Value = append(rows[i].Value, "grown past its end"...)
		}
		if string(rows[2].Value) != "vb"+"grown past its end" {
			t.Errorf("growing one row changed another: %q", rows[2].Value)
		}
		f.want(Cells, "a", []byte("va"))
	})
}

// testScanPages walks a table by pages while rows come and go behind and
// before the reader; rows that stay are seen exactly once.
func testScanPages(t *testing.T, e Engine) {
	f := newFixture(t, e)
	const n = 500
	f.must(func(b *store.Batch) {
		for i := range n {
			b.Put(Cells, be64(2*i), be64(i))
		}
	})
	var from []byte
	seen := 0
	for page := 0; ; page++ {
		rows, err := f.Scan(t.Context(), Cells, from, nil, 7)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			if r.Key[7]%2 == 1 {
				continue // came during the walk
			}
			if string(r.Key) != string(be64(2*seen)) {
				t.Fatalf("row %d has key %x", seen, r.Key)
			}
			seen++
		}
		if len(rows) < 7 {
			break
		}
		from = store.Next(rows[len(rows)-1].Key)
		f.must(func(b *store.Batch) {
			b.Put(Cells, be64(4*page+1), nil) // behind the reader, mostly
			b.Put(Cells, be64(2*n-1-2*page), nil)
			if page < 30 {
				b.Delete(Cells, be64(2*page))
			}
		})
	}
	if seen != n {
		t.Errorf("saw %d rows that stayed, want %d", seen, n)
	}
}

func testScanUsage(t *testing.T, e Engine) {
	f := newFixture(t, e)
	tests := []struct {
		name  string
		table uint8
		limit int
	}{
		{"undeclared table", 9, 1},
		{"scattered table", Lookup, 1},
		{"limit of zero", Cells, 0},
		{"negative limit", Cells, -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := f.Scan(t.Context(), tt.table, nil, nil, tt.limit); !errors.Is(err, store.ErrUsage) {
				t.Errorf("scan: %v, want ErrUsage", err)
			}
		})
	}
}
