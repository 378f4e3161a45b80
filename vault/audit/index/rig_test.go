package index_test

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

var errInjected = errors.New("injected")

// journal is a log in memory that can be pruned, and whose entries need not
// be any.
type journal struct {
	mu      sync.Mutex
	first   uint64
	raw     [][]byte // from entry 0 on; pruned ones stay here for the model
	entries []*audit.Entry
	grown   chan struct{}
	closed  bool
	failing error
}

func newJournal() *journal { return &journal{grown: make(chan struct{})} }

func (j *journal) add(entries ...*audit.Entry) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, e := range entries {
		j.raw = append(j.raw, e.Append(nil))
		j.entries = append(j.entries, e)
	}
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *journal) prune(first uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.first = max(j.first, first)
}

func (j *journal) close() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.closed = true
	close(j.grown)
	j.grown = make(chan struct{})
}

func (j *journal) First() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.first
}

func (j *journal) Size() uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	return uint64(len(j.raw))
}

func (j *journal) Read(from uint64, fn func(uint64, []byte) error) error {
	j.mu.Lock()
	raw, first, failing := j.raw[:len(j.raw):len(j.raw)], j.first, j.failing
	j.mu.Unlock()
	if failing != nil {
		return failing
	}
	var buf []byte
	for i := max(from, first); i < uint64(len(raw)); i++ {
		buf = append(buf[:0], raw[i]...) // valid until fn returns, and no longer
		if err := fn(i, buf); err != nil {
			return err
		}
		clear(buf)
	}
	return nil
}

func (j *journal) Wait(ctx context.Context, size uint64) error {
	for {
		j.mu.Lock()
		has, closed, grown := uint64(len(j.raw)), j.closed, j.grown
		j.mu.Unlock()
		if has > size {
			return nil
		}
		if closed {
			return audit.ErrClosed
		}
		select {
		case <-grown:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// flaky is a store whose calls can fail.
type flaky struct {
	store.Store
	mu     sync.Mutex
	before func(b *store.Batch) error // an error instead of a commit
	after  func(b *store.Batch) error // an error in place of a commit's nil
	get    func() error
}

func (f *flaky) set(before, after func(*store.Batch) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *flaky) Commit(ctx context.Context, b *store.Batch) error {
	f.mu.Lock()
	before, after := f.before, f.after
	f.mu.Unlock()
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	if err := f.Store.Commit(ctx, b); err != nil || after == nil {
		return err
	}
	return after(b)
}

func (f *flaky) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	f.mu.Lock()
	get := f.get
	f.mu.Unlock()
	if get != nil {
		if err := get(); err != nil {
			return err
		}
	}
	return f.Store.Get(ctx, keys, out)
}

// lines counts what a logger was told.
type lines struct {
	mu  sync.Mutex
	all []string
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, string(b))
	return len(b), nil
}

func (l *lines) count(part string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range l.all {
		if strings.Contains(line, part) {
			n++
		}
	}
	return n
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// tester is what both testing and rapid have.
type tester interface {
	Helper()
	Fatalf(string, ...any)
	Errorf(string, ...any)
}

func open(t tester, o index.Options) *index.Index {
	t.Helper()
	x, err := index.Open(context.Background(), o)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	return x
}

func catchUp(t tester, x *index.Index, j *journal) {
	t.Helper()
	if err := x.Await(context.Background(), j.Size()); err != nil {
		t.Fatalf("await: %v", err)
	}
}

func newStore() store.Store { return memstore.New(index.Tables()) }

// rows reads a whole table.
func rows(t *testing.T, s store.Store, table string) []store.Row {
	t.Helper()
	all, err := s.Scan(t.Context(), number(table), nil, nil, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func number(table string) uint8 {
	for _, declared := range index.Tables() {
		if declared.Name == table {
			return declared.Number
		}
	}
	return 0
}

func subject(n int) (ref [16]byte) {
	for i := range ref {
		ref[i] = byte((n + 1) * (i + 3))
	}
	ref[0], ref[1] = byte(n), byte(n>>8)
	return ref
}

// at is the time n seconds after some moment.
func at(n int) time.Time { return time.Unix(1_700_000_000+int64(n), 0).UTC() }

// entry is the entry of a reveal.
func entry(n int, principal string, subjects ...int) *audit.Entry {
	e := &audit.Entry{ID: [16]byte{1, byte(n), byte(n >> 8)}, Time: at(n), Principal: principal, Action: audit.ActionReveal, Purpose: "support", Outcome: audit.Allowed}
	for _, s := range subjects {
		e.Items = append(e.Items, audit.Item{Subject: subject(s), Field: 1, Outcome: audit.Allowed})
	}
	return e
}
