package vault

import (
	"context"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// seenBook notes on which day a token of each version of a domain was last
// shown to the vault: whoever wants to retire a version looks there, since the
// tokens themselves are outside. It stands among the uses of keys.
type seenBook struct {
	mu    sync.Mutex
	days  map[useKey]int64 // days since 1970
	dirty map[useKey]bool
}

// load takes over what an earlier run noted.
func (s *seenBook) load(k useKey, day int64) {
	if s.days == nil {
		s.days, s.dirty = make(map[useKey]int64), make(map[useKey]bool)
	}
	s.days[k] = day
}

const dayLength = 24 * time.Hour

// noteSeen takes over what the codec in force saw.
func (v *Vault) noteSeen() {
	st := v.state.Load()
	if st == nil || st.tokens == nil {
		return
	}
	today := v.now().Unix() / int64(dayLength/time.Second)
	v.seen.mu.Lock()
	defer v.seen.mu.Unlock()
	st.tokens.Seen(func(domain, version uint16) {
		k := useKey{keys.ID{Kind: keys.KindDomain, Number: uint32(domain)}, version}
		if v.seen.days[k] != today {
			v.seen.load(k, today)
			v.seen.dirty[k] = true
		}
	})
}

// lastSeen returns the day on which a token of a version was last shown; zero:
// none was.
func (v *Vault) lastSeen(domain uint32, version uint16) time.Time {
	v.noteSeen()
	k := useKey{keys.ID{Kind: keys.KindDomain, Number: domain}, version}
	v.seen.mu.Lock()
	defer v.seen.mu.Unlock()
	if day, ok := v.seen.days[k]; ok {
		return time.Unix(day*int64(dayLength/time.Second), 0).UTC()
	}
	return time.Time{}
}

// saveSeen makes the days durable.
func (v *Vault) saveSeen(ctx context.Context) error {
	v.noteSeen()
	v.seen.mu.Lock()
	defer v.seen.mu.Unlock()
	if len(v.seen.dirty) == 0 {
		return nil
	}
	var b store.Batch
	for k := range v.seen.dirty {
		b.Put(rows.KeyUses, usesRowKey(k), store.AppendCounter(nil, v.seen.days[k]))
	}
	if err := v.values.Commit(ctx, &b); err != nil {
		return err
	}
	clear(v.seen.dirty)
	return nil
}
