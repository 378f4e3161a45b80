package index_test

import (
	"errors"
	"slices"
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
					e := entry(n, "a", n%3)
					for i := range 40 { // so that a lot has several blocks
						e.Items = append(e.Items, entry(n, "a", 100*n+i).Items...)
					}
					j.add(e)
				}
				x := open(t, index.Options{Log: j, Store: s, LotEntries: 10})
				defer func() { _ = x.Close() }()
				catchUp(t, x, j)
				synctest.Wait()
				perLot := len(rows(t, s, "blocks")) / 4
				if perLot < 2 {
					t.Fatalf("%d blocks a lot, want several", perLot)
				}
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
				if blocks := rows(t, s, "blocks"); len(blocks) != test.lots*perLot {
					t.Errorf("%d blocks, want %d", len(blocks), test.lots*perLot)
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

// A query that began before lots were dropped gives nothing that the log no
// longer keeps, and takes the lots that are gone for no damage.
func TestPrunedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s, told := newJournal(), &flaky{Store: newStore()}, &lines{}
		for n := range 45 {
			j.add(entry(n, "a", n%3))
		}
		x := open(t, index.Options{Log: j, Store: s, LotEntries: 10, Logger: told.logger()})
		defer x.Close()
		catchUp(t, x, j)
		synctest.Wait()
		meanwhile(s, func() {
			j.prune(25)
			j.add(entry(45, "a", 1))
			catchUp(t, x, j)
			synctest.Wait()
		})
		var got []uint64
		q := index.Query{All: []index.Key{index.Subject(subject(1))}}
		if _, err := x.Find(t.Context(), q, func(i uint64) error { got = append(got, i); return nil }); err != nil {
			t.Fatal(err)
		}
		if want := []uint64{25, 28, 31, 34, 37, 40, 43}; !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		if len(told.all) > 0 {
			t.Errorf("told %q", told.all)
		}
	})
}

// pruning is a log that is pruned while it is read.
type pruning struct{ *journal }

func (p pruning) Read(from uint64, fn func(uint64, []byte) error) error {
	err := p.journal.Read(from, func(i uint64, raw []byte) error {
		if i == 3 {
			p.prune(8)
			return errInjected
		}
		return fn(i, raw)
	})
	if errors.Is(err, errInjected) {
		return p.journal.Read(from, fn) // it goes on at the new first entry
	}
	return err
}

// Pruning that overtakes a read is no failure.
func TestPrunedWhileRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, told := newJournal(), &lines{}
		for n := range 20 {
			j.add(entry(n, "a", n%3))
		}
		x := open(t, index.Options{Log: pruning{j}, Store: newStore(), LotEntries: 2, Logger: told.logger()})
		defer x.Close()
		catchUp(t, x, j)
		check(t, x, j, index.Query{}, true, ofSubject(subject(1)))
		if len(told.all) > 0 {
			t.Errorf("told %q", told.all)
		}
	})
}
