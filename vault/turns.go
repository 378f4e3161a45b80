package vault

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// turns lets the changes of one person follow each other in this process. The
// store would refuse all but one of those that run at once, and the others
// would do their work again; with turns only other nodes make a change try
// twice. They are for speed: what is right is decided by the preconditions of
// each batch.
type turns struct {
	mu    sync.Mutex
	taken map[rows.Hash]chan struct{} // nil until somebody waits for the end
}

// turn is the persons that a call may change now, in rising order.
type turn []rows.Hash

// begin waits until no other call changes one of the persons. Everybody takes
// persons in rising order, so that no two calls wait for each other.
func (t *turns) begin(ctx context.Context, changes []*change) (turn, error) {
	want := make(turn, len(changes))
	for i, c := range changes {
		want[i] = c.hash.primary
	}
	slices.SortFunc(want, func(a, b rows.Hash) int { return bytes.Compare(a[:], b[:]) })
	want = slices.Compact(want)
	for have := 0; ; {
		var busy chan struct{}
		have, busy = t.take(want, have)
		if busy == nil {
			return want, nil
		}
		select {
		case <-busy:
		case <-ctx.Done():
			t.end(want[:have])
			return nil, ctx.Err()
		}
	}
}

// take goes on taking after the first have, up to one that is taken, and
// returns how many it has and the channel that is closed at that one's end.
func (t *turns) take(want turn, have int) (int, chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken == nil {
		t.taken = make(map[rows.Hash]chan struct{})
	}
	for ; have < len(want); have++ {
		end, busy := t.taken[want[have]]
		if busy {
			if end == nil {
				end = make(chan struct{})
				t.taken[want[have]] = end
			}
			return have, end
		}
		t.taken[want[have]] = nil
	}
	return have, nil
}

// end gives the persons of a turn to who waits.
func (t *turns) end(mine turn) {
	if len(mine) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, hash := range mine {
		if end := t.taken[hash]; end != nil {
			close(end)
		}
		delete(t.taken, hash)
	}
}
