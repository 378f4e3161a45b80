package index_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func sameRows(a, b []store.Row) bool {
	return slices.EqualFunc(a, b, func(a, b store.Row) bool {
		return slices.Equal(a.Key, b.Key) && slices.Equal(a.Value, b.Value)
	})
}

// Rebuilding gives the same rows, and none of those before stay; also when it
// is interrupted after any commit and the index is opened again.
func TestRebuild(t *testing.T) {
	run := func(t *testing.T, allowed int) (commits int) {
		synctest.Test(t, func(t *testing.T) {
			j, s := newJournal(), &flaky{Store: newStore()}
			for n := range 100 {
				j.add(entry(n, "a", n, n/2))
			}
			o := index.Options{Log: j, Store: s, LotEntries: 7}
			x := open(t, o)
			defer func() { _ = x.Close() }()
			catchUp(t, x, j)
			synctest.Wait()
			before := rows(t, s, "blocks")
			put(t, s, number("blocks"), []byte("stranger"), []byte{1})
			s.set(func(*store.Batch) error {
				if commits++; commits > allowed {
					return errInjected
				}
				return nil
			}, nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			err := x.Rebuild(ctx)
			synctest.Wait() // the follower is past its last commit
			if err != nil {
				if !errors.Is(err, context.DeadlineExceeded) || commits <= allowed {
					t.Fatal(err)
				}
				_ = x.Close()
				s.set(nil, nil)
				x = open(t, o)
				catchUp(t, x, j)
			} else if x.Covered() < 100 {
				t.Errorf("covered %d, want all", x.Covered())
			}
			synctest.Wait()
			if after := rows(t, s, "blocks"); !sameRows(before, after) {
				t.Errorf("%d commits: %d rows before, %d after, or not the same ones", allowed, len(before), len(after))
			}
			if n := len(rows(t, s, "lots")); n != 14 {
				t.Errorf("%d commits: %d lots, want 14", allowed, n)
			}
			check(t, x, j, index.Query{}, true, ofSubject(subject(20)))
		})
		return commits
	}
	// Before the first commit nobody knows that it was to be built anew.
	for allowed, all := 1, run(t, 1000); allowed < all; allowed++ {
		run(t, allowed)
	}
}

// Lots that are in the store are not built again, however many they are.
func TestManyLots(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s := newJournal(), newStore()
		for n := range 1200 {
			j.add(entry(n, "a", n%7))
		}
		o := index.Options{Log: j, Store: s, LotEntries: 1}
		x := open(t, o)
		catchUp(t, x, j)
		synctest.Wait()
		_ = x.Close()
		before := s.Stats().Batches
		x = open(t, o)
		defer x.Close()
		catchUp(t, x, j)
		synctest.Wait()
		for _, newest := range []bool{false, true} {
			check(t, x, j, index.Query{Newest: newest}, true, ofSubject(subject(3)))
			check(t, x, j, index.Query{Newest: newest}, true, ofSubject(subject(3)), ofPrincipal("a"), ofField(1))
		}
		if after := s.Stats().Batches; after != before {
			t.Errorf("%d commits after opening again", after-before)
		}
	})
}

// meanwhile runs something once, between the beginning of a query and its
// first read of the store.
func meanwhile(s *flaky, do func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get = func() error {
		s.mu.Lock()
		s.get = nil
		s.mu.Unlock()
		do()
		return nil
	}
}

// A query that began before the index was built anew, in other lots, misses
// nothing.
func TestRebuiltMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s, told := newJournal(), &flaky{Store: newStore()}, &lines{}
		for n := range 40 {
			j.add(entry(n, "a", n%10))
		}
		x := open(t, index.Options{Log: j, Store: s, LotEntries: 20})
		catchUp(t, x, j)
		synctest.Wait()
		_ = x.Close()
		x = open(t, index.Options{Log: j, Store: s, LotEntries: 5, Logger: told.logger()})
		defer x.Close()
		catchUp(t, x, j)
		synctest.Wait()
		meanwhile(s, func() {
			if err := x.Rebuild(t.Context()); err != nil {
				t.Error(err)
			}
		})
		check(t, x, j, index.Query{}, false, ofSubject(subject(9)))
		check(t, x, j, index.Query{}, true, ofSubject(subject(9)))
		if len(told.all) > 0 {
			t.Errorf("told %q", told.all)
		}
	})
}
