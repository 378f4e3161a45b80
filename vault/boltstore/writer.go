package boltstore

import (
	"errors"
	"runtime"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A group holds at most so many batches, and no more after so many bytes.
const (
	groupBatches = 2048
	groupBytes   = 8 << 20
)

// write is the writer: it takes all batches that wait, commits them in one
// transaction, and answers. It ends when the queue is closed and empty.
func (s *Store) write() {
	var group []*request
	for first := range s.queue {
		// Callers that the last commit released are about to come back; let
		// them queue before the group is closed.
		runtime.Gosched()
		group = s.collect(group[:0], first)
		s.commitGroup(group)
		for _, r := range group {
			if r.err == nil {
				s.batches.Add(1)
			}
			close(r.done)
		}
		clear(group)
	}
}

// collect adds to first what waits behind it, without waiting.
func (s *Store) collect(group []*request, first *request) []*request {
	bytes := 0
	for r := first; ; {
		if r.state.CompareAndSwap(waiting, taken) {
			group = append(group, r)
			bytes += r.bytes
		}
		if len(group) >= groupBatches || bytes >= groupBytes {
			return group
		}
		var open bool
		select {
		case r, open = <-s.queue:
			if !open {
				return group
			}
		default:
			return group
		}
	}
}

// commitGroup carries a group through one transaction and sets each err. A
// batch that meets a damaged page, or that the engine refuses, is set aside
// and the others begin anew.
func (s *Store) commitGroup(group []*request) {
	s.writing.Lock()
	defer s.writing.Unlock()
	rest := group
	for len(rest) > 0 {
		if err := s.usable(); err != nil {
			answer(rest, err)
			return
		}
		bad, err := s.tryGroup(rest)
		if bad == nil {
			if err != nil {
				s.poison(err)
				answer(rest, err)
			}
			return
		}
		bad.err = err
		others := make([]*request, 0, len(rest)-1)
		for _, r := range rest {
			if r != bad {
				others = append(others, r)
			}
		}
		rest = others
	}
}

// answer gives err to all requests, but for those rejected on their own
// account.
func answer(group []*request, err error) {
	for _, r := range group {
		if r.err == nil {
			r.err = err
		}
	}
}

// tryGroup runs a group once. On success, and on a failed commit, bad is nil;
// otherwise bad is the request that cannot be carried out, nothing was
// changed, and err is its answer.
func (s *Store) tryGroup(group []*request) (bad *request, err error) {
	g := &groupTx{s: s, group: group}
	defer g.release()
	if err := g.begin(); err != nil {
		return nil, err
	}
	err = g.f.apply(g.tx, func(*bbolt.Tx) error {
		for _, r := range group {
			bad = r
			if err := g.run(r); err != nil {
				return err
			}
		}
		bad = nil
		return nil
	})
	if err != nil {
		for _, r := range group {
			r.err = nil
		}
		return bad, err
	}
	if g.passed == 0 {
		return nil, g.tx.Rollback()
	}
	if g.entries > 0 {
		s.mem.insert(g.overlay, g.entries)
	}
	if err := g.f.commit(g.tx); err != nil {
		// When the state is unknown the rows stay: readers may see the
		// transaction that they belong to.
		if g.entries > 0 && !errors.Is(err, store.ErrBroken) {
			s.mem.remove(g.overlay, g.entries)
		}
		return nil, err
	}
	s.commits.Add(1)
	if g.f.changes != nil {
		g.note(g.f.changes)
	}
	if g.entries == 0 {
		return nil, nil
	}
	s.seq = g.seq
	if s.large(g.layers[len(g.layers)-1]) {
		s.wakeMerger()
	}
	return nil, nil
}
