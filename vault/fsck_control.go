package vault

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// fsckTries is how often what looks wrong is looked at again while others
// change it.
const fsckTries = 64

// control checks the rows that are no person's.
func (f *fsck) control(ctx context.Context) error {
	checks := []struct {
		kind  FsckKind
		table string
		run   func(context.Context) error
	}{
		{FsckControl, keyTableOf(rows.KeyControl), f.checkKeyControl},
		{FsckControl, keyTableOf(rows.Keyring), f.checkKeyring},
		{FsckControl, tableOf(rows.Control), f.checkNames},
		{FsckControl, tableOf(rows.Control), f.checkTogether},
		{FsckControl, tableOf(rows.Control), f.checkWork},
		{FsckControl, tableOf(rows.Control), f.checkCounters},
		{FsckControl, tableOf(rows.Policies), f.checkPolicies},
		{FsckControl, tableOf(rows.KeyRequests), f.checkKeyRequests},
		{FsckControl, tableOf(rows.KeyUses), f.checkKeyUses},
		{FsckLog, tableOf(rows.Control), f.checkLog},
	}
	for _, c := range checks {
		err := f.settled(ctx, c.run)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case fsckFault(err):
			f.find(FsckFinding{Kind: c.kind, Table: c.table, Detail: err.Error()})
		default:
			return err
		}
	}
	return nil
}

// errFsck marks what a check says of rows that are wrong in themselves.
var errFsck = errors.New("wrong")

// fsckFault tells whether an error of a check speaks of what is stored.
func fsckFault(err error) bool {
	for _, is := range []error{errFsck, store.ErrCorrupt, store.ErrFormat, ErrLogOlder, ErrLogOther} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// settled runs a check of rows that others may change while it reads them. A
// fault counts when it is there twice, with the control row unchanged from
// before the first look until after the second.
func (f *fsck) settled(ctx context.Context, check func(context.Context) error) error {
	var before []byte
	seen := false
	for n := range fsckTries {
		if err := f.breathe(ctx, n); err != nil {
			return err
		}
		now, err := f.controlRow(ctx)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, before) {
			before, seen = now, false
		}
		first := check(ctx)
		if first == nil || ctx.Err() != nil {
			return errors.Join(first, ctx.Err())
		}
		now, err = f.controlRow(ctx)
		if err != nil {
			return err
		}
		if seen && bytes.Equal(now, before) {
			return first
		}
		seen = bytes.Equal(now, before)
		before = now
		if !f.offline { // the keysets, and what the calls see, as they are now
			if _, err := f.v.reload(ctx); err != nil && !fsckFault(err) {
				return err
			}
		}
	}
	return nil
}

// controlRow reads the control row; nil when there is none.
func (f *fsck) controlRow(ctx context.Context) ([]byte, error) {
	var have store.Rows
	if err := f.v.values.Get(ctx, []store.Key{controlPair}, &have); err != nil {
		return nil, err
	}
	row, _ := have.Value(0)
	return bytes.Clone(row), nil
}

// checkKeyControl checks the rows of keys.db that name the vault and the epochs.
func (f *fsck) checkKeyControl(ctx context.Context) error {
	ended, _ := rows.EndedEpochRange()
	return f.each(ctx, f.v.keys, rows.KeyControl, func(r *store.Row) error {
		var err error
		switch {
		case bytes.Equal(r.Key, rows.VaultKey):
			if !bytes.Equal(r.Value, f.v.id[:]) {
				err = fmt.Errorf("%w: the vault's id is another than that of values.db", errFsck)
			}
		case bytes.Equal(r.Key, rows.EpochKey), bytes.Equal(r.Key, rows.PreviousEpochKey):
			_, err = rows.ParseEpoch(r.Value)
		case bytes.HasPrefix(r.Key, ended):
			var e rows.EndedEpoch
			if e, err = rows.ParseEndedEpoch(r.Value); err == nil && !bytes.Equal(r.Key, rows.EndedEpochKey(e.Number)) {
				err = fmt.Errorf("%w: the row of an ended epoch stands under another number", errFsck)
			}
		default:
			err = fmt.Errorf("%w: a row of an unknown name", errFsck)
		}
		return err
	})
}

// checkKeyring reads the root and every keyset again.
func (f *fsck) checkKeyring(ctx context.Context) error {
	if f.v.sealed.Load() != nil {
		return nil
	}
	err := f.v.ring.Reload(ctx)
	if err != nil && ctx.Err() == nil && !isStoreAway(err) {
		err = fmt.Errorf("%w: %w", errFsck, err)
	}
	return err
}

// isStoreAway tells errors of a store that say nothing about its rows.
func isStoreAway(err error) bool {
	return errors.Is(err, store.ErrClosed) || errors.Is(err, store.ErrBroken) || errors.Is(err, store.ErrBusy)
}

// checkNames checks that the control table holds nothing but what is known.
func (f *fsck) checkNames(ctx context.Context) error {
	known := [][]byte{rows.RefBlockKey, rows.SweptKey, rows.LaneKey, rows.VaultKey, rows.RelookKey, rows.CompactKey}
	for _, c := range sealedControl() {
		known = append(known, c.key)
	}
	erasing, _ := rows.ErasingRange()
	return f.each(ctx, f.v.values, rows.Control, func(r *store.Row) error {
		if bytes.HasPrefix(r.Key, erasing) {
			_, err := rows.ParseErasingKey(r.Key)
			return err
		}
		if !slices.ContainsFunc(known, func(k []byte) bool { return bytes.Equal(k, r.Key) }) {
			return fmt.Errorf("%w: a row of an unknown name", errFsck)
		}
		return nil
	})
}

// checkTogether checks the control row, the freezes, the marks, and the
// keysets: that they open, and were written together.
func (f *fsck) checkTogether(ctx context.Context) error {
	row, err := f.controlRow(ctx)
	if err != nil {
		return err
	}
	control, err := rows.ParseControl(row)
	if err != nil {
		return err
	}
	freezes, honey, err := f.v.loadRestrictions(ctx, func(_ numbered, err error) error { return err })
	if err != nil {
		return err
	}
	if err := f.v.checkGuard(ctx, row, freezes, honey); err != nil {
		return err
	}
	_, err = f.v.checkKeysets(ctx, control)
	return err
}

// checkWork checks the rows of work that is under way.
func (f *fsck) checkWork(ctx context.Context) error {
	if _, _, err := f.v.pendingKeyChange(ctx); err != nil {
		return err
	}
	if _, _, err := f.v.storedWish(ctx); err != nil {
		return err
	}
	if _, err := f.v.storedRewrap(ctx); err != nil {
		return err
	}
	var have store.Rows
	if err := f.v.values.Get(ctx, []store.Key{
		{Table: rows.Control, Key: rows.CompactKey}, {Table: rows.Control, Key: rows.RelookKey},
	}, &have); err != nil {
		return err
	}
	if row, ok := have.Value(0); ok {
		if _, err := rows.ParseCompactDue(row); err != nil {
			return err
		}
	}
	row, ok := have.Value(1)
	if !ok {
		return nil
	}
	_, err := rows.ParseRelook(row)
	return err
}

// checkCounters checks the counters of refs and the vault's id.
func (f *fsck) checkCounters(ctx context.Context) error {
	var have store.Rows
	if err := f.v.values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.VaultKey}}, &have); err != nil {
		return err
	}
	if id, _ := have.Value(0); !bytes.Equal(id, f.v.id[:]) {
		return fmt.Errorf("%w: the vault's id is another than that of keys.db", errFsck)
	}
	g, err := f.given(ctx)
	if err == nil && g.swept > g.given {
		err = fmt.Errorf("%w: more refs were swept than were given out", errFsck)
	}
	return err
}

// checkPolicies opens every policy that is kept, and the first administrator's
// row.
func (f *fsck) checkPolicies(ctx context.Context) error {
	if _, err := f.v.bootstrapPolicy(ctx); err != nil {
		return err
	}
	row, err := f.controlRow(ctx)
	if err != nil {
		return err
	}
	control, err := rows.ParseControl(row)
	if err != nil {
		return nil // found already
	}
	if control.Policy > 0 {
		if _, _, err := f.v.loadPolicy(ctx, control.Policy); err != nil {
			return notOurs(err)
		}
	}
	return f.each(ctx, f.v.values, rows.Policies, func(r *store.Row) error {
		version, err := rows.ParseNumberKey(r.Key)
		if err != nil {
			return err
		}
		_, err = f.v.readPolicy(ctx, version)
		return err
	})
}

// notOurs makes an error of a policy that is not accepted a fault.
func notOurs(err error) error {
	if isStoreAway(err) || isContext(err) {
		return err
	}
	return fmt.Errorf("%w: %w", errFsck, err)
}

func (f *fsck) checkKeyRequests(ctx context.Context) error {
	_, err := f.v.requests(ctx)
	return err
}

func (f *fsck) checkKeyUses(ctx context.Context) error {
	return f.each(ctx, f.v.values, rows.KeyUses, func(r *store.Row) error {
		if len(r.Key) != 7 {
			return fmt.Errorf("%w: a key of %d bytes in key_uses", store.ErrCorrupt, len(r.Key))
		}
		n, err := store.Counter(r.Value)
		if err == nil && n < 0 {
			err = fmt.Errorf("%w: a negative number of uses", errFsck)
		}
		return err
	})
}

// checkLog holds the log against what the values know of it.
func (f *fsck) checkLog(ctx context.Context) error {
	if err := f.v.log.Healthy(); err != nil {
		return fmt.Errorf("%w: the audit log cannot be written: %w", errFsck, err)
	}
	err := f.v.checkLog(ctx)
	if err != nil && !isStoreAway(err) && !isContext(err) {
		return fmt.Errorf("%w: %w", errFsck, err)
	}
	return err
}

// each calls fn with every row of an ordered table, in pages of few rows:
// policies may be large.
func (f *fsck) each(ctx context.Context, s store.Store, table uint8, fn func(*store.Row) error) error {
	from := []byte{0}
	for {
		page, err := s.Scan(ctx, table, from, nil, policyPage)
		if err != nil {
			return err
		}
		for i := range page {
			if err := fn(&page[i]); err != nil {
				return err
			}
		}
		if len(page) < policyPage {
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// refsGiven says which refs were given out, and which of them were swept.
type refsGiven struct{ lane, given, swept uint64 }

func (f *fsck) given(ctx context.Context) (g refsGiven, err error) {
	if g.lane, err = readLane(ctx, f.v.values); err != nil {
		return g, err
	}
	if g.swept, err = readCounter(ctx, f.v.values, rows.SweptKey); err != nil {
		return g, err
	}
	g.given, err = readCounter(ctx, f.v.values, rows.RefBlockKey) // the last: it only rises
	return g, err
}

// ahead tells whether a ref was not given out.
func (g refsGiven) ahead(ref uint64) bool {
	return ref == 0 || ref > rows.Ref(g.lane, min(g.given, rows.LaneSize-1))
}

// spare tells whether a key without a person is still for the sweep of a
// start, or of the present run.
func (g refsGiven) spare(ref uint64) bool {
	return rows.Lane(ref) == g.lane && ref > rows.Ref(g.lane, min(g.swept, rows.LaneSize-1))
}
