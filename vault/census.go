package vault

import (
	"context"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
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
// that can be re-wrapped, and those of versions that are disabled or gone.
func (c *census) stale(s *keys.Snapshot) (open, shut uint64) {
	for _, in := range s.Info() {
		for version, n := range c.counts[in.ID] {
			switch {
			case version == in.Primary:
			case enabled(&in, version):
				open += n
			default:
				shut += n
			}
		}
	}
	return open, shut
}

func enabled(in *keys.Info, version uint16) bool {
	for _, v := range in.Versions {
		if v.Version == version {
			return v.State == keys.Enabled
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
