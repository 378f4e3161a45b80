package sink

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	// readAhead is how many bytes of encoded entries one reading of the log
	// takes. The log is read from the beginning of a segment, so that small
	// readings would cost more than what they bring.
	readAhead = 512 << 10
	// keptRecent is how many bytes of encoded entries are kept for followers
	// that come to them a little later.
	keptRecent = 1 << 20
)

// Feed reads the log for any number of followers, so that those near its end
// share one reading, one decoding and one rendering of each entry. It is safe
// for concurrent use and holds nothing that has to be closed.
type Feed struct {
	log    Source
	render Render

	mu     sync.Mutex // held while the log is read at its end
	recent window
}

// NewFeed makes a feed. A nil render is for plain followers alone.
func NewFeed(log Source, render Render) *Feed { return &Feed{log: log, render: render} }

// slot is one entry of a window.
type slot struct {
	index uint64
	entry *audit.Entry
	size  int // of the encoded entry

	mu   sync.Mutex
	json []byte
}

// window is entries with consecutive indexes.
type window []*slot

// from returns the part that begins with the given entry, or nothing.
func (w window) from(index uint64) window {
	if len(w) == 0 || index < w[0].index || index-w[0].index >= uint64(len(w)) {
		return nil
	}
	return w[index-w[0].index:]
}

// end returns the index after the last entry.
func (w window) end() uint64 {
	if len(w) == 0 {
		return 0
	}
	return w[len(w)-1].index + 1
}

// after returns entries from index from on: at least one unless there are
// none, beginning with from unless the log was pruned. own is the caller's, for
// what nobody else is near.
func (f *Feed) after(ctx context.Context, from uint64, own *window) (window, error) {
	if w := own.from(from); len(w) > 0 {
		return w, nil
	}
	*own = nil
	w, behind, err := f.shared(ctx, from)
	if !behind || err != nil {
		return w, err
	}
	*own, err = f.read(ctx, from)
	return *own, err
}

// shared looks into the recent entries and moves them on when from is past
// them. A caller that is behind them reads for itself, so that one sink that
// catches up does not take from the others what they are about to read.
func (f *Feed) shared(ctx context.Context, from uint64) (w window, behind bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if w := f.recent.from(from); len(w) > 0 {
		return w, false, nil
	}
	if from < f.recent.end() {
		return nil, true, nil
	}
	if from >= f.log.Size() {
		return nil, false, nil
	}
	w, err = f.read(ctx, from)
	if len(w) == 0 {
		return nil, false, err
	}
	if w[0].index != f.recent.end() {
		f.recent = nil
	}
	f.recent = trim(append(f.recent, w...))
	return w, false, nil
}

// trim returns the last entries of w, at most keptRecent bytes, in memory of
// their own, so that the others can be freed.
func trim(w window) window {
	size := 0
	for i := len(w) - 1; i >= 0; i-- {
		if size += w[i].size; size > keptRecent {
			return append(window(nil), w[i+1:]...)
		}
	}
	return w
}

var errEnough = errors.New("sink: enough was read") // never leaves this file

func (f *Feed) read(ctx context.Context, from uint64) (w window, err error) {
	size := 0
	err = f.log.Read(from, func(index uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err != nil {
			return fmt.Errorf("entry %d: %w", index, err)
		}
		w = append(w, &slot{index: index, entry: e, size: len(raw)})
		if size += len(raw); size >= readAhead {
			return errEnough
		}
		return ctx.Err()
	})
	if errors.Is(err, errEnough) || len(w) > 0 {
		err = nil // what came before a fault is good; the fault comes again at its place
	}
	return w, err
}

// line renders the entry, once for all.
func (f *Feed) line(s *slot) ([]byte, error) {
	if f.render == nil {
		return nil, fmt.Errorf("%w: the feed renders nothing", ErrRender)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.json != nil {
		return s.json, nil
	}
	line, err := f.render(s.index, s.entry)
	if err != nil {
		return nil, fmt.Errorf("%w: entry %d: %w", ErrRender, s.index, err)
	}
	if len(line) == 0 || bytes.ContainsAny(line, "\n\r") {
		return nil, fmt.Errorf("%w: entry %d: not one line", ErrRender, s.index)
	}
	s.json = line
	return line, nil
}
