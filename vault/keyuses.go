package vault

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A key that seals with random nonces is safe for 2^32 uses. They are counted
// in memory (keys.Ring.Uses) and reserved durably ahead of use, in blocks: what
// is stored is never below what was used, so that a crash forgets nothing and
// costs at most a block. A keyset rotates by itself at UseLimit; a version that
// all the same came to UseEnd seals no more.
const (
	// UseBlock is how many uses are reserved at a time.
	UseBlock = 1 << 20
	// UseLimit is the number of uses at which a keyset rotates by itself.
	UseLimit = 1 << 31
	// UseEnd is the number of uses after which a version seals no more values.
	UseEnd = 1<<32 - 4*UseBlock
)

// usesEvery is how often uses are looked at: less than half a block is used in
// that time.
const usesEvery = time.Second

// seenEvery is how many times as seldom is stored when tokens were last seen.
const seenEvery = 60

// useKey is a version of a keyset.
type useKey struct {
	id      keys.ID
	version uint16
}

// useBook keeps how often each version was used.
type useBook struct {
	mu       sync.Mutex
	base     map[useKey]uint64 // before this run
	reserved map[useKey]uint64 // as stored
	limit    uint64            // UseLimit, but in tests
	end      uint64            // UseEnd, but in tests
	// spent holds the fields whose version in use seals no more; nil: none.
	spent atomic.Pointer[map[uint32]bool]
}

func usesRowKey(k useKey) []byte {
	b := append(make([]byte, 0, 7), byte(k.id.Kind))
	b = binary.BigEndian.AppendUint32(b, k.id.Number)
	return binary.BigEndian.AppendUint16(b, k.version)
}

// openUses reads what earlier runs reserved, all of which counts as used.
func (v *Vault) openUses(ctx context.Context) error {
	u := &v.uses
	u.base, u.reserved = make(map[useKey]uint64), make(map[useKey]uint64)
	from := []byte{0}
	for {
		page, err := v.values.Scan(ctx, rows.KeyUses, from, nil, scanPage)
		if err != nil {
			return err
		}
		for _, r := range page {
			if len(r.Key) != 7 {
				return fmt.Errorf("%w: a key of %d bytes in key_uses", store.ErrCorrupt, len(r.Key))
			}
			n, err := store.Counter(r.Value)
			if err != nil {
				return err
			}
			k := useKey{keys.ID{Kind: keys.Kind(r.Key[0]), Number: binary.BigEndian.Uint32(r.Key[1:])}, binary.BigEndian.Uint16(r.Key[5:])}
			if k.id.Kind == keys.KindDomain {
				v.seen.load(k, n)
				continue
			}
			u.base[k], u.reserved[k] = uint64(n), uint64(n)
		}
		if len(page) < scanPage {
			break
		}
		from = store.Next(page[len(page)-1].Key)
	}
	var b store.Batch
	noted := v.putUses(&b, v.ring.Snapshot())
	if len(b.Writes) == 0 {
		return nil
	}
	if err := v.values.Commit(ctx, &b); err != nil {
		return err
	}
	noted()
	return nil
}

// used returns how often a version was used, rounded up by less than a block.
func (u *useBook) used(k useKey, run uint64) uint64 {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.base[k] + run
}

// worn reports whether a version was used as often as it may.
func (u *useBook) worn(k useKey, run uint64) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.base[k]+run >= u.limit
}

// putUses adds to a batch the reservations of versions that are in use and have
// none, and returns what to note when it is stored.
func (v *Vault) putUses(b *store.Batch, s *keys.Snapshot) func() {
	u := &v.uses
	u.mu.Lock()
	defer u.mu.Unlock()
	var fresh []useKey
	for _, id := range s.IDs() {
		lock := s.AEAD(id)
		if lock == nil {
			continue
		}
		k := useKey{id, lock.Primary()}
		if _, ok := u.reserved[k]; ok {
			continue
		}
		fresh = append(fresh, k)
		b.Put(rows.KeyUses, usesRowKey(k), store.AppendCounter(nil, UseBlock))
	}
	return func() {
		u.mu.Lock()
		defer u.mu.Unlock()
		for _, k := range fresh {
			u.reserved[k] = UseBlock
		}
	}
}

// reserveUses stores reservations where less than half a block is left, and
// finds the fields whose version in use seals no more.
func (v *Vault) reserveUses(ctx context.Context) error {
	u := &v.uses
	var b store.Batch
	next := make(map[useKey]uint64)
	var spent map[uint32]bool
	s := v.ring.Snapshot()
	for _, use := range v.allUses() {
		if use.Count == 0 {
			continue
		}
		k := useKey{use.ID, use.Version}
		n := u.used(k, use.Count)
		u.mu.Lock()
		reserved, end := u.reserved[k], u.end
		u.mu.Unlock()
		if n+UseBlock/2 > reserved {
			next[k] = n + UseBlock
			b.Put(rows.KeyUses, usesRowKey(k), store.AppendCounter(nil, int64(n+UseBlock)))
		}
		if n >= end && k.id.Kind == keys.KindField && inUseNow(s, k) {
			if spent == nil {
				spent = make(map[uint32]bool)
			}
			spent[k.id.Number] = true
		}
	}
	if len(b.Writes) > 0 {
		if err := v.values.Commit(ctx, &b); err != nil {
			return err
		}
	}
	u.mu.Lock()
	maps.Copy(u.reserved, next)
	u.mu.Unlock()
	if spent == nil {
		u.spent.Store(nil)
	} else {
		u.spent.Store(&spent)
	}
	return nil
}

// allUses are the uses of this run: those of keysets, and how many persons' keys
// the present epoch wrapped.
func (v *Vault) allUses() []keys.Use {
	all := v.ring.Uses()
	if number, uses := v.epochUses(); number != 0 {
		all = append(all, keys.Use{ID: epochKeyUse(number).id, Count: uses})
	}
	return all
}

// epochKeyUse is where the uses of an epoch's key are counted.
func epochKeyUse(number uint32) useKey {
	return useKey{id: keys.ID{Kind: keys.Kind(KeyEpoch), Number: number}}
}

// bankEpochUses keeps the count of a key that is about to be given up: taken
// back, it counts anew.
func (v *Vault) bankEpochUses() {
	number, uses := v.epochUses()
	v.uses.mu.Lock()
	v.uses.base[epochKeyUse(number)] += uses
	v.uses.mu.Unlock()
}

// epochWorn reports whether the present epoch wrapped as many keys as it may.
func (v *Vault) epochWorn() bool {
	number, uses := v.epochUses()
	return number != 0 && v.uses.worn(epochKeyUse(number), uses)
}

func inUseNow(s *keys.Snapshot, k useKey) bool {
	lock := s.AEAD(k.id)
	return lock != nil && lock.Primary() == k.version
}

// worn returns the keysets whose version in use was used as often as it may.
func (v *Vault) worn() []keys.ID {
	var out []keys.ID
	s := v.ring.Snapshot()
	for _, use := range v.ring.Uses() {
		if k := (useKey{use.ID, use.Version}); inUseNow(s, k) && v.uses.worn(k, use.Count) {
			out = append(out, use.ID)
		}
	}
	slices.SortFunc(out, keys.ID.Compare)
	return out
}

// isSpent reports whether a field's version in use seals no more.
func (u *useBook) isSpent(field uint32) bool {
	spent := u.spent.Load()
	return spent != nil && (*spent)[field]
}

// keepUses reserves uses ahead until the vault closes. Should the store fail, no
// value can be stored either.
func (v *Vault) keepUses(ctx context.Context) {
	tick := time.NewTicker(usesEvery)
	defer tick.Stop()
	for turn := 0; ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if turn++; turn%seenEvery == 0 {
			if err := v.saveSeen(ctx); err != nil && ctx.Err() == nil {
				v.logger.Warn("when tokens were last seen could not be stored", "error", err)
			}
		}
		if err := v.reserveUses(ctx); err != nil && ctx.Err() == nil {
			v.logger.Warn("uses of keys could not be reserved", "error", err)
		}
		for _, id := range v.worn() {
			v.rotateBySelf(ctx, id, "uses")
		}
		if v.epochWorn() {
			v.rotateRefBySelf(ctx, KeyRef{Kind: KeyEpoch}, "uses")
		}
	}
}

// lastUses is more than a vault seals between this and its end: the mark of the
// log and what stood in the queue.
const lastUses = 1 << 12

// closeUses stores what was really used, so that a clean stop costs no block.
func (v *Vault) closeUses() {
	if err := v.saveSeen(context.Background()); err != nil {
		v.logger.Warn("when tokens were last seen could not be stored", "error", err)
	}
	var b store.Batch
	for _, use := range v.allUses() {
		k := useKey{use.ID, use.Version}
		if n := v.uses.used(k, use.Count) + lastUses; n < v.uses.reserved[k] {
			b.Put(rows.KeyUses, usesRowKey(k), store.AppendCounter(nil, int64(n)))
		}
	}
	if len(b.Writes) == 0 {
		return
	}
	if err := v.values.Commit(context.Background(), &b); err != nil {
		v.logger.Warn("the number of uses of keys is rounded up at the next start", "error", err)
	}
}
