package exposure

import (
	"fmt"
	"iter"
)

// piece is what one goroutine reads in one go: the entries from begin to
// before end, or only those in picks.
type piece struct {
	begin, end uint64
	picks      []uint64 // rising; nil for all
}

// sparse reports whether the picks stand so far apart that reading each alone
// is cheaper than reading all from the first to the last.
func (p *piece) sparse(size sizes) bool {
	return (p.end-p.begin)/size.apart > uint64(len(p.picks))
}

// ranges cuts the entries from begin to before end: several pieces for each
// worker, so that all end at about the same time, but not too small, since
// reading begins before the piece.
func ranges(begin, end uint64, size sizes) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		step := min(max((end-begin)/uint64(4*size.workers), size.least), size.most)
		for at := begin; at < end; at += step {
			if !yield(piece{begin: at, end: at + min(step, end-at)}) {
				return
			}
		}
	}
}

// lots cuts the candidates from begin to before end. When they do not rise, it
// ends and sets wrong.
func lots(candidates iter.Seq[uint64], begin, end uint64, size sizes, wrong *error) iter.Seq[piece] {
	return func(yield func(piece) bool) {
		var p piece
		var before uint64
		begun := false
		for c := range candidates {
			if begun && c <= before {
				*wrong = fmt.Errorf("%w: %d after %d", ErrCandidates, c, before)
				return
			}
			begun, before = true, c
			if c < begin {
				continue
			}
			if c >= end {
				break
			}
			if len(p.picks) == 0 {
				p.begin = c
			}
			p.picks, p.end = append(p.picks, c), c+1
			if n := len(p.picks); n >= size.many || n >= size.few && p.sparse(size) {
				if !yield(p) {
					return
				}
				p = piece{}
			}
		}
		if len(p.picks) > 0 {
			yield(p)
		}
	}
}
