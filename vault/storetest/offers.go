package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// What an engine may offer is tested on those that do; a nil result ends the
// test, since the engine makes no promise.

func (f *fixture) snapshotter() store.Snapshotter { s, _ := f.Store.(store.Snapshotter); return s }
func (f *fixture) compactor() store.Compactor     { s, _ := f.Store.(store.Compactor); return s }
func (f *fixture) drainer() store.Drainer         { s, _ := f.Store.(store.Drainer); return s }

// snapshot opens a snapshot that is closed when the test ends, and again.
func (f *fixture) snapshot() store.Snapshot {
	f.t.Helper()
	n, err := f.snapshotter().Snapshot(f.t.Context())
	if err != nil {
		f.t.Fatalf("snapshot: %v", err)
	}
	f.t.Cleanup(func() {
		for range 2 {
			if err := n.Close(); err != nil {
				f.t.Errorf("close of a snapshot: %v", err)
			}
		}
	})
	return n
}

// dump lists a table of a snapshot as key=value.
func dump(t testing.TB, n store.Snapshot, table uint8) (rows []string) {
	t.Helper()
	err := n.Each(context.Background(), table, func(key, value []byte) error {
		rows = append(rows, fmt.Sprintf("%q=%q", key, value))
		return nil
	})
	if err != nil {
		t.Fatalf("each: %v", err)
	}
	return rows
}

func testSnapshot(t *testing.T, e Engine) {
	f := newFixture(t, e)
	if f.snapshotter() == nil {
		return
	}
	none := f.snapshot()
	const n = 1000 // more than an engine reads at a time
	f.must(func(b *store.Batch) {
		for i := range n {
			b.Put(Cells, be64(i), be64(i))
		}
		b.Put(Ledger, []byte("empty"), nil)
		b.Put(Ledger, []byte("large"), bytes.Repeat([]byte{'v'}, store.MaxValueLen))
		b.Put(Lookup, []byte("k"), nil)
	})
	all := f.snapshot()
	before := [2][]string{dump(t, all, Cells), dump(t, all, Ledger)}
	if len(before[0]) != n || len(before[1]) != 2 {
		t.Fatalf("%d and %d rows, want %d and 2", len(before[0]), len(before[1]), n)
	}
	for i, row := range before[0] {
		if want := fmt.Sprintf("%q=%q", be64(i), be64(i)); row != want {
			t.Fatalf("row %d is %s, want %s", i, row, want)
		}
	}
	if want := fmt.Sprintf("%q=%q", "large", bytes.Repeat([]byte{'v'}, store.MaxValueLen)); before[1][0] != `"empty"=""` || before[1][1] != want {
		t.Error("the rows at the limits differ")
	}
	f.must(func(b *store.Batch) {
		for i := range n {
			b.Delete(Cells, be64(i))
			b.Put(Cells, be64(n+i), nil)
		}
		b.Put(Ledger, []byte("empty"), []byte("no more"))
	})
	for range 2 {
		after := [2][]string{dump(t, all, Cells), dump(t, all, Ledger)}
		if fmt.Sprint(after) != fmt.Sprint(before) {
			t.Error("a snapshot changed with the store")
		}
		if rows := append(dump(t, none, Cells), dump(t, none, Ledger)...); len(rows) > 0 {
			t.Errorf("the snapshot of the empty store has %d rows", len(rows))
		}
		f.want(Ledger, "empty", []byte("no more"))
	}
	if got := dump(t, f.snapshot(), Cells); len(got) != n {
		t.Errorf("a new snapshot has %d rows, want %d", len(got), n)
	}
}

// testSnapshotEach covers errors, and calls to the store from within.
func testSnapshotEach(t *testing.T, e Engine) {
	f := newFixture(t, e)
	if f.snapshotter() == nil {
		return
	}
	f.must(func(b *store.Batch) {
		for i := range 600 {
			b.Put(Cells, be64(i), nil)
		}
	})
	n := f.snapshot()
	nop := func([]byte, []byte) error { return nil }
	for _, table := range []uint8{9, Lookup} {
		if err := n.Each(t.Context(), table, nop); !errors.Is(err, store.ErrUsage) {
			t.Errorf("table %d: %v, want ErrUsage", table, err)
		}
	}
	own, calls := errors.New("own"), 0
	err := n.Each(t.Context(), Cells, func([]byte, []byte) error {
		if calls++; calls == 300 {
			return own
		}
		return nil
	})
	if !errors.Is(err, own) || calls != 300 {
		t.Errorf("after %d rows: %v, want that of fn after 300", calls, err)
	}
	inner := 0
	err = n.Each(t.Context(), Cells, func(key, _ []byte) error {
		if key[7]%100 > 0 {
			return nil
		}
		f.must(func(b *store.Batch) { b.Put(Cells, key, []byte("seen")) })
		f.want(Cells, string(key), []byte("seen"))
		return n.Each(t.Context(), Cells, func(_, value []byte) error {
			if len(value) > 0 {
				return errors.New("a change in the snapshot")
			}
			inner++
			return nil
		})
	})
	if err != nil || inner != 600*7 { // low bytes 0, 100 and 200
		t.Errorf("%d rows from within, %v", inner, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = n.Each(ctx, Cells, func([]byte, []byte) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	if _, err := f.snapshotter().Snapshot(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("snapshot, cancelled: %v", err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	if err := n.Each(t.Context(), Cells, nop); !errors.Is(err, store.ErrClosed) {
		t.Errorf("each after close: %v, want ErrClosed", err)
	}
}

// testSnapshotClosed: closing the store ends its snapshots, in the middle of
// a table too.
func testSnapshotClosed(t *testing.T, e Engine) {
	f := newFixture(t, e)
	if f.snapshotter() == nil {
		return
	}
	f.must(func(b *store.Batch) {
		for i := range 600 {
			b.Put(Cells, be64(i), nil)
		}
	})
	f.closed = true
	idle, busy := f.snapshot(), f.snapshot()
	in, out, ended := make(chan struct{}), make(chan struct{}), make(chan error)
	go func() {
		calls := 0
		ended <- busy.Each(context.Background(), Cells, func([]byte, []byte) error {
			if calls++; calls == 10 {
				close(in)
				<-out
			}
			return nil
		})
	}()
	<-in
	closed := make(chan error)
	go func() { closed <- f.Close() }()
	for {
		// Once Close has begun, nothing new begins.
		_, err := f.snapshotter().Snapshot(t.Context())
		if errors.Is(err, store.ErrClosed) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	close(out)
	if err := <-ended; !errors.Is(err, store.ErrClosed) {
		t.Errorf("each when the store is closed: %v, want ErrClosed", err)
	}
	if err := <-closed; err != nil {
		t.Error(err)
	}
	if err := idle.Each(t.Context(), Cells, func([]byte, []byte) error { return nil }); !errors.Is(err, store.ErrClosed) {
		t.Errorf("each of a closed store: %v, want ErrClosed", err)
	}
}

// testSnapshotWhole: a snapshot shows batches wholly or not at all, and all
// that were acknowledged before.
func testSnapshotWhole(t *testing.T, e Engine) {
	f := newFixture(t, e)
	if f.snapshotter() == nil {
		return
	}
	var wg sync.WaitGroup
	const writers, rounds = 4, 60
	for w := range writers {
		wg.Go(func() {
			for i := range rounds {
				err := f.commit(func(b *store.Batch) {
					b.Put(Cells, be64(w), be64(i))
					b.Put(Ledger, be64(w), be64(i))
				})
				if err != nil {
					t.Errorf("commit: %v", err)
					return
				}
				n, err := f.snapshotter().Snapshot(t.Context())
				if err != nil {
					t.Errorf("snapshot: %v", err)
					return
				}
				cells, ledger := dump(t, n, Cells), dump(t, n, Ledger)
				if fmt.Sprint(cells) != fmt.Sprint(ledger) {
					t.Errorf("a torn snapshot: %v and %v", cells, ledger)
				}
				if own := fmt.Sprintf("%q=%q", be64(w), be64(i)); !bytes.Contains([]byte(fmt.Sprint(cells)), []byte(own)) {
					t.Errorf("writer %d does not find its round %d", w, i)
				}
				if err := n.Close(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// testCompact: compacting changes nothing that can be read, while callers
// commit and read.
func testCompact(t *testing.T, e Engine) {
	f := newFixture(t, e)
	c := f.compactor()
	if c == nil {
		return
	}
	tables := []uint8{Cells, Ledger, Lookup, Postings}
	const rows = 3000
	f.must(func(b *store.Batch) {
		for i := range rows {
			for _, table := range tables {
				b.Put(table, be64(i), bytes.Repeat([]byte{byte(i)}, 50))
			}
		}
	})
	f.must(func(b *store.Batch) {
		for i := range rows {
			if i%10 > 0 {
				for _, table := range tables {
					b.Delete(table, be64(i))
				}
			}
		}
	})
	before, after, err := c.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if before <= after || after <= 0 {
		t.Errorf("from %d to %d bytes after nine rows of ten were deleted", before, after)
	}
	check := func() {
		for i := range rows / 10 {
			for _, table := range tables {
				f.want(table, string(be64(10*i)), bytes.Repeat([]byte{byte(10 * i)}, 50))
				f.want(table, string(be64(10*i+1)), nil)
			}
		}
	}
	check()
	f.put(Lookup, "after", "1")
	f.want(Lookup, "after", []byte("1"))
	again, least, err := c.Compact(t.Context())
	if err != nil || least > again {
		t.Errorf("again: from %d to %d bytes, %v", again, least, err)
	}
	if e.Reopen != nil {
		f.Store = e.Reopen(t, f.Store)
		c = f.compactor()
	}
	check()
	f.want(Lookup, "after", []byte("1"))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := c.Compact(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	f.closed = true
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := c.Compact(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v, want ErrClosed", err)
	}
}

func testDrain(t *testing.T, e Engine) {
	f := newFixture(t, e)
	d := f.drainer()
	if d == nil {
		return
	}
	if err := d.Drain(t.Context()); err != nil {
		t.Fatalf("with an empty log: %v", err)
	}
	for i := range 50 {
		f.put(Lookup, string(be64(i)), "v")
		f.put(Cells, string(be64(i)), "v")
	}
	f.must(func(b *store.Batch) { b.Delete(Lookup, be64(7)) })
	for range 2 {
		if err := d.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		if p := f.Stats().Pending; p != 0 {
			t.Errorf("%d rows are pending", p)
		}
		f.want(Lookup, string(be64(6)), []byte("v"))
		f.want(Lookup, string(be64(7)), nil)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := d.Drain(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	f.closed = true
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := d.Drain(t.Context()); !errors.Is(err, store.ErrClosed) {
		t.Errorf("closed: %v, want ErrClosed", err)
	}
}
