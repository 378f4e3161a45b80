package vault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// closedKeysError: persons' keys do not open, and the end of their epoch would
// make that final.
type closedKeysError struct {
	epoch uint32
	count uint64
}

func (e *closedKeysError) Error() string {
	return fmt.Sprintf("%d persons' keys of epoch %d do not open; bring them back from a backup, or erase these persons (audit verify --deep names them)", e.count, e.epoch)
}

// Is makes the error one of damaged data.
func (*closedKeysError) Is(target error) bool { return target == store.ErrCorrupt }

// rewrap wraps every person's key in the current epoch, and proves by a scan
// that none is left in the one before. No new key can come to be there: whoever
// makes one requires the row of the current epoch unchanged.
func (end *epochEnd) rewrap(ctx context.Context, set *epochSet) error {
	end.step("counting")
	left, err := end.count(ctx, set)
	if err != nil {
		return err
	}
	end.work.Total, end.work.Done = left, 0
	for left > 0 {
		end.step("re-wrapping")
		done := end.work.Done
		if err := end.pass(ctx, set); err != nil {
			return err
		}
		end.step("counting")
		if left, err = end.count(ctx, set); err != nil {
			return err
		}
		if left > 0 && end.work.Done == done { // nothing of it opens
			end.work.Left = left
			return &closedKeysError{set.previous.number, left}
		}
	}
	end.work.Total, end.work.Left = end.work.Done, 0
	return nil
}

// count scans for keys that are not wrapped in the current epoch. Those of an
// epoch that ended before are lost for good, and nothing is won by waiting.
func (end *epochEnd) count(ctx context.Context, set *epochSet) (uint64, error) {
	left, lost := uint64(0), uint64(0)
	err := end.v.eachPersonKey(ctx, func(page []store.Row) error {
		for i := range page {
			number, _, err := keys.SubjectKeyEpoch(page[i].Value)
			switch {
			case err == nil && number == set.current.number:
			case err == nil && number < set.previous.number:
				lost++
			default:
				left++
			}
		}
		return nil
	})
	if lost > 0 {
		end.v.logger.Error("persons' keys are of an epoch that ended long ago", "count", lost)
	}
	return left, err
}

// pass wraps what it finds in the previous epoch anew.
func (end *epochEnd) pass(ctx context.Context, set *epochSet) error {
	var batch personBatch
	return end.v.eachPersonKey(ctx, func(page []store.Row) error {
		n, err := batch.rewrap(ctx, end.v, set, page)
		end.work.Done += n
		if end.work.Total < end.work.Done {
			end.work.Total = end.work.Done
		}
		end.show()
		return err
	})
}

// eachPersonKey calls fn with every person's key, page by page, and rests after
// each page as yieldToCallers says.
func (v *Vault) eachPersonKey(ctx context.Context, fn func(page []store.Row) error) error {
	from := []byte{0}
	for {
		if v.epochs.set.Load().closed { // sealed meanwhile
			return fail(KeysUnavailable, "")
		}
		began := time.Now()
		page, err := v.keys.Scan(ctx, rows.Subjects, from, nil, scanPage)
		if err != nil {
			return err
		}
		if len(page) > 0 {
			if err := fn(page); err != nil {
				return err
			}
			from = append(append(from[:0], page[len(page)-1].Key...), 0)
		}
		if len(page) < scanPage {
			return nil
		}
		if err := v.yieldToCallers(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// personBatch is memory for re-wrapping that is used again.
type personBatch struct {
	batch store.Batch
	arena []byte
}

// rewrap wraps the keys of a page that are of the previous epoch in the current
// one, in one commit. Keys that do not open stay as they are, and keys that
// change meanwhile (mostly since their person is erased) are left to the next
// count. It returns how many were wrapped.
func (p *personBatch) rewrap(ctx context.Context, v *Vault, set *epochSet, page []store.Row) (uint64, error) {
	p.batch.Reset()
	p.arena = p.arena[:0]
	if need := len(page) * keys.WrappedSubjectKeySize; cap(p.arena) < need {
		p.arena = make([]byte, 0, need)
	}
	var key personKey
	defer clear(key[:])
	for i := range page {
		ref, err := rows.ParseRef(page[i].Key)
		if err != nil {
			return 0, fmt.Errorf("subjects: %w", err)
		}
		number, generation, err := keys.SubjectKeyEpoch(page[i].Value)
		if err != nil || number != set.previous.number || set.previous.key == nil {
			continue
		}
		if err := set.previous.key.UnwrapSubjectKey(page[i].Value, ref, generation, key.bytes()); err != nil {
			continue
		}
		at := len(p.arena)
		p.arena = set.current.key.WrapSubjectKey(p.arena, ref, generation, key.bytes())
		p.batch.RequireEqual(rows.Subjects, page[i].Key, page[i].Value)
		p.batch.Put(rows.Subjects, page[i].Key, p.arena[at:len(p.arena):len(p.arena)])
	}
	for len(p.batch.Writes) > 0 {
		err := v.keys.Commit(ctx, &p.batch)
		var conflict *store.ConflictError
		switch {
		case err == nil:
			return uint64(len(p.batch.Writes)), nil
		case !errors.As(err, &conflict) || conflict.Require < 0 || conflict.Require >= len(p.batch.Requires):
			return 0, err
		}
		p.leaveOut(conflict.Require)
	}
	return 0, nil
}

// leaveOut takes the i-th key out of the batch.
func (p *personBatch) leaveOut(i int) {
	b := &p.batch
	b.Requires = append(b.Requires[:i], b.Requires[i+1:]...)
	b.Writes = append(b.Writes[:i], b.Writes[i+1:]...)
}
