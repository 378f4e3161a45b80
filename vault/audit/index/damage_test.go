package index_test

import (
	"testing"
	"testing/synctest"

	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Rows that are lost, changed or moved never hide an entry, whether the
// damage is there at the start or comes later, and the index heals.
func TestDamage(t *testing.T) {
	flip := func(table string, row, at int) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			r := rows(t, s, table)[row]
			r.Value[(at+len(r.Value))%len(r.Value)] ^= 1
			put(t, s, number(table), r.Key, r.Value)
		}
	}
	lose := func(table string, row int) func(*testing.T, store.Store) {
		return func(t *testing.T, s store.Store) {
			var b store.Batch
			b.Delete(number(table), rows(t, s, table)[row].Key)
			commit(t, s, &b)
		}
	}
	tests := []struct {
		name    string
		damage  func(*testing.T, store.Store)
		atStart bool // it is seen when the index is opened
		later   bool // it is seen by a query of subject 3 in entry 13
	}{
		{"nothing", func(*testing.T, store.Store) {}, false, false},
		{"sum of a block", flip("blocks", 1, 0), false, true},
		{"kind of a block", flip("blocks", 1, 4), false, true},
		{"end of a block", flip("blocks", 1, -1), false, true},
		{"block lost", lose("blocks", 1), false, true},
		{"first block lost", lose("blocks", 0), false, false},
		{"block of another lot", func(t *testing.T, s store.Store) {
			all := rows(t, s, "blocks")
			put(t, s, number("blocks"), all[1].Key, all[0].Value)
		}, false, true},
		{"block cut short", func(t *testing.T, s store.Store) {
			r := rows(t, s, "blocks")[1]
			put(t, s, number("blocks"), r.Key, r.Value[:3])
		}, false, true},
		{"sum of a lot", flip("lots", 1, 0), true, false},
		{"entries of a lot", flip("lots", 1, 7), true, false},
		{"bits of a lot", flip("lots", 0, 12), true, false},
		{"time of a lot", flip("lots", 2, 20), true, false},
		{"first lot lost", lose("lots", 0), true, false},
		{"lot lost in the middle", lose("lots", 1), true, false},
		{"last lot lost", lose("lots", 2), false, false},
		{"row of a lot cut short", func(t *testing.T, s store.Store) {
			r := rows(t, s, "lots")[1]
			put(t, s, number("lots"), r.Key, r.Value[:20])
		}, true, false},
		{"key of a lot too long", func(t *testing.T, s store.Store) {
			put(t, s, number("lots"), []byte("stranger!"), []byte("?"))
		}, true, false},
		{"another format", func(t *testing.T, s store.Store) {
			put(t, s, number("about"), rows(t, s, "about")[0].Key, []byte{2})
		}, true, false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				for n := range 34 { // three lots of ten and a rest
					j.add(entry(n, "a", n%5, 3))
				}
				o := index.Options{Log: j, LotEntries: 10}

				o.Store = newStore()
				told := &lines{}
				o.Logger = told.logger()
				x := open(t, o)
				catchUp(t, x, j)
				test.damage(t, o.Store)
				heal(t, x, j, told, test.later)

				o.Store = newStore()
				o.Logger = nil
				x = open(t, o)
				catchUp(t, x, j)
				_ = x.Close()
				test.damage(t, o.Store)
				told = &lines{}
				o.Logger = told.logger()
				x = open(t, o)
				if told.count("cannot be used") == 1 != test.atStart {
					t.Errorf("at the start: told %q", told.all)
				}
				heal(t, x, j, told, test.later || test.atStart)
			})
		})
	}
}

// heal holds that queries are right now and stay so, that the logger was told
// once if at all, and that nothing is left of the damage.
func heal(t *testing.T, x *index.Index, j *journal, told *lines, seen bool) {
	t.Helper()
	defer x.Close()
	for range 2 {
		for _, newest := range []bool{false, true} {
			q := index.Query{From: 10, Newest: newest}
			check(t, x, j, q, false, ofSubject(subject(3)))
			check(t, x, j, q, false, ofSubject(subject(3)), ofPrincipal("a"))
			check(t, x, j, q, false, ofSubject(subject(99)))
		}
		synctest.Wait()
		catchUp(t, x, j)
	}
	if n := told.count("built anew"); n > 1 || n == 1 != seen {
		t.Errorf("told %d times that it is built anew, seen: %v", n, seen)
	}
	if err := x.Rebuild(t.Context()); err != nil {
		t.Fatal(err)
	}
	check(t, x, j, index.Query{}, true, ofSubject(subject(3)))
}

func put(t *testing.T, s store.Store, table uint8, key, value []byte) {
	t.Helper()
	var b store.Batch
	b.Put(table, key, value)
	commit(t, s, &b)
}

func commit(t *testing.T, s store.Store, b *store.Batch) {
	t.Helper()
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
}

// An index that was built from another log, or from a longer one, is not
// used.
func TestOtherLog(t *testing.T) {
	fill := func(j *journal, n int, first byte) {
		for i := range n {
			e := entry(i, "a", i%5)
			e.ID[5] = first
			j.add(e)
		}
	}
	tests := []struct {
		name string
		log  func(j *journal)
		why  string // it is not used; empty: it is
	}{
		{"the same", func(j *journal) { fill(j, 35, 0) }, ""},
		{"the same, pruned", func(j *journal) { fill(j, 35, 0); j.prune(25) }, ""},
		{"the same, pruned to its last entry", func(j *journal) { fill(j, 35, 0); j.prune(29) }, ""},
		{"the same, pruned past the index", func(j *journal) { fill(j, 35, 0); j.prune(33) }, ""},
		{"another", func(j *journal) { fill(j, 35, 1) }, "entry 29 is not what"},
		{"another, pruned", func(j *journal) { fill(j, 35, 1); j.prune(29) }, "entry 29 is not what"},
		{"put back", func(j *journal) { fill(j, 25, 0) }, "it reaches to entry 30"},
		{"put back, then another", func(j *journal) { fill(j, 25, 0); fill(j, 10, 1) }, "entry 29 is not what"},
		{"empty", func(*journal) {}, "it reaches to entry 30"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, before := newStore(), newJournal()
				fill(before, 32, 0)
				x := open(t, index.Options{Log: before, Store: s, LotEntries: 10})
				catchUp(t, x, before)
				_ = x.Close()
				j, told := newJournal(), &lines{}
				test.log(j)
				x = open(t, index.Options{Log: j, Store: s, LotEntries: 10, Logger: told.logger()})
				defer x.Close()
				if n := told.count("built anew"); n == 1 != (test.why != "") || n != told.count(test.why) && n > 0 {
					t.Errorf("told %q, want %q", told.all, test.why)
				}
				for n := range 5 {
					check(t, x, j, index.Query{}, true, ofSubject(subject(n)))
				}
				catchUp(t, x, j)
				for n := range 5 {
					check(t, x, j, index.Query{}, true, ofSubject(subject(n)))
				}
			})
		})
	}
}
