package sink

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// saveEvery is how long a busy follower goes on without saving its cursor:
// each save is an fsync beside those of the log. skimmedEvery is the same when
// the filter let nothing through: then a crash costs reading, no duplicates.
const (
	saveEvery    = time.Second
	skimmedEvery = 10 * time.Second
)

// Follower carries entries from the log to one target, in a goroutine of its
// own, until Stop.
type Follower struct {
	o    Options
	feed *Feed
	own  window

	// Of the goroutine alone.
	at      cursor
	saved   uint64 // index of the cursor in the file
	savedAt time.Time
	unsaved bool // something was delivered that the cursor in the file does not say
	backoff backoff
	until   uint64 // when stopping: entries below are still delivered

	waiting  context.Context // ends when Stop is called
	stopWait context.CancelFunc
	working  context.Context // ends when Stop has no more time
	stopWork context.CancelFunc
	done     chan struct{}
	ended    error        // why the last cursor was not saved; set before done
	closing  func() error // closes the target, once

	mu    sync.Mutex
	stats Stats
}

// Start begins to follow: from the cursor file when there is one, else from
// where Begin says, which is noted in a new cursor file first. ErrOptions,
// ErrCursor.
func Start(o Options) (*Follower, error) {
	o, err := o.filled()
	if err != nil {
		return nil, err
	}
	f := &Follower{o: o, feed: o.Feed, done: make(chan struct{}), closing: sync.OnceValue(o.Target.Close)}
	if err := f.position(); err != nil {
		return nil, err
	}
	f.backoff = backoff{min: o.MinBackoff, max: o.MaxBackoff}
	f.saved, f.savedAt = f.at.index, time.Now()
	f.stats.Next = f.at.index
	f.working, f.stopWork = context.WithCancel(context.Background())
	f.waiting, f.stopWait = context.WithCancel(f.working)
	go f.run()
	return f, nil
}

// position finds where to begin.
func (f *Follower) position() error {
	found := false
	if f.o.Cursor != "" {
		var err error
		if f.at, found, err = loadCursor(f.o.Cursor); err != nil {
			return err
		}
	}
	if found {
		return nil
	}
	switch f.o.Begin {
	case AtEnd:
		f.at.index = f.feed.log.Size()
	case AtFirst:
		f.at.index = f.feed.log.First()
	case AtZero:
	}
	if f.o.Cursor == "" {
		return nil
	}
	// Without it, a crash before the first save would begin at a later end and
	// leave out what came between.
	return f.at.save(f.o.Cursor, true)
}

// Stop ends the following. A sink that works first delivers what is in the log
// now, as long as ctx lasts; one that fails leaves it for the next Start. Then
// the target is closed. The log must stay open until Stop returns. It may be
// called more than once.
func (f *Follower) Stop(ctx context.Context) error {
	f.stopWait()
	select {
	case <-f.done:
	case <-ctx.Done():
		f.stopWork()
		<-f.done
	}
	f.stopWork()
	return errors.Join(f.ended, f.closing())
}

func (f *Follower) run() {
	defer close(f.done)
	if f.settle() {
		for f.step() {
		}
	}
	f.ended = f.save()
}

// stopping reports whether Stop was called, and notes where the log ended then.
func (f *Follower) stopping() bool {
	if f.waiting.Err() == nil {
		return false
	}
	if f.until == 0 {
		f.until = f.feed.log.Size()
	}
	return true
}

// step moves on by one batch, or waits for more. It reports whether to go on.
func (f *Follower) step() bool {
	if f.working.Err() != nil || f.stopping() && f.at.index >= f.until {
		return false
	}
	w, err := f.feed.after(f.working, f.at.index, &f.own)
	if err != nil {
		return f.failed(err)
	}
	if len(w) == 0 {
		return f.wait()
	}
	if missed := w[0].index - f.at.index; missed > 0 {
		f.missed(missed, w[0].index)
	}
	batch, passed, err := f.batch(w)
	if err != nil && len(batch) == 0 {
		return f.failed(err)
	}
	if len(batch) > 0 {
		ctx, cancel := context.WithTimeout(f.working, f.o.Attempt)
		err := f.o.Target.Deliver(ctx, batch)
		cancel()
		if err != nil {
			return f.failed(err)
		}
	}
	if passed > 0 {
		last := w[passed-1]
		f.at = cursor{index: last.index + 1, last: last.entry.ID, hasLast: true}
		f.unsaved = f.unsaved || len(batch) > 0
		f.worked(len(batch))
	}
	return !f.unsaved || time.Since(f.savedAt) < saveEvery || f.keep()
}

// batch takes from w what is delivered together, and says how many entries of
// w are behind the follower then. An error concerns the entry after those.
func (f *Follower) batch(w window) (batch []Entry, passed int, err error) {
	size := 0
	for _, s := range w {
		if f.o.Filter != nil && !f.o.Filter(s.entry) {
			passed++
			continue
		}
		line, bytes := []byte(nil), s.size
		if !f.o.Plain {
			if line, err = f.feed.line(s); err != nil {
				return batch, passed, err
			}
			bytes = len(line)
		}
		if len(batch) > 0 && size+bytes > f.o.MaxBytes {
			break
		}
		size += bytes
		batch = append(batch, Entry{Index: s.index, E: s.entry, JSON: line})
		if passed++; len(batch) == f.o.MaxEntries {
			break
		}
	}
	return batch, passed, nil
}

// wait saves the cursor and waits for the next entries.
func (f *Follower) wait() bool {
	if (f.unsaved || time.Since(f.savedAt) >= skimmedEvery) && !f.keep() {
		return false
	}
	switch err := f.feed.log.Wait(f.waiting, f.at.index); {
	case f.waiting.Err() != nil:
		return true // the next step sees what is left to do
	case errors.Is(err, audit.ErrClosed):
		return false
	case err != nil:
		return f.failed(err)
	}
	f.pause(f.o.Linger)
	return true
}

// pause waits, but not past Stop; it reports whether the whole time passed.
func (f *Follower) pause(d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-f.waiting.Done():
		return false
	}
}

// keep saves the cursor, however long that takes. It reports whether to go on.
func (f *Follower) keep() bool {
	for {
		err := f.save()
		if err == nil {
			f.recovered()
			return true
		}
		if !f.failed(err) {
			return false
		}
	}
}

func (f *Follower) save() error {
	f.savedAt = time.Now()
	if f.o.Cursor == "" || f.saved == f.at.index {
		return nil
	}
	if err := f.at.save(f.o.Cursor, false); err != nil {
		return err
	}
	f.saved, f.unsaved = f.at.index, false
	return nil
}
