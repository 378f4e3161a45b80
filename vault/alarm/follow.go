package alarm

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	// pause is how long a busy log is left alone between two readings: each begins
	// with a search for the place where the last one ended.
	pause = time.Second
	// saveEvery is how much work a crash repeats, unless alarms were found, which
	// are saved at once.
	saveEvery = 5 * time.Second
	// A reading ends after this many entries or alarms, so that what was found is
	// told and saved while a long log is caught up with.
	readMost  = 1 << 16
	foundMost = 256

	firstRetry = time.Second
	lastRetry  = time.Minute
)

// errEnough ends a reading.
var errEnough = errors.New("enough for one reading")

// Run follows the log until ctx ends, and then returns nil; when the log is
// closed it returns audit.ErrClosed. All other errors are logged and tried again,
// after 1 second at first and 1 minute at last. Run again goes on where it ended.
// Two must not run at once.
func (w *Watcher) Run(ctx context.Context) error {
	defer func() { w.save(w.next != w.saved) }()
	retry := firstRetry
	for {
		raised, err := w.catchUp(ctx)
		if err == nil {
			w.mended()
			err = w.wait(ctx, raised)
		}
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, audit.ErrClosed):
			return audit.ErrClosed
		case err != nil:
			w.failed(err)
			sleep(ctx, retry)
			retry = min(2*retry, lastRetry)
		default:
			retry = firstRetry
		}
	}
}

// wait saves what is due, lets the log gather for a pause, and returns when
// there is more.
func (w *Watcher) wait(ctx context.Context, raised bool) error {
	w.save(raised || time.Since(w.savedAt) >= saveEvery)
	sleep(ctx, pause)
	if w.next == w.saved {
		return w.log.Wait(ctx, w.next)
	}
	// Quiet times are for saving.
	due, cancel := context.WithDeadline(ctx, w.savedAt.Add(saveEvery))
	defer cancel()
	if err := w.log.Wait(due, w.next); err != nil && (ctx.Err() != nil || due.Err() == nil) {
		return err
	}
	return nil
}

// catchUp looks at all entries that there are, and reports whether alarms were
// raised. When it returns nil, everything before next is done with.
func (w *Watcher) catchUp(ctx context.Context) (raised bool, err error) {
	for {
		told, err := w.tell(ctx)
		raised = raised || told
		if err != nil || w.next >= w.log.Size() {
			return raised, err
		}
		before := w.next
		err = w.read(ctx)
		if err == nil && w.next == before {
			err = errStuck
		}
		told, tellErr := w.tell(ctx) // also what was found before an error
		raised = raised || told
		if err := errors.Join(err, tellErr); err != nil {
			return raised, err
		}
		w.save(time.Since(w.savedAt) >= saveEvery)
	}
}

// read tells the detector the next entries.
func (w *Watcher) read(ctx context.Context) error {
	if first := w.log.First(); first > w.next {
		w.missed(first - w.next)
		w.next = first
	}
	from := w.next
	err := w.log.Read(from, func(index uint64, raw []byte) error {
		if w.next-from >= readMost || len(w.found) >= foundMost {
			return errEnough
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if index > w.next {
			w.missed(index - w.next)
		}
		if e, err := w.decoder.Decode(raw); err != nil {
			w.unreadable(index, err)
		} else {
			w.found = append(w.found, w.detector.Observe(index, e)...)
		}
		w.next = index + 1
		return nil
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return err
}

// tell writes what was found into the log, and returns nil when all of it is
// durable. What is not stays in found, and next has not been passed until it is.
func (w *Watcher) tell(ctx context.Context) (raised bool, err error) {
	receipts := make([]audit.Receipt, len(w.found))
	for i := range w.found {
		receipts[i] = w.log.Append(w.found[i].Entry())
	}
	var left []Alarm
	for i, r := range receipts {
		a := &w.found[i]
		_, failed := r.Wait(ctx)
		switch {
		case failed == nil:
			raised = true
			w.raised(a)
		case errors.Is(failed, audit.ErrEntry): // no later attempt could do better
			w.note(func(s *Stats) { s.Failures++ })
			w.logger.Error("an alarm does not fit the audit log", "rule", a.Rule, "cause", a.Cause, "error", failed)
		default:
			left, err = append(left, *a), failed
		}
	}
	if w.found = left; len(left) == 0 {
		w.note(func(s *Stats) { s.Cursor = w.next })
	}
	return raised, err
}

func (w *Watcher) raised(a *Alarm) {
	w.note(func(s *Stats) { s.Raised[a.Rule]++ })
	w.logger.Warn("alarm", "rule", string(a.Rule), "principal", a.Principal, "count", a.Count, "outcome", a.Outcome.String(), "cause", a.Cause)
}

func (w *Watcher) missed(n uint64) {
	w.note(func(s *Stats) { s.Missed += n })
	w.logger.Warn("entries were removed from the audit log before they were looked at for alarms", "from", w.next, "entries", n)
}

func (w *Watcher) unreadable(index uint64, err error) {
	w.note(func(s *Stats) { s.Unreadable++ })
	w.logger.Error("an entry of the audit log cannot be looked at for alarms", "entry", index, "error", err)
}

// failed and mended tell the logger once each.
func (w *Watcher) failed(err error) {
	w.note(func(s *Stats) { s.Failures++ })
	if !w.failing {
		w.logger.Error("looking for alarms fails; trying again", "error", err, "cursor", w.next)
	}
	w.failing = true
}

func (w *Watcher) mended() {
	if w.failing {
		w.logger.Info("looking for alarms works again", "cursor", w.next)
	}
	w.failing = false
}

// save writes the state when it is due and everything found is durable. Not to
// be able to is no reason to stop: a restart then repeats more.
func (w *Watcher) save(due bool) {
	if !due || w.next == w.saved || len(w.found) > 0 {
		return
	}
	err := w.write()
	switch {
	case err != nil:
		w.note(func(s *Stats) { s.Failures++ })
		w.savedAt = time.Now() // for the next attempt
		if !w.unsaved {
			w.logger.Error("the state of the alarms cannot be saved; a restart would raise some again", "error", err)
		}
	case w.unsaved:
		w.logger.Info("the state of the alarms is saved again")
	}
	w.unsaved = err != nil
}

// sleep waits, or returns when ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}
