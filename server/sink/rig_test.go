package sink_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	_ sink.Source = (*audit.FileLog)(nil)
	_ sink.Source = (*audit.MemoryLog)(nil)
)

// fakeLog is a log in memory that can be pruned and can fail.
type fakeLog struct {
	mu     sync.Mutex
	raw    [][]byte
	first  uint64
	more   chan struct{} // closed when something was added
	broken error
	reads  int
	closed bool
}

func newLog(n int) *fakeLog {
	l := &fakeLog{more: make(chan struct{})}
	l.add(n)
	return l
}

// add appends n entries; entry i has the id i+1 and the request "r<i>".
func (l *fakeLog) add(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for range n {
		l.raw = append(l.raw, numbered(len(l.raw)).Append(nil))
	}
	close(l.more)
	l.more = make(chan struct{})
}

func numbered(i int) *audit.Entry {
	e := &audit.Entry{
		Time: time.Unix(1_700_000_000, 0).UTC(), Request: fmt.Sprintf("r%d", i), Principal: "spiffe://example.org/shop",
		Action: audit.ActionReveal, Outcome: audit.Allowed, Count: 1,
	}
	if i%10 == 9 {
		e.Outcome = audit.Refused
	}
	e.ID[14], e.ID[15] = byte((i+1)>>8), byte(i+1)
	return e
}

func (l *fakeLog) First() uint64 { l.mu.Lock(); defer l.mu.Unlock(); return l.first }
func (l *fakeLog) Size() uint64  { l.mu.Lock(); defer l.mu.Unlock(); return uint64(len(l.raw)) }

func (l *fakeLog) prune(first uint64) { l.mu.Lock(); defer l.mu.Unlock(); l.first = first }
func (l *fakeLog) fail(err error)     { l.mu.Lock(); defer l.mu.Unlock(); l.broken = err }

func (l *fakeLog) Read(from uint64, fn func(uint64, []byte) error) error {
	l.mu.Lock()
	raw, first, broken := l.raw, l.first, l.broken
	l.reads++
	l.mu.Unlock()
	if broken != nil {
		return broken
	}
	for i := max(from, first); i < uint64(len(raw)); i++ {
		if err := fn(i, slices.Clone(raw[i])); err != nil {
			return err
		}
	}
	return nil
}

func (l *fakeLog) Wait(ctx context.Context, size uint64) error {
	for {
		l.mu.Lock()
		more, closed, enough := l.more, l.closed, uint64(len(l.raw)) > size
		l.mu.Unlock()
		switch {
		case enough:
			return nil
		case closed:
			return audit.ErrClosed
		}
		select {
		case <-more:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *fakeLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	close(l.more)
	l.more = make(chan struct{})
}

// fakeTarget takes batches, or fails.
type fakeTarget struct {
	mu      sync.Mutex
	got     []uint64
	batches []int
	times   []time.Time // of attempts
	err     error
	block   bool // Deliver ends only with its context
	closed  int
	check   func(sink.Entry)
}

func (t *fakeTarget) Deliver(ctx context.Context, batch []sink.Entry) error {
	t.mu.Lock()
	t.times = append(t.times, time.Now())
	block, err := t.block, t.err
	t.mu.Unlock()
	if block {
		<-ctx.Done()
		return ctx.Err()
	}
	if err != nil {
		return err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.batches = append(t.batches, len(batch))
	for _, e := range batch {
		t.got = append(t.got, e.Index)
		if t.check != nil {
			t.check(e)
		}
	}
	return nil
}

func (t *fakeTarget) Close() error { t.mu.Lock(); defer t.mu.Unlock(); t.closed++; return nil }

func (t *fakeTarget) fail(err error) { t.mu.Lock(); defer t.mu.Unlock(); t.err = err }

func (t *fakeTarget) indexes() []uint64 { t.mu.Lock(); defer t.mu.Unlock(); return slices.Clone(t.got) }

func (t *fakeTarget) attempts() []time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.times)
}

var errAway = errors.New("the other side is away")

// upTo is from, from+1, … to-1.
func upTo(from, to uint64) (all []uint64) {
	for ; from < to; from++ {
		all = append(all, from)
	}
	return all
}

func render(index uint64, e *audit.Entry) ([]byte, error) {
	return fmt.Appendf(nil, `{"index":%d,"request":%q}`, index, e.Request), nil
}

// lines is a logger's output.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) { l.mu.Lock(); defer l.mu.Unlock(); return l.b.Write(p) }

func (l *lines) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.b.String(), text)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// start begins to follow with what the test did not set filled in.
func start(t *testing.T, log *fakeLog, target sink.Target, change func(*sink.Options)) *sink.Follower {
	t.Helper()
	o := sink.Options{Name: "siem", Feed: sink.NewFeed(log, render), Target: target, Logger: slog.New(slog.DiscardHandler), Begin: sink.AtZero}
	if change != nil {
		change(&o)
	}
	f, err := sink.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func stop(t *testing.T, f *sink.Follower) {
	t.Helper()
	if err := f.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
}

// counter counts entries and says when all are there.
type counter struct {
	want int
	all  chan struct{}
}

func (c *counter) Deliver(_ context.Context, batch []sink.Entry) error {
	if c.want -= len(batch); c.want == 0 {
		close(c.all)
	}
	return nil
}

func (c *counter) Close() error { return nil }

// slow takes a number of batches, each after a while, and then fails.
type slow struct {
	left int
	each time.Duration
}

func (s *slow) Deliver(context.Context, []sink.Entry) error {
	if s.left == 0 {
		return errAway
	}
	s.left--
	<-time.After(s.each)
	return nil
}

func (s *slow) Close() error { return nil }
