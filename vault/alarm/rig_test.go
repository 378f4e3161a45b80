package alarm_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

var errDisk = errors.New("the disk is away")

// faultyLog is a log in memory that can be told to fail.
type faultyLog struct {
	*audit.MemoryLog
	mu     sync.Mutex
	first  uint64
	hidden uint64          // entries before it are pruned as soon as somebody reads
	fail   int             // that many readings fail, each after one entry
	broken map[uint64]bool // entries that are none
	empty  bool            // readings give nothing
	reads  int
}

func (l *faultyLog) First() uint64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.first
}

func (l *faultyLog) Read(from uint64, fn func(uint64, []byte) error) error {
	l.mu.Lock()
	l.reads++
	failing, empty := l.fail > 0, l.empty
	if failing {
		l.fail--
	}
	from = max(from, l.first, l.hidden)
	l.mu.Unlock()
	if empty {
		return nil
	}
	first := from
	return l.MemoryLog.Read(from, func(index uint64, raw []byte) error {
		if failing && index > first {
			return errDisk
		}
		l.mu.Lock()
		broken := l.broken[index]
		l.mu.Unlock()
		if broken {
			raw = []byte{99, 1, 2}
		}
		return fn(index, raw)
	})
}

func (l *faultyLog) set(change func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	change()
}

// rig is a watcher of a log in memory, in a bubble of its own time.
type rig struct {
	t       *testing.T
	log     *faultyLog
	options alarm.Options
	text    *bytes.Buffer // what the logger was told
	watcher *alarm.Watcher
	stop    func() error // of the watcher that runs
}

// inBubble runs the test with a rig whose watcher has not been opened.
func inBubble(t *testing.T, test func(r *rig)) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "alarms.json")
	// In FIPS mode the first random bytes are seeded by timing the processor,
	// which does not work where the clock stands still.
	_, _ = rand.Read(make([]byte, 1))
	synctest.Test(t, func(t *testing.T) {
		r := &rig{t: t, log: &faultyLog{MemoryLog: audit.Memory()}, text: &bytes.Buffer{}}
		r.options = alarm.Options{
			Log: r.log, Path: path, Config: small(), Honey: isHoney,
			Logger: slog.New(slog.NewTextHandler(r.text, &slog.HandlerOptions{Level: slog.LevelDebug})),
		}
		test(r)
	})
}

// start opens a watcher and runs it; the function stop ends it and returns
// what Run returned.
func (r *rig) start() {
	r.t.Helper()
	var err error
	if r.watcher, err = alarm.Open(r.options); err != nil {
		r.t.Fatal(err)
	}
	r.run()
}

func (r *rig) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.watcher.Run(ctx) }()
	r.stop = func() error {
		cancel()
		return <-done
	}
	synctest.Wait()
}

func (r *rig) end() {
	r.t.Helper()
	if err := r.stop(); err != nil {
		r.t.Fatalf("Run: %v", err)
	}
}

// append appends entries and lets time pass until they have been looked at.
func (r *rig) append(entries ...*audit.Entry) {
	r.t.Helper()
	for _, e := range entries {
		copied := *e
		copied.ID = [16]byte{}
		if _, err := r.log.Append(&copied).Wait(context.Background()); err != nil {
			r.t.Fatal(err)
		}
	}
	r.pass(2 * time.Second)
}

// pass lets time pass, of the bubble's clock.
func (r *rig) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// raised returns the entries of alarms in the log.
func (r *rig) raised() (list []*audit.Entry) {
	for _, e := range r.log.Entries() {
		if e.Action == audit.ActionAlarm {
			list = append(list, e)
		}
	}
	return list
}

func (r *rig) wantRaised(want ...string) {
	r.t.Helper()
	var got []string
	for _, e := range r.raised() {
		got = append(got, e.Object)
	}
	if len(got) != len(want) {
		r.t.Fatalf("alarms %v, want %v\n%s", got, want, r.text)
	}
	for i := range got {
		if got[i] != want[i] {
			r.t.Fatalf("alarms %v, want %v", got, want)
		}
	}
}

func (r *rig) state() []byte {
	r.t.Helper()
	raw, err := os.ReadFile(r.options.Path)
	if err != nil {
		r.t.Fatal(err)
	}
	return raw
}

func (r *rig) setState(raw []byte) {
	r.t.Helper()
	if err := os.WriteFile(r.options.Path, raw, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// savedCursor is where a watcher opened now would begin.
func (r *rig) savedCursor() uint64 {
	r.t.Helper()
	cursor, err := detector(r.t, small()).Restore(r.state())
	if err != nil {
		r.t.Fatal(err)
	}
	return cursor
}
