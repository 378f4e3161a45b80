package alarm

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Log is what a Watcher needs of an audit log. audit.FileLog and
// audit.MemoryLog are such logs.
type Log interface {
	// First returns the index of the first entry that is kept.
	First() uint64
	// Size returns the number of durable entries.
	Size() uint64
	// Read calls fn for the durable entries from an index on, in rising order; from
	// before First it begins there. An error of fn ends it and is returned.
	Read(from uint64, fn func(index uint64, raw []byte) error) error
	// Wait returns nil when Size is over size, audit.ErrClosed, or ctx's error.
	Wait(ctx context.Context, size uint64) error
	// Append queues an entry; the receipt tells when it is durable.
	Append(e *audit.Entry) audit.Receipt
}

// Options of Open.
type Options struct {
	// Log is followed and written to. Required.
	Log Log
	// Path is the state file, in a folder that exists. It must outlive the log's
	// restarts and belongs to one watcher. Required.
	Path string
	// Config says when alarms are raised. Required; see Defaults.
	Config Config
	// Honey tells whether an enciphered reference is that of a honey record; nil
	// means that none is. Run calls it from its goroutine.
	Honey func(subject [16]byte) bool
	// FromStart makes a watcher without a state file begin with the first entry
	// that is kept, and not at the end of the log.
	FromStart bool
	// Logger is told the alarms (Warn) and what stands in the way. Default: none.
	Logger *slog.Logger
}

// Watcher follows a log and writes the alarms that it finds into it.
type Watcher struct {
	log    Log
	path   string
	logger *slog.Logger

	// Run's alone.
	detector *Detector
	decoder  audit.Decoder
	next     uint64    // told to the detector up to here
	found    []Alarm   // not yet known to be durable
	saved    uint64    // the cursor in the file
	savedAt  time.Time // and when it was written
	failing  bool      // told the logger that something fails
	unsaved  bool      // told the logger that the state cannot be saved

	mu    sync.Mutex // guards stats
	stats Stats
}

// Stats of a Watcher since it was opened.
type Stats struct {
	// Raised counts the alarms that became durable, for every rule.
	Raised map[Rule]uint64
	// Cursor is the index of the next entry to be looked at, Lag the number of
	// entries from there to the end of the log.
	Cursor, Lag uint64
	// Missed counts entries that were gone before they were looked at, Unreadable
	// those that are no entry to this version.
	Missed, Unreadable uint64
	// Failures counts attempts to read, append or save that failed. Each is
	// repeated until it succeeds.
	Failures uint64
}

// Open reads the state file, or makes one when there is none, so that from
// then on no entry is left out. Errors wrap ErrConfig, ErrState or ErrFormat,
// or are of the file system.
func Open(o Options) (*Watcher, error) {
	if o.Log == nil {
		return nil, fmt.Errorf("%w: log: missing", ErrConfig)
	}
	if o.Path == "" {
		return nil, fmt.Errorf("%w: path: missing", ErrConfig)
	}
	detector, err := New(o.Config, o.Honey)
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	w := &Watcher{log: o.Log, path: o.Path, logger: o.Logger, detector: detector, stats: Stats{Raised: map[Rule]uint64{}}}
	raw, err := readState(o.Path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if w.next = o.Log.Size(); o.FromStart {
			w.next = o.Log.First()
		}
		w.stats.Cursor = w.next
		return w, w.write()
	case err != nil:
		return nil, fmt.Errorf("read the state of the alarms: %w", err)
	}
	if w.next, err = detector.Restore(raw); err != nil {
		return nil, err
	}
	if size := o.Log.Size(); w.next > size {
		o.Logger.Error("the audit log is shorter than what was looked at for alarms; going on at its end", "cursor", w.next, "size", size)
		w.next = size
	}
	w.saved, w.savedAt, w.stats.Cursor = w.next, time.Now(), w.next
	return w, nil
}

// Stats returns what is known now. It may be called at any time.
func (w *Watcher) Stats() Stats {
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.stats
	s.Raised = make(map[Rule]uint64, len(Rules()))
	for _, r := range Rules() {
		s.Raised[r] = w.stats.Raised[r]
	}
	if size := w.log.Size(); size > s.Cursor {
		s.Lag = size - s.Cursor
	}
	return s
}

func (w *Watcher) note(change func(*Stats)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change(&w.stats)
}

// write saves the state, which must be that of everything before next.
func (w *Watcher) write() error {
	raw, err := w.detector.Snapshot(w.next)
	if err == nil {
		err = writeState(w.path, raw)
	}
	if err != nil {
		return fmt.Errorf("save the state of the alarms: %w", err)
	}
	w.saved, w.savedAt = w.next, time.Now()
	return nil
}
