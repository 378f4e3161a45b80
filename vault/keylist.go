package vault

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// Keys lists the root, the KEK, the epoch and every keyset. With count,
// everything that is stored is counted first, which reads all of it; else the
// last count is shown. While the vault is sealed the keysets that it gave up
// are missing from the list, which says so.
func (v *Vault) Keys(ctx context.Context, c Caller, count bool) (*KeyList, error) {
	entry := audit.Entry{Action: audit.ActionKeyRead, Object: "keys"}
	st, err := v.inspect(ctx, c, policy.ActionKeysRead, entry)
	if err != nil {
		return nil, err
	}
	if count {
		if st.sealed != "" {
			return nil, v.refused(ctx, c, st, refuse(KeysUnavailable, "count", "nothing can be counted while the vault is sealed"), entry)
		}
		if !v.counting.TryLock() {
			return nil, v.refused(ctx, c, st, refuse(Busy, "count", "what is stored is being counted already"), entry)
		}
		_, err := v.takeCensus(ctx, atOnceForCaller, func(uint64) {})
		v.counting.Unlock()
		if err != nil {
			return nil, failure(err)
		}
	}
	out := &KeyList{Sealed: st.sealed, Keys: v.outerKeys()}
	infos := st.keys.Info()
	slices.SortFunc(infos, func(a, b keys.Info) int {
		return cmp.Or(cmp.Compare(a.ID.Kind, b.ID.Kind), cmp.Compare(keyRef(st, a.ID).Name, keyRef(st, b.ID).Name))
	})
	counted, uses := v.census.get(), v.usesNow()
	for i := range infos {
		out.Keys = append(out.Keys, v.keyOf(st, &infos[i], counted, uses))
	}
	entry.Count = uint32(len(out.Keys))
	return out, v.inspected(ctx, c, st, entry)
}

// usesNow returns how often each version was used.
func (v *Vault) usesNow() map[useKey]uint64 {
	out := make(map[useKey]uint64)
	v.uses.mu.Lock()
	for k, n := range v.uses.base {
		out[k] = n
	}
	v.uses.mu.Unlock()
	for _, use := range v.ring.Uses() {
		out[useKey{use.ID, use.Version}] += use.Count
	}
	return out
}

// keyOf describes a keyset.
func (v *Vault) keyOf(st *state, in *keys.Info, counted *census, uses map[useKey]uint64) Key {
	out := Key{Ref: keyRef(st, in.ID), Generation: in.Generation, Primary: uint32(in.Primary), Versions: make([]KeyVersion, len(in.Versions))}
	for i, version := range in.Versions {
		kv := KeyVersion{Version: uint32(version.Version), State: version.State, Made: version.Made}
		switch in.ID.Kind {
		case keys.KindField, keys.KindRows:
			kv.Uses = uses[useKey{in.ID, version.Version}]
			if counted != nil {
				kv.Values, kv.Counted = counted.counts[in.ID][version.Version], counted.at
			}
		case keys.KindDomain:
			kv.LastSeen = v.lastSeen(in.ID.Number, version.Version)
		}
		if version.Version == in.Primary {
			out.Rotated = version.Made
		}
		out.Versions[i] = kv
	}
	out.Due = v.ages.due(KeyKind(in.ID.Kind), out.Rotated)
	return out
}

// outerKeys describes what stands above the keysets.
func (v *Vault) outerKeys() []Key {
	root := v.ring.Root()
	top := Key{
		Ref: KeyRef{Kind: KeyRoot}, Generation: uint64(root.Wrapping), Primary: root.Version, Rotated: root.Made, Provider: root.KEK,
		Versions: []KeyVersion{{Version: root.Version, State: keys.Enabled, Made: root.Made}},
		Due:      v.ages.due(KeyRoot, root.Made),
	}
	if r := root.Recovery; r != nil {
		top.Recovery = fmt.Sprintf("%d of %d shares", r.Threshold, r.Shares)
	}
	kek := Key{
		Ref: KeyRef{Kind: KeyKEK}, Generation: uint64(root.Wrapping), Rotated: root.Wrapped, Provider: root.KEK,
	}
	epochs := v.epochList()
	epoch := Key{Ref: KeyRef{Kind: KeyEpoch}, Versions: epochs, Provider: v.epochKEK.Name(), Destruction: v.epochKEK.Destruction().How}
	if n := len(epochs); n > 0 {
		last := epochs[n-1]
		epoch.Primary, epoch.Generation, epoch.Rotated = last.Version, uint64(last.Version), last.Made
		epoch.Due = v.epochDue()
	}
	return []Key{top, kek, epoch}
}

// KeyAges says after what time a key in use rotates by itself; 0: never. Fields
// are also for indexes, Rows for the look-up of persons, Audit for both keys of
// the log.
type KeyAges struct {
	Fields, Domains, Rows, Audit, Root time.Duration
}

func (a *KeyAges) of(k KeyKind) time.Duration {
	switch k {
	case KeyField, KeyIndex:
		return a.Fields
	case KeyDomain:
		return a.Domains
	case KeyRows, KeyLookup:
		return a.Rows
	case KeyAuditRef, KeyAuditSigner:
		return a.Audit
	case KeyRoot:
		return a.Root
	}
	return 0
}

// due returns when a key made at a time rotates by itself; zero: never.
func (a *KeyAges) due(k KeyKind, made time.Time) time.Time {
	if after := a.of(k); after > 0 {
		return made.Add(after)
	}
	return time.Time{}
}
