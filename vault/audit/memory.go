package audit

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// MemoryLog is a Log in memory, for tests of what stands on a Log. It can be
// told to fail, and to hold receipts back as a slow disk would.
type MemoryLog struct {
	mu     sync.Mutex
	raw    [][]byte // durable entries
	done   *group   // finished, first index 0; for entries that are durable at once
	held   *group   // nil unless receipts are held back
	queued [][]byte // entries whose receipts are held back
	bytes  uint64
	broken error
	closed bool
	ended  chan struct{} // closed when closed is set
	grown  watch
}

var (
	_ Log    = (*MemoryLog)(nil)
	_ Reader = (*MemoryLog)(nil)
)

// Memory returns an empty log in memory.
func Memory() *MemoryLog {
	m := &MemoryLog{done: newGroup(), ended: make(chan struct{})}
	m.done.finish(0, nil)
	return m
}

// Append implements Log.
func (m *MemoryLog) Append(e *Entry) Receipt {
	e.complete(time.Now)
	if err := e.Validate(); err != nil {
		return Failed(err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.refusal(); err != nil {
		return Failed(err)
	}
	raw := e.Append(nil)
	if m.held != nil {
		m.queued = append(m.queued, raw)
		return Receipt{group: m.held, position: uint64(len(m.queued) - 1)}
	}
	m.raw = append(m.raw, raw)
	m.bytes += uint64(len(raw))
	m.grown.tell()
	return Receipt{group: m.done, position: uint64(len(m.raw) - 1)}
}

// Fail makes the log fail: what is held back and every later Append fail with
// ErrUnavailable wrapping cause too. Fail(nil) mends the log.
func (m *MemoryLog) Fail(cause error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.broken = nil; cause == nil {
		return
	}
	m.broken = fmt.Errorf("%w: %w", ErrUnavailable, cause)
	if m.held != nil {
		m.held.finish(0, m.broken)
		m.held, m.queued = newGroup(), nil
	}
}

// Hold keeps entries from becoming durable: receipts wait until Release, Fail
// or Close. Holding twice is holding once.
func (m *MemoryLog) Hold() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held == nil && !m.closed {
		m.held = newGroup()
	}
}

// Release makes durable what was held back, and what comes is durable at once
// again.
func (m *MemoryLog) Release() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release()
}

func (m *MemoryLog) release() {
	if m.held == nil {
		return
	}
	first := uint64(len(m.raw))
	for _, raw := range m.queued {
		m.raw = append(m.raw, raw)
		m.bytes += uint64(len(raw))
	}
	m.held.finish(first, nil)
	m.grown.tell()
	m.held, m.queued = nil, nil
}

// Entries returns all durable entries, decoded.
func (m *MemoryLog) Entries() []*Entry {
	var all []*Entry
	_ = m.Read(0, func(_ uint64, raw []byte) error {
		e, err := Decode(raw)
		if err != nil {
			return err // cannot be: Append encoded it
		}
		all = append(all, e)
		return nil
	})
	return all
}

// First implements Reader; it is 0.
func (m *MemoryLog) First() uint64 { return 0 }

// At implements Reader.
func (m *MemoryLog) At(ctx context.Context, indexes []uint64, fn func(index uint64, raw []byte) error) error {
	m.mu.Lock()
	raw := m.raw[:len(m.raw):len(m.raw)]
	m.mu.Unlock()
	if err := checkIndexes(indexes, uint64(len(raw))); err != nil {
		return err
	}
	for _, index := range indexes {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := fn(index, raw[index]); err != nil {
			return err
		}
	}
	return nil
}

// Wait implements Reader.
func (m *MemoryLog) Wait(ctx context.Context, size uint64) error {
	return m.grown.wait(ctx, size, m.Size, m.ended)
}

// Read implements Reader.
func (m *MemoryLog) Read(from uint64, fn func(index uint64, raw []byte) error) error {
	m.mu.Lock()
	raw := m.raw[:len(m.raw):len(m.raw)]
	m.mu.Unlock()
	for ; from < uint64(len(raw)); from++ {
		if err := fn(from, raw[from]); err != nil {
			return err
		}
	}
	return nil
}

// Healthy implements Log.
func (m *MemoryLog) Healthy() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.refusal()
}

func (m *MemoryLog) refusal() error {
	if m.closed {
		return ErrClosed
	}
	return m.broken
}

// Size implements Log.
func (m *MemoryLog) Size() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return uint64(len(m.raw))
}

// Stats implements Log. Nothing is ever forced to a disk.
func (m *MemoryLog) Stats() Stats {
	m.mu.Lock()
	defer m.mu.Unlock()
	return Stats{Entries: uint64(len(m.raw)), Groups: uint64(len(m.raw)), Bytes: m.bytes}
}

// Close implements Log. What was held back becomes durable.
func (m *MemoryLog) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.release()
	if !m.closed {
		m.closed = true
		close(m.ended)
	}
	return nil
}
