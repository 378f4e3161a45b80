package audit

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/tlog"
)

// allOlder returns the first entry of the first segment that has to stay. All
// before it were read, are older, and are what the checkpoint covers: of these
// alone the signer may say that they were pruned.
func (l *FileLog) allOlder(ctx context.Context, proofs *tree.Reader, firsts []uint64, olderThan time.Time) (uint64, error) {
	before, bundled := l.First(), l.bundled()
	if len(firsts) == 0 || firsts[0] > before {
		return 0, &CorruptError{Segment: segmentName(before), Index: before, Rule: "the segment is missing"}
	}
	covered := covered{proofs: proofs}
	var decoder Decoder
	for at := 0; at+1 < len(firsts) && firsts[at+1] <= bundled; at++ {
		until := firsts[at+1]
		if until <= before {
			continue // is to be removed already
		}
		err := l.files.read(firsts[at], max(before, firsts[at]), until, func(index uint64, raw []byte) error {
			if err := covered.check(index, raw); err != nil {
				return err
			}
			e, err := decoder.Decode(raw)
			if err != nil {
				return fmt.Errorf("%w: entry %d: %w", ErrCorrupt, index, err)
			}
			if !e.Time.Before(olderThan) {
				return errYoung
			}
			return l.mayGoOn(ctx)
		})
		if errors.Is(err, errYoung) {
			break
		}
		if err != nil {
			return 0, l.damage(err)
		}
		before = until
	}
	return before, nil
}

var errYoung = errors.New("the entry is not old enough")

// covered holds entries, by rising index, against the tree. Their sums are no
// proof: who writes the files could make young entries old.
type covered struct {
	proofs *tree.Reader
	bundle uint64
	leaves []tlog.Hash // of the bundle, nil before the first
}

func (c *covered) check(index uint64, raw []byte) (err error) {
	if bundle := index / tree.BundleSize; c.leaves == nil || c.bundle != bundle {
		if c.leaves, err = c.proofs.Leaves(bundle); err != nil {
			return err
		}
		c.bundle = bundle
	}
	if tlog.RecordHash(raw) != c.leaves[index%tree.BundleSize] {
		return &tree.EntryError{Index: index, Rule: "is not the entry that the checkpoint covers"}
	}
	return nil
}
