package exposure

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Source is the log that a scan reads, as package audit's logs are. It is used
// by several goroutines at once.
//
// A Source that can read single entries has also
//
//	At(ctx context.Context, indexes []uint64, fn func(index uint64, raw []byte) error) error
//
// which calls fn for each of the rising indexes in turn. A scan uses it for
// candidates that stand far apart.
type Source interface {
	// First is the index of the first entry that is kept.
	First() uint64
	// Size is one more than the index of the last durable entry.
	Size() uint64
	// Read calls fn for the entries from index from on, in rising order without
	// gaps. raw is valid until fn returns. An error of fn ends it and is returned
	// as it is.
	Read(from uint64, fn func(index uint64, raw []byte) error) error
}

// picker is a Source that can read single entries.
type picker interface {
	At(ctx context.Context, indexes []uint64, fn func(index uint64, raw []byte) error) error
}

// Scan asks the question of the log: of every entry that is durable when Scan
// begins or, unless candidates is nil, of those of them that candidates
// yields. Candidates come from an index, in rising order, and may be too many
// but not too few; those that the log no longer or not yet holds are passed
// over. They are drawn in the caller's goroutine, before Scan returns.
//
// Parts of the log are read at once, on as many goroutines as there are
// processors for Go. None is left when Scan returns. When ctx ends, Scan soon
// returns its error. With any error there is no tally: an answer that lacks
// entries is none. Errors: those of the log, ErrQuery, ErrLimit,
// ErrCandidates, ErrMissing, audit.ErrFormat for an entry of a newer format,
// audit.ErrEntry for one that is damaged.
func Scan(ctx context.Context, log Source, q Query, candidates iter.Seq[uint64]) (*Tally, error) {
	return scan(ctx, log, q, candidates, sizes{
		workers: runtime.GOMAXPROCS(0), least: 1 << 14, most: 1 << 20, few: 1 << 12, many: 1 << 16, apart: 64,
	})
}

// sizes says how a scan is cut into pieces.
type sizes struct {
	workers     int
	least, most uint64 // entries of a piece without candidates
	few, many   int    // candidates of a piece: far apart, close together
	apart       uint64 // entries for each candidate, in the mean, past which it stands alone
}

func scan(ctx context.Context, log Source, q Query, candidates iter.Seq[uint64], size sizes) (*Tally, error) {
	t := New(q)
	if t.err != nil {
		return nil, t.err
	}
	begin, end := log.First(), log.Size()
	t.part.span(begin, end)
	pieces, wrong := ranges(begin, end, size), error(nil)
	if candidates != nil {
		pieces = lots(candidates, begin, end, size, &wrong)
	}
	parts := make([]counter, size.workers)
	work := make(chan piece)
	inside, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var group sync.WaitGroup
	for i := range parts {
		parts[i] = counter{filter: t.part.filter, grid: t.grid}
		group.Go(func() {
			r := reader{log: log, size: size, to: &parts[i]}
			for p := range work {
				if err := r.read(inside, p); err != nil {
					fail(err) // the first one counts, and ends the others
				}
			}
		})
	}
	hand(inside, pieces, work)
	group.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := context.Cause(inside); err != nil {
		return nil, err
	}
	if wrong != nil {
		return nil, wrong
	}
	for i := range parts {
		t.part.join(&parts[i], nil)
	}
	t.grid.sort(size.workers)
	return t, nil
}

// hand gives the pieces to who takes them, until ctx ends.
func hand(ctx context.Context, pieces iter.Seq[piece], work chan<- piece) {
	defer close(work)
	for p := range pieces {
		select {
		case work <- p:
		case <-ctx.Done():
			return
		}
	}
}

// sort sorts all shards, on several goroutines.
func (g *grid) sort(workers int) {
	var next atomic.Int64
	var group sync.WaitGroup
	for range workers {
		group.Go(func() {
			for i := next.Add(1); i <= int64(len(g.shards)); i = next.Add(1) {
				g.shards[i-1].sorted()
			}
		})
	}
	group.Wait()
}

// reader reads pieces for one counter.
type reader struct {
	log     Source
	size    sizes
	decoder audit.Decoder
	to      *counter
	looked  uint // entries since ctx was looked at
}

// errStop ends a Read at the end of its piece.
var errStop = errors.New("the piece ends")

func (r *reader) read(ctx context.Context, p piece) error {
	if len(p.picks) > 0 && p.sparse(r.size) {
		if log, ok := r.log.(picker); ok {
			return r.pick(ctx, log, p.picks)
		}
	}
	next, picks := p.begin, p.picks
	err := r.log.Read(p.begin, func(index uint64, raw []byte) error {
		if index != next {
			return fmt.Errorf("%w: entry %d", ErrMissing, next)
		}
		next++
		if p.picks == nil || index == picks[0] {
			if err := r.entry(ctx, index, raw); err != nil {
				return err
			}
			if p.picks != nil {
				picks = picks[1:]
			}
		} else if err := r.look(ctx); err != nil {
			return err
		}
		if next == p.end {
			return errStop
		}
		return nil
	})
	if err != nil && !errors.Is(err, errStop) {
		return err
	}
	if next != p.end {
		return fmt.Errorf("%w: entry %d", ErrMissing, next)
	}
	return nil
}

// pick reads single entries.
func (r *reader) pick(ctx context.Context, log picker, picks []uint64) error {
	err := log.At(ctx, picks, func(index uint64, raw []byte) error {
		if len(picks) == 0 || index != picks[0] {
			return fmt.Errorf("%w: entry %d came unasked", ErrMissing, index)
		}
		picks = picks[1:]
		return r.entry(ctx, index, raw)
	})
	if err == nil && len(picks) > 0 {
		err = fmt.Errorf("%w: entry %d", ErrMissing, picks[0])
	}
	return err
}

func (r *reader) entry(ctx context.Context, index uint64, raw []byte) error {
	if err := r.look(ctx); err != nil {
		return err
	}
	e, err := r.decoder.Decode(raw)
	if err != nil {
		return fmt.Errorf("entry %d: %w", index, err)
	}
	return r.to.add(index, e)
}

// look looks at ctx now and then: often enough to end soon, and seldom enough
// to cost nothing.
func (r *reader) look(ctx context.Context) error {
	if r.looked++; r.looked%256 != 1 {
		return nil
	}
	return ctx.Err()
}
