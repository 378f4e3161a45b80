package index_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// While the store fails, what is in memory is found, the failure is told once,
// and the index goes on by itself.
func TestStoreFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s, told := newJournal(), &flaky{Store: newStore()}, &lines{}
		x := open(t, index.Options{Log: j, Store: s, Logger: told.logger(), LotEntries: 4})
		defer x.Close()
		j.add(entry(1, "a", 1), entry(2, "a", 2))
		catchUp(t, x, j)
		tries := 0
		s.set(func(*store.Batch) error { tries++; return errInjected }, nil)
		for n := range 8 {
			j.add(entry(n, "b", n))
		}
		<-time.After(10 * time.Minute)
		synctest.Wait()
		if err := x.Healthy(); !errors.Is(err, errInjected) {
			t.Errorf("healthy says %v", err)
		}
		if tries < 10 || tries > 40 {
			t.Errorf("%d tries in ten minutes", tries)
		}
		if n := told.count("does not get on"); n != 1 {
			t.Errorf("told %d times", n)
		}
		if covered := check(t, x, j, index.Query{}, true, ofSubject(subject(1))); covered != 4 {
			t.Errorf("covered %d, want the 4 of the lot that cannot be stored", covered)
		}
		s.set(nil, nil)
		catchUp(t, x, j)
		synctest.Wait()
		if err := x.Healthy(); err != nil {
			t.Errorf("healthy says %v", err)
		}
		if n := told.count("goes on"); n != 1 {
			t.Errorf("told %d times that it goes on", n)
		}
		check(t, x, j, index.Query{}, true, ofPrincipal("b"))
	})
}

// A log that cannot be followed stops the index before the entry, which hides
// nothing: the caller reads on from there.
func TestLogFails(t *testing.T) {
	newer := append([]byte{200}, entry(1, "a", 1).Append(nil)[1:]...)
	tests := []struct {
		name string
		do   func(j *journal)
		undo func(j *journal)
		want error
	}{
		{"read error", func(j *journal) { j.failing = errInjected }, func(j *journal) { j.failing = nil }, errInjected},
		{"newer format", func(j *journal) { j.raw[2] = newer }, func(j *journal) { j.raw[2] = j.entries[2].Append(nil) }, audit.ErrFormat},
		{"no entry", func(j *journal) { j.raw[2] = j.raw[2][:9] }, func(j *journal) { j.raw[2] = j.entries[2].Append(nil) }, audit.ErrEntry},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				j := newJournal()
				j.add(entry(1, "a", 1), entry(2, "a", 2), entry(3, "a", 3), entry(4, "a", 1))
				test.do(j)
				x := open(t, index.Options{Log: j, Store: newStore()})
				defer x.Close()
				synctest.Wait()
				if err := x.Healthy(); !errors.Is(err, test.want) {
					t.Errorf("healthy says %v, want %v", err, test.want)
				}
				if x.Covered() > 2 {
					t.Errorf("covered %d, past the entry that cannot be read", x.Covered())
				}
				check(t, x, j, index.Query{}, true, ofPrincipal("a"))
				j.mu.Lock()
				test.undo(j)
				j.mu.Unlock()
				catchUp(t, x, j)
				check(t, x, j, index.Query{}, true, ofPrincipal("a"))
			})
		})
	}
}

// gap is a log that leaves out an entry.
type gap struct{ *journal }

func (g gap) Read(from uint64, fn func(uint64, []byte) error) error {
	return g.journal.Read(from, func(i uint64, raw []byte) error {
		if i == 1 {
			return nil
		}
		return fn(i, raw)
	})
}

func TestLogWithGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		j.add(entry(1, "a", 1), entry(2, "a", 2), entry(3, "a", 3))
		x := open(t, index.Options{Log: gap{j}, Store: newStore()})
		defer x.Close()
		synctest.Wait()
		if err := x.Healthy(); !errors.Is(err, index.ErrSource) || x.Covered() != 1 {
			t.Errorf("covered %d, healthy says %v", x.Covered(), err)
		}
	})
}

// A log that is closed is no failure; what it held can be found and built
// anew.
func TestLogCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		j.add(entry(1, "a", 1), entry(2, "a", 2))
		x := open(t, index.Options{Log: j, Store: newStore()})
		defer x.Close()
		catchUp(t, x, j)
		j.close()
		<-time.After(time.Hour)
		if err := x.Healthy(); err != nil {
			t.Error(err)
		}
		if err := x.Rebuild(t.Context()); err != nil {
			t.Error(err)
		}
		check(t, x, j, index.Query{}, true, ofSubject(subject(2)))
	})
}

// A store that dies at any commit, before or after it was applied, leaves an
// index that answers right when it is opened again.
func TestCrashAtEachCommit(t *testing.T) {
	run := func(t *testing.T, at int, applied bool) (commits int) {
		synctest.Test(t, func(t *testing.T) {
			j, s := newJournal(), &flaky{Store: newStore()}
			o := index.Options{Log: j, Store: s, LotEntries: 5}
			x := open(t, o)
			fail := func(*store.Batch) error {
				if commits++; commits >= at {
					return errInjected
				}
				return nil
			}
			if applied {
				s.set(nil, fail)
			} else {
				s.set(fail, nil)
			}
			work := func() {
				for n := range 23 {
					j.add(entry(n, "a", n, n%3))
				}
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				_ = x.Await(ctx, j.Size())
				j.prune(8)
				j.add(entry(24, "b", 1))
				_ = x.Await(ctx, j.Size())
				_ = x.Rebuild(ctx)
			}
			work()
			_ = x.Close()
			s.set(nil, nil)
			x = open(t, o)
			defer x.Close()
			for _, c := range []condition{ofSubject(subject(1)), ofSubject(subject(20)), ofPrincipal("b")} {
				check(t, x, j, index.Query{}, true, c)
				catchUp(t, x, j)
				check(t, x, j, index.Query{}, true, c)
			}
		})
		return commits
	}
	all := run(t, 1<<30, false)
	if all < 10 {
		t.Fatalf("only %d commits", all)
	}
	for at := 1; at <= all; at++ {
		run(t, at, false)
		run(t, at, true)
	}
}

// A read of the store that fails is the caller's to know of, and a damaged
// page has the index built anew.
func TestReadFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j, s, told := newJournal(), &flaky{Store: newStore()}, &lines{}
		for n := range 9 {
			j.add(entry(n, "a", n))
		}
		x := open(t, index.Options{Log: j, Store: s, Logger: told.logger(), LotEntries: 4})
		defer x.Close()
		catchUp(t, x, j)
		synctest.Wait()
		for _, test := range []struct {
			err     error
			rebuilt int
		}{{errInjected, 0}, {store.ErrCorrupt, 1}} {
			s.mu.Lock()
			s.get = func() error { return test.err }
			s.mu.Unlock()
			_, err := x.Find(t.Context(), index.Query{All: []index.Key{index.Subject(subject(1))}}, func(uint64) error { return nil })
			if !errors.Is(err, test.err) {
				t.Errorf("find: %v, want %v", err, test.err)
			}
			s.mu.Lock()
			s.get = nil
			s.mu.Unlock()
			synctest.Wait()
			if n := told.count("built anew"); n != test.rebuilt {
				t.Errorf("after %v: built anew %d times, want %d", test.err, n, test.rebuilt)
			}
			catchUp(t, x, j)
			check(t, x, j, index.Query{}, true, ofSubject(subject(1)))
		}
	})
}
