package vault

import (
	"context"
	"iter"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
)

// lookup is a question to the index: entries of [from, to) that have one key
// of each list.
type lookup struct {
	keys          [][]index.Key
	from, to      uint64
	after, before time.Time
	newest        bool
}

// find calls fn with entries that may match, in order, each once, and returns
// below which entry none is missing. The index looks up entries that have all
// of some keys; of one list with several, one question is asked for each and
// the answers are merged. Further lists with several do not narrow: the caller
// checks each entry anyway.
func (h *history) find(ctx context.Context, q lookup, fn func(uint64) error) (covered uint64, err error) {
	one := index.Query{From: q.from, To: q.to, After: q.after, Before: q.before, Newest: q.newest}
	var several []index.Key
	for _, list := range q.keys {
		switch {
		case len(list) == 1:
			one.All = append(one.All, list[0])
		case several == nil:
			several = list
		}
	}
	if several == nil {
		return h.index.Find(ctx, one, fn)
	}
	m := merge{newest: q.newest}
	defer m.stop()
	for _, key := range several {
		question := one
		question.All = append([]index.Key{key}, one.All...)
		m.add(h.answers(ctx, question))
	}
	covered = ^uint64(0)
	for {
		next, ok := m.next()
		if !ok {
			break
		}
		if err := fn(next); err != nil {
			return 0, err
		}
	}
	for _, s := range m.sources {
		if s.answer.err != nil {
			return 0, s.answer.err
		}
		covered = min(covered, s.answer.covered)
	}
	return covered, nil
}

// answer is what one question to the index gives.
type answer struct {
	covered uint64
	err     error
	seq     iter.Seq[uint64]
}

func (h *history) answers(ctx context.Context, q index.Query) *answer {
	a := &answer{}
	a.seq = func(yield func(uint64) bool) {
		a.covered, a.err = h.index.Find(ctx, q, func(i uint64) error {
			if !yield(i) {
				return errEnough
			}
			return nil
		})
	}
	return a
}

// merge merges ordered answers into one without doubles.
type merge struct {
	newest  bool
	sources []*source
}

type source struct {
	answer *answer
	next   func() (uint64, bool)
	stop   func()
	head   uint64
	more   bool
}

func (m *merge) add(a *answer) {
	s := &source{answer: a}
	s.next, s.stop = iter.Pull(a.seq)
	s.head, s.more = s.next()
	m.sources = append(m.sources, s)
}

func (m *merge) next() (uint64, bool) {
	var best uint64
	found := false
	for _, s := range m.sources {
		if s.more && (!found || (s.head < best) != m.newest) {
			best, found = s.head, true
		}
	}
	if !found {
		return 0, false
	}
	for _, s := range m.sources {
		if s.more && s.head == best {
			s.head, s.more = s.next()
		}
	}
	return best, true
}

func (m *merge) stop() {
	for _, s := range m.sources {
		s.stop()
	}
}
