package audit

import (
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// FileLog is the log on disk. One goroutine writes: it takes all that is
// queued, writes it with one write and one fsync, tells the receipts, and
// takes what was queued meanwhile. So the more callers wait, the more entries
// share an fsync, and one caller alone waits for one.
//
// When a group can be written neither to the present segment nor to a new
// one, its receipts and all that are queued fail with ErrUnavailable, and so
// does every Append until the log has made a new segment. It tries that by
// itself, after 10 ms at first and up to one second apart.
type FileLog struct {
	dir    string
	opts   Options
	lock   io.Closer
	writer *writer
	syncs  atomic.Uint64
	first  atomic.Uint64 // the first entry that is kept
	size   atomic.Uint64 // index after the last durable entry
	grown  watch

	renewal atomic.Bool // the next group begins a segment
	files   *files

	wake    chan struct{} // holds one: something is queued, or the log is closing
	stopped chan struct{} // closed when the writing goroutine has ended

	mu      sync.Mutex
	room    sync.Cond // the queue was taken, or the log is broken or closing
	queue   queue     // guarded by mu
	broken  error     // why the log cannot be written; guarded by mu
	closing bool      // guarded by mu

	pruning  sync.Mutex                     // held while a Prune runs
	noting   sync.Mutex                     // held while the note of what is pruned is made and written
	treeMu   sync.Mutex                     // held while publishing begins or ends
	treeDone bool                           // closed for good; guarded by treeMu
	tree     atomic.Pointer[tree.Publisher] // nil unless published; set under treeMu
}

var (
	_ Log    = (*FileLog)(nil)
	_ Reader = (*FileLog)(nil)
)

// queue is a number of framed records that wait to be written.
type queue struct {
	buf   []byte
	group *group // nil if and only if buf is empty
	count uint64
}

// Bounds of the time between attempts to get a broken log going.
const (
	minRetry = 10 * time.Millisecond
	maxRetry = time.Second
)

// Open opens the log in dir, or begins one. dir is made if it is not there;
// the folder above it must be. What an interrupted write left at the end is
// put right. Open returns ErrLocked if another process has the log open,
// ErrFormat if a newer version wrote it, a *CorruptError if the end of the
// log is damaged or its beginning is missing and was not pruned, and
// ErrOptions. The time it takes grows with the size of a
// segment and not with the log; Check reads everything.
func Open(dir string, opts Options) (*FileLog, error) {
	opts, err := opts.filled()
	if err != nil {
		return nil, err
	}
	dir = filepath.Clean(dir)
	l := &FileLog{
		dir:     dir,
		opts:    opts,
		files:   &files{disk: opts.disk, dir: dir},
		wake:    make(chan struct{}, 1),
		stopped: make(chan struct{}),
	}
	l.room.L = &l.mu
	if l.lock, err = opts.disk.Lock(dir); err != nil {
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	if err := l.recover(); err != nil {
		_ = l.lock.Close()
		return nil, fmt.Errorf("open audit log: %w", err)
	}
	go l.run()
	return l, nil
}

// recover finds the end of the log and its beginning.
func (l *FileLog) recover() error {
	w, first, err := recoverWriter(countingDisk{l.opts.disk, &l.syncs}, l.dir, l.opts.SegmentSize)
	if err != nil {
		return err
	}
	l.writer = w
	l.first.Store(first)
	l.size.Store(w.next)
	if err := l.excused(w.next); err != nil {
		w.leave()
		return err
	}
	return nil
}

// Append implements Log.
func (l *FileLog) Append(e *Entry) Receipt {
	e.complete(l.opts.Now)
	if err := e.Validate(); err != nil {
		return Failed(err)
	}
	l.mu.Lock()
	for len(l.queue.buf) >= l.opts.QueueSize && l.refusal() == nil {
		l.room.Wait()
	}
	if err := l.refusal(); err != nil {
		l.mu.Unlock()
		return Failed(err)
	}
	q := &l.queue
	first := q.group == nil
	if first {
		q.group = newGroup()
	}
	r := Receipt{group: q.group, position: q.count}
	start := len(q.buf)
	q.buf = e.Append(beginRecord(q.buf))
	endRecord(q.buf, start)
	q.count++
	l.mu.Unlock()
	if first {
		l.rouse()
	}
	return r
}

// refusal returns why nothing is taken at present. The caller holds l.mu.
func (l *FileLog) refusal() error {
	if l.closing {
		return ErrClosed
	}
	return l.broken
}

// Healthy implements Log.
func (l *FileLog) Healthy() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.refusal()
}

// Size implements Log.
func (l *FileLog) Size() uint64 { return l.size.Load() }

// Stats implements Log.
func (l *FileLog) Stats() Stats {
	return Stats{
		Entries:  l.writer.entries.Load(),
		Groups:   l.writer.groups.Load(),
		Fsyncs:   l.syncs.Load(),
		Bytes:    l.writer.bytes.Load(),
		Segments: l.writer.segments.Load(),
		Poisoned: l.writer.poisoned.Load(),
		Torn:     l.writer.torn,
	}
}

// Close implements Log.
func (l *FileLog) Close() error {
	l.mu.Lock()
	first := !l.closing
	l.closing = true
	l.room.Broadcast()
	l.mu.Unlock()
	l.rouse()
	<-l.stopped
	if !first {
		return nil
	}
	l.writer.leave()
	// The tree is closed under the lock of the folder, so that whoever takes the
	// log next finds a checkpoint over all of it and nobody else publishing, or
	// removing.
	err := l.unpublish()
	l.pruning.Lock()
	defer l.pruning.Unlock()
	return errors.Join(err, l.lock.Close())
}

// rouse wakes the writing goroutine if it waits for work.
func (l *FileLog) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run is the writing goroutine.
func (l *FileLog) run() {
	defer close(l.stopped)
	var q queue
	for l.await() {
		// Callers that the last group set free are about to append again: let
		// them run first, so that they share this fsync.
		runtime.Gosched()
		q = l.take(q.buf)
		if l.renewal.Swap(false) {
			l.writer.leave()
		}
		if err := l.writer.commit(q.buf, q.count); err != nil {
			l.fail(q, err)
			continue
		}
		l.size.Store(l.writer.next)
		q.group.finish(l.writer.next-q.count, nil)
		l.grown.tell()
	}
}

// await waits until something is queued and the log can be written. It
// returns false when the log is closing and nothing is queued. While the log
// is broken nothing can be queued, and await tries to get it going.
func (l *FileLog) await() bool {
	for retry := minRetry; ; {
		l.mu.Lock()
		queued, broken, closing := l.queue.group != nil, l.broken != nil, l.closing
		l.mu.Unlock()
		switch {
		case queued:
			return true
		case closing:
			return false
		case !broken:
			<-l.wake
			continue
		}
		timer := time.NewTimer(retry)
		select {
		case <-l.wake:
			timer.Stop()
		case <-timer.C:
			retry = min(2*retry, maxRetry)
			l.repair()
		}
	}
}

// repair tries to get a broken log going.
func (l *FileLog) repair() {
	err := l.writer.begin(0)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.broken = nil
	} else {
		l.broken = fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}

// take takes the queue and leaves an empty one in the memory of buf.
func (l *FileLog) take(buf []byte) queue {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := l.queue
	l.queue = queue{buf: buf[:0]}
	l.room.Broadcast()
	return q
}

// fail fails q and everything queued since, and makes the log refuse what
// comes.
func (l *FileLog) fail(q queue, err error) {
	err = fmt.Errorf("%w: %w", ErrUnavailable, err)
	l.mu.Lock()
	l.broken = err
	since := l.queue
	l.queue = queue{}
	l.room.Broadcast()
	l.mu.Unlock()
	q.group.finish(0, err)
	if since.group != nil {
		since.group.finish(0, err)
	}
}
