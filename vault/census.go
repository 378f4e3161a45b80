package vault

import (
	"context"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A census says how many stored values stand under each version of the keysets
// that seal: cells under the fields', callers' ids and other rows under
// rows/0. It is a count of everything, not a running total that could drift.
// What begins after a promotion has committed misses nothing: every batch that
// seals requires the control row that the promotion changed.
type census struct {
	at     time.Time // when it began
	counts map[keys.ID]map[uint16]uint64
	// unknown counts what names no key of its keyset.
	unknown uint64
}

func (c *census) add(id keys.ID, version uint16, n uint64) {
	of := c.counts[id]
	if of == nil {
		of = make(map[uint16]uint64)
		c.counts[id] = of
	}
	of[version] += n
}

// stale returns how many values stand under versions that are not in use: those
// that can be re-wrapped, and those of versions that are disabled. What stands
// under a destroyed one is lost, and left to nobody.
func (c *census) stale(s *keys.Snapshot) (open, shut uint64) {
	for _, in := range s.Info() {
		for version, n := range c.counts[in.ID] {
			switch {
			case version == in.Primary:
			case is(&in, version, keys.Enabled):
				open += n
			case is(&in, version, keys.Disabled):
				shut += n
			}
		}
	}
	return open, shut
}

func is(in *keys.Info, version uint16, state keys.State) bool {
	for _, v := range in.Versions {
		if v.Version == version {
			return v.State == state
		}
	}
	return false
}

// lastCensus keeps the last one.
type lastCensus struct {
	mu   sync.Mutex
	last *census
}

func (l *lastCensus) keep(c *census) {
	l.mu.Lock()
	l.last = c
	l.mu.Unlock()
}

func (l *lastCensus) get() *census {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.last
}

// hurry says whether work that reads everything gives way to callers.
type hurry bool

const (
	givingWay       hurry = false // work in the background
	atOnceForCaller hurry = true  // somebody waits for it
)

// takeCensus counts everything that is stored. progress is told how many rows
// were read, now and then.
func (v *Vault) takeCensus(ctx context.Context, h hurry, progress func(read uint64)) (*census, error) {
	st := v.state.Load()
	s := v.ring.Snapshot()
	if !holdsFields(s, st) {
		return nil, fail(KeysUnavailable, "")
	}
	out := &census{at: v.now(), counts: make(map[keys.ID]map[uint16]uint64)}
	read := uint64(0)
	err := v.eachPage(ctx, h, store.Next(rows.ControlKey), func(page []store.Row) error {
		for i := range page {
			k, err := rows.ParsePersonKey(page[i].Key)
			if err != nil {
				continue // the deep check says what it is
			}
			id, lock := lockOf(s, &k)
			if lock == nil {
				continue
			}
			version, err := seal.OuterVersion(lock, page[i].Value)
			if err != nil {
				out.unknown++
				continue
			}
			out.add(id, version, 1)
		}
		read += uint64(len(page))
		progress(read)
		return nil
	})
	if err != nil {
		return nil, err
	}
	others, err := v.countRows(ctx)
	if err != nil {
		return nil, err
	}
	for version, n := range others {
		out.add(rowsKey, version, n)
	}
	v.census.keep(out)
	return out, nil
}

// holdsFields reports whether a snapshot, taken after the state, has the keysets
// of its fields. One of a sealed vault has none: counted by it, every value
// would seem to need no key.
func holdsFields(s *keys.Snapshot, st *state) bool {
	for _, f := range st.whole.Fields() {
		if s.Field(uint32(f.ID)) == nil {
			return false
		}
	}
	return true
}

// lockOf returns the keyset under which a row of the people table stands; nil
// for rows that are not sealed.
func lockOf(s *keys.Snapshot, k *rows.PersonKey) (keys.ID, *keys.AEAD) {
	switch {
	case k.Identity:
		return rowsKey, s.Rows()
	case k.Field != 0:
		return keys.ID{Kind: keys.KindField, Number: k.Field}, s.Field(k.Field)
	}
	return keys.ID{}, nil
}

// workPage is how many rows the work on keys reads at a time.
const workPage = 512

// eachPage reads the people table from a key on, page by page.
func (v *Vault) eachPage(ctx context.Context, h hurry, from []byte, do func([]store.Row) error) error {
	for {
		began := time.Now()
		page, err := v.values.Scan(ctx, rows.People, from, nil, workPage)
		if err != nil {
			return err
		}
		if err := do(page); err != nil {
			return err
		}
		if len(page) < workPage {
			return nil
		}
		from = store.Next(page[len(page)-1].Key)
		if h == atOnceForCaller {
			continue
		}
		if err := v.yieldToCallers(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// countForCaller is countUnder for a caller who waits for it. It reads
// everything, so there is one at a time.
func (v *Vault) countForCaller(ctx context.Context, k *keyChange) (left uint64, refused *Error, err error) {
	switch k.Kind {
	case KeyField, KeyRows, KeyLookup:
		if !v.counting.TryLock() {
			return 0, refuse(Busy, "", "what is stored is being counted already"), nil
		}
		defer v.counting.Unlock()
	}
	left, err = v.countUnder(ctx, k.id(), k.Version)
	return left, nil, err
}

// changedMeanwhile refuses what a count was made for.
func changedMeanwhile() *Error {
	return refuse(InvalidRequest, "version", "the keyset was changed while its values were counted; ask again")
}

// unneeded refuses a version of the rows or the lookup key that something
// stored needs, and returns the generation of the keyset that this holds for; 0
// for other keys. It may take long, so nobody waits for it: as long as the
// keyset stays as it is, nothing is put under a version that is not in use.
func (v *Vault) unneeded(ctx context.Context, c Caller, q *KeyChange) (generation uint64, err error) {
	if q.Key.Kind != KeyRows && q.Key.Kind != KeyLookup {
		return 0, nil
	}
	entry := audit.Entry{Action: audit.ActionKeyDisable, Reason: knownReason(q.Reason)}
	st, err := v.inspect(ctx, c, policy.ActionKeysDisable, entry)
	if err != nil {
		return 0, err
	}
	k, refused := v.keyChangeOf(st, q)
	if refused == nil {
		entry.Object = objectText(k.Object)
		refused = ofKeyset(q, k)
	}
	if refused == nil {
		refused = requireReason(q.Reason)
	}
	if refused == nil {
		generation = v.keyGeneration(k)
		var left uint64
		if left, refused, err = v.countForCaller(ctx, k); err != nil {
			return 0, failure(err)
		}
		if refused == nil && left > 0 {
			refused = inUse(q, left)
		}
	}
	if refused != nil {
		return 0, v.refused(ctx, c, st, refused, entry)
	}
	return generation, nil
}

// countUnder returns how many stored values need a version of a keyset. Of
// keysets under which nothing is sealed it is 0.
func (v *Vault) countUnder(ctx context.Context, id keys.ID, version uint16) (uint64, error) {
	if v.ring.Snapshot().Generation(id) == 0 {
		return 0, fail(KeysUnavailable, "") // given up meanwhile
	}
	switch id.Kind {
	case keys.KindField, keys.KindRows:
		c, err := v.takeCensus(ctx, atOnceForCaller, func(uint64) {})
		if err != nil {
			return 0, err
		}
		return c.counts[id][version], nil
	case keys.KindLookup:
		return v.lookupLeft(ctx, version)
	}
	return 0, nil
}
