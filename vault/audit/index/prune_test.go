package index_test

import (
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
)

// Lots that lie wholly before the first entry that is kept are dropped, and
// entries that are not kept are not given.
func TestPrune(t *testing.T) {
	tests := []struct {
		name string
		to   uint64
		lots int // of the four, when the index has seen it
	}{
		{"nothing", 0, 4},
		{"part of a lot", 9, 4},
		{"one lot", 10, 3},
		{"one and a part", 11, 3},
		{"all lots", 40, 0},
		{"part of the lot being built", 42, 0},
		{"all", 45, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j, s := newJournal(), newStore()
				for n := range 45 {
					j.add(entry(n, "a", n%3))
				}
				x := open(t, index.Options{Log: j, Store: s, LotEntries: 10})
				defer func() { _ = x.Close() }()
				catchUp(t, x, j)
				j.prune(test.to)
				both := func() {
					t.Helper()
					for _, newest := range []bool{false, true} {
						check(t, x, j, index.Query{Newest: newest}, true, ofSubject(subject(1)))
						check(t, x, j, index.Query{Newest: newest}, true)
					}
				}
				both() // before the index has seen it
				j.add(entry(45, "a", 1))
				catchUp(t, x, j)
				synctest.Wait()
				both()
				if lots := rows(t, s, "lots"); len(lots) != test.lots {
					t.Errorf("%d lots, want %d", len(lots), test.lots)
				}
				if blocks := rows(t, s, "blocks"); len(blocks) != test.lots {
					t.Errorf("%d blocks, want %d", len(blocks), test.lots)
				}
				_ = x.Close()
				x = open(t, index.Options{Log: j, Store: s, LotEntries: 10})
				catchUp(t, x, j)
				both()
			})
		})
	}
}

// An index that begins on a pruned log, and one that was overtaken by pruning,
// begin where the log does.
func TestPrunedPast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := newJournal(), newStore()
		for n := range 25 {
			j.add(entry(n, "a", n%3))
		}
		j.prune(7)
		o := index.Options{Log: j, Store: s, LotEntries: 10}
		x := open(t, o)
		catchUp(t, x, j)
		check(t, x, j, index.Query{}, true, ofSubject(subject(1)))
		_ = x.Close()
		for n := range 25 {
			j.add(entry(n, "a", n%3))
		}
		j.prune(41)
		x = open(t, o)
		defer x.Close()
		catchUp(t, x, j)
		synctest.Wait()
		check(t, x, j, index.Query{}, true, ofSubject(subject(1)))
		if lots := rows(t, s, "lots"); len(lots) != 0 {
			t.Errorf("%d lots, want those of pruned entries gone", len(lots))
		}
	})
}
