package exposure_test

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// memory is a log of encoded entries, of which those before first were
// removed.
type memory struct {
	first uint64
	raw   [][]byte // by index
	reads atomic.Uint64
}

// failer is what tests and rapid's checks have in common.
type failer interface {
	Helper()
	Fatalf(format string, args ...any)
}

func logOf(t failer, list []*audit.Entry) *memory {
	t.Helper()
	m := &memory{}
	for i, e := range list {
		if err := e.Validate(); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		m.raw = append(m.raw, e.Append(nil))
	}
	return m
}

func (m *memory) First() uint64 { return m.first }

func (m *memory) Size() uint64 { return uint64(len(m.raw)) }

// Read overwrites each entry after fn has returned, as a file's buffer does.
func (m *memory) Read(from uint64, fn func(uint64, []byte) error) error {
	for i := max(from, m.first); i < m.Size(); i++ {
		if err := m.give(i, fn); err != nil {
			return err
		}
	}
	return nil
}

func (m *memory) give(i uint64, fn func(uint64, []byte) error) error {
	m.reads.Add(1)
	raw := append([]byte(nil), m.raw[i]...)
	err := fn(i, raw)
	for i := range raw {
		raw[i] = 0xff
	}
	return err
}

// picking is a memory that can also read single entries.
type picking struct{ *memory }

func (p picking) At(ctx context.Context, indexes []uint64, fn func(uint64, []byte) error) error {
	for _, i := range indexes {
		if i < p.first || i >= p.Size() {
			return fmt.Errorf("entry %d is not here", i)
		}
		if err := p.give(i, fn); err != nil {
			return err
		}
	}
	return ctx.Err()
}
