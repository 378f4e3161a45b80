package index_test

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
)

// collect returns what Find gives.
func collect(t *testing.T, x *index.Index, q index.Query) (got []uint64) {
	t.Helper()
	if _, err := x.Find(t.Context(), q, func(i uint64) error { got = append(got, i); return nil }); err != nil {
		t.Fatal(err)
	}
	return got
}

// Each kind of key finds its entries, in lots and in the lot being built.
func TestKeys(t *testing.T) {
	j := newJournal()
	for n := range 50 {
		e := entry(n, "a", n%7, n%5)
		switch n % 10 {
		case 1:
			e.Principal, e.Outcome = "b", audit.Refused
		case 2:
			e.Action, e.Items = audit.ActionPolicyApply, nil
		case 3:
			e.Items[1].Field = 1 << 30
		case 4:
			e.Purpose, e.Outcome = "billing", audit.Mixed
		case 5:
			e.Items = append(e.Items, audit.Item{Outcome: audit.Refused})
		case 6:
			e.Items = append(e.Items, e.Items...) // each subject twice
		}
		j.add(e)
	}
	x := open(t, index.Options{Log: j, Store: newStore(), LotEntries: 20})
	defer x.Close()
	catchUp(t, x, j)
	for name, c := range map[string]condition{
		"subject": ofSubject(subject(3)), "subject given twice": ofSubject(subject(1)), "unknown subject": ofSubject([16]byte{}), "no subject": ofSubject(subject(8)),
		"principal": ofPrincipal("b"), "no principal": ofPrincipal(""), "field": ofField(1 << 30), "field 0": ofField(0),
		"purpose": ofPurpose("billing"), "action": ofAction(audit.ActionPolicyApply), "refused": ofOutcome(audit.Refused), "mixed": ofOutcome(audit.Mixed),
	} {
		t.Run(name, func(t *testing.T) {
			for _, q := range []index.Query{{}, {Newest: true}, {From: 19, To: 41}, {From: 20, To: 40, Newest: true}, {To: 1}, {From: 49}, {From: 50}, {From: 30, To: 20}} {
				check(t, x, j, q, true, c)
				check(t, x, j, q, true, c, ofAction(audit.ActionReveal))
				check(t, x, j, q, true, c, c, ofField(1), ofPrincipal("a"))
			}
		})
	}
}

// A batch of a thousand subjects is found by each of them, and by no other.
func TestBatch(t *testing.T) {
	all := make([]int, 1000)
	for i := range all {
		all[i] = i
	}
	batch := []*audit.Entry{entry(1, "a", 5), entry(2, "a", all...), entry(3, "a", 5), entry(4, "a", all...), entry(5, "a", 999)}
	for postings, lots := range map[int]int{1: 5, 500: 2, 1100: 1, 100_000: 0} {
		synctest.Test(t, func(t *testing.T) {
			j, s := newJournal(), newStore()
			j.add(batch...)
			x := open(t, index.Options{Log: j, Store: s, LotPostings: postings})
			defer x.Close()
			synctest.Wait()
			for i := range 1001 {
				check(t, x, j, index.Query{}, true, ofSubject(subject(i)))
			}
			if n := len(rows(t, s, "lots")); n != lots {
				t.Errorf("%d postings: %d lots, want %d", postings, n, lots)
			}
		})
	}
}

// A window of time leaves out lots that lie outside, and no others.
func TestTimes(t *testing.T) {
	j := newJournal()
	for n := range 40 {
		j.add(entry(n, "a", 1))
	}
	late := entry(3, "a", 1)
	late.Time = at(500)
	j.entries[3], j.raw[3] = late, late.Append(nil) // time goes back after entry 3
	x := open(t, index.Options{Log: j, Store: newStore(), LotEntries: 10})
	defer x.Close()
	catchUp(t, x, j)
	tests := []struct {
		name          string
		after, before time.Time
		want          []int // lots, by number
	}{
		{"any", time.Time{}, time.Time{}, []int{0, 1, 2, 3}},
		{"from the last time of a lot", at(19), time.Time{}, []int{0, 1, 2, 3}},
		{"from just after it", at(19).Add(1), time.Time{}, []int{0, 2, 3}},
		{"before the first time of a lot", time.Time{}, at(20), []int{0, 1}},
		{"before just after it", time.Time{}, at(20).Add(1), []int{0, 1, 2}},
		{"one lot and the one with a late entry", at(22), at(24), []int{0, 2}},
		{"late", at(500), time.Time{}, []int{0}},
		{"later", at(500).Add(1), time.Time{}, nil},
		{"long ago", time.Time{}, at(0), nil},
		{"far ahead", time.Time{}, time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC), []int{0, 1, 2, 3}},
		{"far back", time.Date(1, 2, 1, 0, 0, 0, 0, time.UTC), time.Time{}, []int{0, 1, 2, 3}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			for _, keys := range [][]index.Key{nil, {index.Subject(subject(1))}} {
				q := index.Query{All: keys, After: test.after, Before: test.before}
				check(t, x, j, q, true)
				var want []uint64
				for _, lot := range test.want {
					for i := range 10 {
						want = append(want, uint64(10*lot+i))
					}
				}
				if got := collect(t, x, q); !slices.Equal(got, want) {
					t.Errorf("%d entries, want %d", len(got), len(want))
				}
				q.Newest = true
				slices.Reverse(want)
				if got := collect(t, x, q); !slices.Equal(got, want) {
					t.Errorf("newest first: %d entries, want %d", len(got), len(want))
				}
			}
		})
	}
}

// Find ends when it is told to, with the error it was given.
func TestFindEnds(t *testing.T) {
	j := newJournal()
	for n := range 30 {
		j.add(entry(n, "a", 1))
	}
	x := open(t, index.Options{Log: j, Store: newStore(), LotEntries: 4})
	catchUp(t, x, j)
	q := index.Query{All: []index.Key{index.Subject(subject(1))}}
	calls := 0
	covered, err := x.Find(t.Context(), q, func(uint64) error {
		if calls++; calls == 6 {
			return errInjected
		}
		return nil
	})
	if err != errInjected || calls != 6 || covered != 30 {
		t.Errorf("%v after %d calls, covered %d", err, calls, covered)
	}
	ctx, cancel := context.WithCancel(t.Context())
	calls = 0
	if _, err := x.Find(ctx, q, func(uint64) error { calls++; cancel(); return nil }); !errors.Is(err, context.Canceled) || calls > 4 {
		t.Errorf("%v after %d calls", err, calls)
	}
	if _, err := x.Find(t.Context(), index.Query{All: make([]index.Key, index.MaxKeys)}, func(uint64) error { return nil }); err != nil {
		t.Errorf("%d keys: %v", index.MaxKeys, err)
	}
	if _, err := x.Find(t.Context(), index.Query{All: make([]index.Key, index.MaxKeys+1)}, nil); !errors.Is(err, index.ErrQuery) {
		t.Errorf("%d keys: %v", index.MaxKeys+1, err)
	}
	for range 2 {
		if err := x.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err = x.Find(t.Context(), q, nil)
	for call, err := range map[string]error{"find": err, "await": x.Await(t.Context(), 99), "rebuild": x.Rebuild(t.Context()), "healthy": x.Healthy()} {
		if !errors.Is(err, index.ErrClosed) {
			t.Errorf("%s after close: %v", call, err)
		}
	}
}

// Who waits is let go by his context and by Close.
func TestAwait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		j := newJournal()
		x := open(t, index.Options{Log: j, Store: newStore()})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if err := x.Await(ctx, 1); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		done := make(chan error)
		go func() { done <- x.Await(t.Context(), 1) }()
		synctest.Wait()
		_ = x.Close()
		if err := <-done; !errors.Is(err, index.ErrClosed) {
			t.Error(err)
		}
	})
}

func TestOptions(t *testing.T) {
	j, s := newJournal(), newStore()
	for name, o := range map[string]index.Options{
		"no log": {Store: s}, "no store": {Log: j},
		"entries": {Log: j, Store: s, LotEntries: 65537}, "negative entries": {Log: j, Store: s, LotEntries: -1},
		"postings": {Log: j, Store: s, LotPostings: 1_000_001}, "negative postings": {Log: j, Store: s, LotPostings: -1},
	} {
		if _, err := index.Open(t.Context(), o); !errors.Is(err, index.ErrOptions) {
			t.Errorf("%s: %v", name, err)
		}
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := index.Open(ended, index.Options{Log: j, Store: s}); !errors.Is(err, context.Canceled) {
		t.Errorf("context ended: %v", err)
	}
}

// An index outlives the context it was opened with.
func TestOpenedContextEnds(t *testing.T) {
	j := newJournal()
	ctx, cancel := context.WithCancel(t.Context())
	x, err := index.Open(ctx, index.Options{Log: j, Store: newStore()})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	cancel()
	j.add(entry(1, "a", 1))
	catchUp(t, x, j)
}

// Queries are right while entries come, are pruned, and the index is built
// anew.
func TestConcurrent(t *testing.T) {
	j := newJournal()
	x := open(t, index.Options{Log: j, Store: newStore(), LotEntries: 30})
	defer x.Close()
	stop := make(chan struct{})
	var asking sync.WaitGroup
	for i := range 3 {
		asking.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					check(t, x, j, index.Query{Newest: n%2 == 0}, false, ofSubject(subject((n+i)%9)), ofPrincipal(strconv.Itoa(n%2)))
				}
			}
		})
	}
	for n := range 200 {
		for i := range 10 {
			j.add(entry(10*n+i, strconv.Itoa(i%2), n%9, i))
		}
		switch {
		case n%40 == 20:
			j.prune(j.Size() / 2)
		case n%40 == 39:
			if err := x.Rebuild(t.Context()); err != nil {
				t.Error(err)
			}
		}
	}
	catchUp(t, x, j)
	close(stop)
	asking.Wait()
	if err := x.Healthy(); err != nil {
		t.Error(err)
	}
}

var _ index.Source = audit.Reader(nil)
