package auditproof

import (
	"context"
	"fmt"
	"sort"
)

// locate finds the first entry of a scan that is not the one that the checkpoint
// covers. Every inclusion proof holds the hashes of all entries before its
// own, authentic under the checkpoint, so marks of the scan can be compared
// with them: some ten proofs narrow it to one part in a thousand, which is read
// again. It always returns an error.
func (v *verification) locate(ctx context.Context, s *scan) error {
	for {
		good, bad, err := v.narrow(ctx, s)
		if err != nil {
			return fmt.Errorf("%w, and which is not known: %w", ErrEntry, err)
		}
		if bad == good.size+1 {
			return &EntryError{good.size}
		}
		if s, err = v.scan(ctx, good, bad); err != nil {
			return fmt.Errorf("%w, and which is not known: %w", ErrEntry, err)
		}
		if same, err := v.right(ctx, &s.end); err != nil || same {
			return fmt.Errorf("%w, and the vault gives others each time", ErrEntry)
		}
	}
}

// narrow returns the last mark of a scan that is right, and the size of the next
// one, which is not.
func (v *verification) narrow(ctx context.Context, s *scan) (good edge, bad uint64, err error) {
	rest := s.marks[1:]
	at := sort.Search(len(rest), func(i int) bool {
		if err != nil {
			return true
		}
		var right bool
		right, err = v.right(ctx, &rest[i])
		return !right
	})
	if err != nil {
		return edge{}, 0, err
	}
	bad = s.end.size
	if at < len(rest) {
		bad = rest[at].size
	}
	return s.marks[at], bad, nil
}

// right says whether an edge is the one that the checkpoint covers.
func (v *verification) right(ctx context.Context, e *edge) (bool, error) {
	if e.size == v.last.Size {
		return e.root() == v.last.Root, nil
	}
	want, err := v.before(ctx, e.size)
	if err != nil {
		return false, err
	}
	return want.equal(e), nil
}
