package boltstore

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"sync"
	"sync/atomic"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Store is an open store. It is safe for concurrent use.
type Store struct {
	o      Options
	log    *slog.Logger
	slots  [256]uint8           // table number -> index in o.Tables plus one; 0: undeclared
	values atomic.Pointer[file] // replaced under writing, mem.mu and holding

	// gate keeps Commit from sending to a queue that Close has closed.
	gate   sync.RWMutex
	closed bool
	queue  chan *request

	// writing is held for each read-write transaction of the values file, up
	// to the end of what belongs to it in memory. Taken after merging.
	writing sync.Mutex
	link    link   // guarded by writing
	seq     uint64 // last sequence number of the pending log; guarded by writing

	// merging is held while a layer is merged and while the scattered file is
	// replaced.
	merging sync.Mutex
	merged  uint64  // last generation the scattered file has; guarded by merging
	mem     *memory // nil without scattered tables
	rows    *file   // scattered file; guarded by mem.mu for readers, replaced under merging too

	compacting chan struct{} // holds one token while a Compact runs
	holding    sync.Mutex    // guards held; taken after all others
	held       map[*snapshot]struct{}
	step       func(name string) // told where a Compact is; for tests
	stepRows   int               // how many rows a step of a copy takes; likewise
	lost       atomic.Bool
	due        chan struct{} // tells the merger that there may be work

	broken  atomic.Pointer[error] // why commits are refused
	stop    chan struct{}         // closed by Close
	running sync.WaitGroup        // the writer, the merger, compactions, files to be closed
	readers sync.Pool             // of *reader

	batches, commits, fsyncs atomic.Uint64
	closing                  sync.Once
	closeErr                 error
}

var (
	_ store.Store       = (*Store)(nil)
	_ store.Snapshotter = (*Store)(nil)
	_ store.Compactor   = (*Store)(nil)
	_ store.Drainer     = (*Store)(nil)
)

// Open opens the store at o.Path, or makes an empty one. It fails with
// store.ErrLocked when another process has it, store.ErrFormat when its
// version or tables are not those of o, store.ErrCorrupt when the file is
// damaged in a way that shows without reading all of it, and store.ErrUsage
// for mistakes in o.
func Open(o Options) (*Store, error) {
	if err := o.check(); err != nil {
		return nil, err
	}
	s := &Store{
		o: o, log: o.Logger, queue: make(chan *request, o.MaxQueue),
		stop: make(chan struct{}), due: make(chan struct{}, 1),
		compacting: make(chan struct{}, 1), held: make(map[*snapshot]struct{}), step: func(string) {}, stepRows: stepRows,
	}
	scattered := false
	for i, t := range o.Tables {
		s.slots[t.Number] = uint8(i + 1)
		scattered = scattered || t.Kind == store.Scattered
	}
	s.readers.New = func() any { return &reader{slots: make([]slot, len(o.Tables))} }
	if err := s.openValues(); err != nil {
		return nil, err
	}
	if scattered {
		if err := s.openScattered(); err != nil {
			_ = s.current().close(false)
			return nil, err
		}
		s.running.Go(s.merge)
		s.wakeMerger()
	}
	s.running.Go(s.write)
	return s, nil
}

func (s *Store) openValues() error {
	f, err := openFile(s.o.Path, &s.fsyncs)
	if errors.Is(err, fs.ErrNotExist) {
		fill := func(tx *bbolt.Tx) error { return addTables(tx, s.o.Tables) }
		if err = createFile(s.o.Path, &s.fsyncs, fill); err == nil || errors.Is(err, fs.ErrExist) {
			f, err = openFile(s.o.Path, &s.fsyncs)
		}
	}
	if err != nil {
		return err
	}
	add := false
	err = f.view(func(tx *bbolt.Tx) error {
		err := checkFormat(tx, store.ErrFormat)
		if err == nil {
			add, err = checkTables(tx, s.o.Tables)
		}
		return err
	})
	if err == nil && add {
		err = f.update(touchNothing, func(tx *bbolt.Tx) error { return addTables(tx, s.o.Tables) })
	}
	if err == nil {
		err = removeCopy(s.o.Path)
	}
	if err != nil {
		_ = f.close(false)
		return fmt.Errorf("open %s: %w", s.o.Path, err)
	}
	s.values.Store(f)
	return nil
}

// current returns the values file. Who is not holding writing must expect
// that it is replaced, and closed, at any time: see beginValues.
func (s *Store) current() *file { return s.values.Load() }

// beginValues begins a read transaction of the values file.
func (s *Store) beginValues() (*bbolt.Tx, *file, error) {
	for {
		f := s.values.Load()
		tx, err := f.db.Begin(false)
		if err == nil {
			return tx, f, nil
		}
		if f == s.values.Load() {
			return nil, nil, readError(err)
		}
	}
}

// view runs fn in a read transaction of the values file.
func (s *Store) view(fn func(tx *bbolt.Tx) error) error {
	tx, _, err := s.beginValues()
	if err != nil {
		return err
	}
	return viewTx(tx, fn)
}

// Stats implements store.Store.
func (s *Store) Stats() store.Stats {
	st := store.Stats{Batches: s.batches.Load(), Commits: s.commits.Load(), Fsyncs: s.fsyncs.Load()}
	if s.mem != nil {
		st.Pending = s.mem.pending()
	}
	return st
}

// Close implements store.Store. Batches that wait already are committed
// first; a running merge is left for the next Open, a Compact is given up,
// and snapshots end.
func (s *Store) Close() error {
	s.closing.Do(func() {
		s.gate.Lock()
		s.closed = true
		close(s.queue)
		held := s.endSnapshots()
		s.gate.Unlock()
		close(s.stop)
		for _, n := range held {
			_ = n.Close() // waits for fn; a rollback of a reader does not fail
		}
		s.running.Wait()
		s.merging.Lock()
		defer s.merging.Unlock()
		s.writing.Lock()
		defer s.writing.Unlock()
		sound := s.broken.Load() == nil
		s.closeErr = s.current().close(sound)
		if s.rows != nil {
			if err := s.rows.close(sound); s.closeErr == nil {
				s.closeErr = err
			}
		}
	})
	return s.closeErr
}

// enter makes Close wait for a piece of work until leave is called. It fails
// when the store is closed.
func (s *Store) enter() (leave func(), err error) {
	s.gate.RLock()
	defer s.gate.RUnlock()
	if s.closed {
		return nil, store.ErrClosed
	}
	s.running.Add(1)
	return s.running.Done, nil
}

// isClosed reports whether Close was called.
func (s *Store) isClosed() bool {
	s.gate.RLock()
	defer s.gate.RUnlock()
	return s.closed
}

// poison makes all later commits fail, when err leaves the state of a file
// unknown.
func (s *Store) poison(err error) {
	if errors.Is(err, store.ErrBroken) && s.broken.CompareAndSwap(nil, &err) {
		s.log.Error("the store refuses further commits", "error", err)
	}
}

// Healthy returns why commits are refused until the store is opened again, or
// nil.
func (s *Store) Healthy() error { return s.usable() }

// usable returns why commits are refused, or nil.
func (s *Store) usable() error {
	if err := s.broken.Load(); err != nil {
		return *err
	}
	return nil
}

// table returns the declaration of a table, or nil.
func (s *Store) table(number uint8) *store.Table {
	if i := s.slots[number]; i > 0 {
		return &s.o.Tables[i-1]
	}
	return nil
}
