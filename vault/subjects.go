package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// refBlock is how many refs are reserved durably at a time. A restart leaves
// the rest of a block unused.
const refBlock = 4096

// refBlocks gives out refs in rising order, all of one lane.
type refBlocks struct {
	lane      uint64 // see rows.FirstLane; set when the vault is opened
	mu        sync.Mutex
	next, end uint64
}

// take returns n fresh refs that follow each other from the first. A request
// that the block cannot fill takes a new block and leaves the rest unused.
func (r *refBlocks) take(ctx context.Context, values store.Store, n int) (uint64, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.next+uint64(n) > r.end {
		size := uint64(max(refBlock, n))
		first, err := addCounter(ctx, values, rows.RefBlockKey, size)
		if err != nil {
			return 0, err
		}
		r.next = rows.Ref(r.lane, first+1) // refs start at 1
		r.end = r.next + size
	}
	first := r.next
	r.next += uint64(n)
	return first, nil
}

// openRefs reads the lane of the refs that this vault gives out, and returns
// how many of it earlier runs took.
func (v *Vault) openRefs(ctx context.Context) (given uint64, err error) {
	if v.refs.lane, err = readLane(ctx, v.values); err != nil {
		return 0, err
	}
	given, err = readCounter(ctx, v.values, rows.RefBlockKey)
	if err == nil && given >= rows.LaneSize-refBlock {
		err = fmt.Errorf("%w: the counter of refs", store.ErrCorrupt)
	}
	return given, err
}

// readLane returns the lane of a value store.
func readLane(ctx context.Context, values store.Store) (uint64, error) {
	lane, err := readCounter(ctx, values, rows.LaneKey)
	switch {
	case err != nil:
		return 0, err
	case lane == 0:
		return rows.FirstLane, nil
	case lane > rows.MaxLane:
		return 0, fmt.Errorf("%w: the lane of refs", store.ErrCorrupt)
	}
	return lane, nil
}

// addCounter raises a control counter durably and returns what it was before.
func addCounter(ctx context.Context, values store.Store, key []byte, n uint64) (uint64, error) {
	for {
		before, err := readCounter(ctx, values, key)
		if err != nil {
			return 0, err
		}
		var b store.Batch
		if before == 0 {
			b.RequireAbsent(rows.Control, key)
		} else {
			b.RequireEqual(rows.Control, key, store.AppendCounter(nil, int64(before)))
		}
		b.Put(rows.Control, key, store.AppendCounter(nil, int64(before+n)))
		err = values.Commit(ctx, &b)
		if !isConflict(err) {
			return before, err
		}
	}
}

// readCounter returns a control counter; an absent one is 0.
func readCounter(ctx context.Context, values store.Store, key []byte) (uint64, error) {
	var have store.Rows
	if err := values.Get(ctx, []store.Key{{Table: rows.Control, Key: key}}, &have); err != nil {
		return 0, err
	}
	row, ok := have.Value(0)
	if !ok {
		return 0, nil
	}
	n, err := store.Counter(row)
	return uint64(n), err
}

// person is a new person whose key is durable and whose header is not.
type person struct {
	ref uint64
	key personKey
}

// personKey is a person's key in clear. It prints as redacted.
type personKey [keys.SecretSize]byte

// bytes returns the key itself, for the two calls that use it.
func (k *personKey) bytes() *[keys.SecretSize]byte { return (*[keys.SecretSize]byte)(k) }

// Format implements fmt.Formatter: every verb prints the same.
func (personKey) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(plain.Redacted)) }

const firstKeyGeneration = 1

// spares are persons whose keys were made durable ahead of need, so that a
// new record mostly costs no commit of the key store. What a run leaves over
// is swept at the next start like every key without a header.
type spares struct {
	mu     sync.Mutex
	people []person
}

// newPersons returns n persons whose keys are durable.
func (v *Vault) newPersons(ctx context.Context, n int) ([]person, error) {
	if n == 0 {
		return nil, nil
	}
	if v.ahead == 0 {
		return v.makePersons(ctx, n)
	}
	v.spares.mu.Lock()
	defer v.spares.mu.Unlock()
	if missing := n - len(v.spares.people); missing > 0 {
		made, err := v.makePersons(ctx, missing+v.ahead)
		if err != nil {
			return nil, err
		}
		v.spares.people = append(v.spares.people, made...)
	}
	out := slices.Clone(v.spares.people[:n])
	clear(v.spares.people[:n])
	v.spares.people = v.spares.people[n:]
	return out, nil
}

// makePersons makes n persons' keys durable in one commit of the key store.
func (v *Vault) makePersons(ctx context.Context, n int) ([]person, error) {
	first, err := v.refs.take(ctx, v.values, n)
	if err != nil {
		return nil, err
	}
	made := make([]person, n)
	for i := range made {
		made[i].ref = first + uint64(i)
		fresh := keys.NewSubjectKey()
		made[i].key = personKey(*fresh.Expose())
		fresh.Wipe()
	}
	for range maxAttempts {
		e := v.epochs.set.Load().current
		if e.key == nil {
			return nil, fail(KeysUnavailable, "")
		}
		err := v.keys.Commit(ctx, wrapPersons(e, made))
		if err == nil {
			return made, nil
		}
		var conflict *store.ConflictError
		if !errors.As(err, &conflict) || conflict.Require != 0 {
			return nil, err
		}
		// The epoch moved on: nothing was stored, and it is done again in the next.
		if _, err := v.reloadEpochs(ctx); err != nil {
			return nil, err
		}
	}
	return nil, fail(Contention, "")
}

// wrapPersons is the batch that stores the keys of new persons, wrapped in an
// epoch, as long as that is the current one: its first precondition.
func wrapPersons(e *epoch, made []person) *store.Batch {
	var b store.Batch
	b.RequireEqual(rows.KeyControl, rows.EpochKey, e.row)
	for i := range made {
		p := &made[i]
		wrapped := e.key.WrapSubjectKey(nil, p.ref, firstKeyGeneration, p.key.bytes())
		// A ref that has a key already was given out before: the value store is
		// older than the key store, and tokens would open to somebody else.
		b.RequireAbsent(rows.Subjects, rows.RefKey(p.ref))
		b.Put(rows.Subjects, rows.RefKey(p.ref), wrapped)
	}
	return &b
}

// dropPersons removes keys of persons whose header never came to be. A failure
// only leaves keys that a later sweep removes.
func (v *Vault) dropPersons(refs []uint64) {
	if len(refs) == 0 {
		return
	}
	var b store.Batch
	for _, ref := range refs {
		v.subjects.drop(ref)
		b.Delete(rows.Subjects, rows.RefKey(ref))
	}
	if err := v.keys.Commit(context.Background(), &b); err != nil {
		v.logger.Warn("keys of persons that were not stored stay until the next sweep", "count", len(refs), "error", err)
	}
}

// subjectKey is a person's key that a call needs.
type subjectKey struct {
	ref        uint64
	generation uint32
	found      bool
	missed     uint64 // of the cache, for keeping the key
	key        personKey
}

// subjectKeys fills in the keys of need, from the cache or by one read of the
// key store. A person without a key stays not found.
func (v *Vault) subjectKeys(ctx context.Context, need []subjectKey, scratch *keyScratch) error {
	now := v.now().UnixNano()
	scratch.at = scratch.at[:0]
	for i := range need {
		n := &need[i]
		if i > 0 && need[i-1].ref == n.ref && need[i-1].generation == n.generation {
			if need[i-1].found {
				n.key, n.found = need[i-1].key, true
				continue
			}
		}
		if n.found, n.missed = v.subjects.get(n.ref, n.generation, now, &n.key); !n.found {
			scratch.at = append(scratch.at, i)
		}
	}
	if len(scratch.at) == 0 {
		return nil
	}
	for range maxKeyReads {
		again, err := v.readSubjectKeys(ctx, need, scratch, now)
		if err != nil || len(again) == 0 {
			return err
		}
		// An epoch began or ended since those keys were read.
		scratch.at = again
		if _, err := v.reloadEpochs(ctx); err != nil {
			return err
		}
	}
	v.logger.Error("persons' keys are wrapped in an epoch that is not known", "count", len(scratch.at))
	return nil
}

// maxKeyReads bounds how often keys are read again since epochs moved on.
const maxKeyReads = 4

// readSubjectKeys reads the keys that scratch.at says from the key store. It
// returns those that are wrapped in an epoch that is not open.
func (v *Vault) readSubjectKeys(ctx context.Context, need []subjectKey, scratch *keyScratch, now int64) (again []int, err error) {
	scratch.pairs, scratch.arena = scratch.pairs[:0], scratch.arena[:0]
	for _, i := range scratch.at {
		scratch.arena = binary.BigEndian.AppendUint64(scratch.arena, need[i].ref)
	}
	for j := range scratch.at {
		scratch.pairs = append(scratch.pairs, store.Key{Table: rows.Subjects, Key: scratch.arena[8*j : 8*j+8 : 8*j+8]})
	}
	// A key that cannot be read is like one that is missing: what that means is
	// for the caller to say.
	if _, _, err := salvage(ctx, v.keys, scratch.pairs, 0, 1, &scratch.rows); err != nil {
		return nil, err
	}
	set := v.epochs.set.Load() // after the read: it knows every epoch that the keys can be of, or a later one
	again = scratch.at[:0]
	for j, i := range scratch.at {
		n := &need[i]
		blob, ok := scratch.rows.Value(j)
		if !ok {
			continue
		}
		err := set.unwrap(blob, n.ref, n.generation, &n.key)
		switch {
		case err == nil:
			n.found = true
			v.subjects.put(n.ref, n.generation, now, &n.key, n.missed)
		case errors.Is(err, errOtherEpoch):
			again = append(again, i)
		default:
			v.logger.Error("a person's key does not open", "error", err)
		}
	}
	return again, nil
}

// keyScratch is memory that subjectKeys uses again.
type keyScratch struct {
	pairs []store.Key
	at    []int
	arena []byte
	rows  store.Rows
}
