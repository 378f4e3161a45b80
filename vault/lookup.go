package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Labels that keep the uses of the lookup keyset apart.
const (
	subjectIDLabel     = "cloakroom/subject/v1"
	etagLabel          = "cloakroom/etag/v1"
	requestLabel       = "cloakroom/request/v1"
	requestDigestLabel = "cloakroom/request-digest/v1"
)

// lookups is which versions of the lookup keyset persons are found under.
type lookups struct {
	settled atomic.Uint32 // the version under which all are; 0 stands for 1
	last    atomic.Pointer[finder]
}

// finder is how callers' ids become the keys under which persons are found.
// Mostly there is one version of the key. After a rotation, and until every
// person was moved (see rebuildLookupVersion), a person may stand under the new
// version or under an older one: both are asked, in one snapshot, and a new
// person must be absent under both.
//
// Writers take the finder of the state by which they decide. Their batch
// requires that state unchanged, so nobody who knows the older versions alone
// can store a new person once the rotation is in force.
type finder struct {
	prf      *keys.PRF
	settled  uint16
	versions []uint16 // to be asked, the primary first
	// missing is a version that persons may stand under and that cannot be asked,
	// since it is disabled or destroyed; 0 for none. Then nobody can be said not
	// to be there.
	missing uint16
}

// finder returns the finder that belongs to a snapshot of the keys.
func (v *Vault) finder(s *keys.Snapshot) (*finder, error) {
	prf := s.PRF(lookupKey)
	if prf == nil {
		return nil, fmt.Errorf("%w: the lookup keyset is missing", store.ErrCorrupt)
	}
	settled := uint16(max(1, v.lookups.settled.Load()))
	if f := v.lookups.last.Load(); f != nil && f.prf == prf && f.settled == settled {
		return f, nil
	}
	f := &finder{prf: prf, settled: settled, versions: []uint16{prf.Primary()}}
	if primary := prf.Primary(); primary != settled {
		f.versions = primaryFirst(prf)
		for n := min(settled, primary); n < max(settled, primary); n++ {
			if !slices.Contains(f.versions, n) {
				f.missing = n
			}
		}
	}
	v.lookups.last.Store(f)
	return f, nil
}

// same tells whether two finders ask the same.
func (f *finder) same(o *finder) bool { return f.prf == o.prf && f.settled == o.settled }

// primary is the version that new rows are of.
func (f *finder) primary() uint16 { return f.versions[0] }

// older are the versions that are asked besides.
func (f *finder) older() []uint16 { return f.versions[1:] }

// hash hashes input under a version; the label keeps uses apart.
func (f *finder) hash(version uint16, label string, input []byte) (rows.Hash, error) {
	out, err := f.prf.Compute(version, label, input)
	if err != nil {
		return rows.Hash{}, err
	}
	return rows.Hash(out[:16]), nil
}

// person returns the keys under which the person of a caller's id may stand.
func (f *finder) person(id string) (personHash, error) {
	var h personHash
	var err error
	if h.primary, err = f.hash(f.primary(), subjectIDLabel, []byte(id)); err != nil {
		return h, err
	}
	for _, version := range f.older() {
		older, err := f.hash(version, subjectIDLabel, []byte(id))
		if err != nil {
			return h, err
		}
		h.older = append(h.older, older)
	}
	return h, nil
}

// personHash is the keys under which one person may stand.
type personHash struct {
	primary rows.Hash
	older   []rows.Hash // nil unless the key was rotated of late
}

// each calls fn for every key, the primary first.
func (h *personHash) each(fn func(rows.Hash)) {
	fn(h.primary)
	for _, o := range h.older {
		fn(o)
	}
}

// lookupHash is the keyed hash under which the person of a caller's id is
// stored, and found when the key was not rotated of late.
func (v *Vault) lookupHash(id string) (rows.Hash, error) {
	return v.keyedHash(subjectIDLabel, []byte(id))
}

// keyedHash hashes input under the lookup keyset; the label keeps uses apart.
func (v *Vault) keyedHash(label string, input []byte) (rows.Hash, error) {
	f, err := v.finder(v.ring.Snapshot())
	if err != nil {
		return rows.Hash{}, err
	}
	return f.hash(f.primary(), label, input)
}

// findRefs looks up the refs of persons by the callers' ids; 0 where there is
// none, and for an empty id. While a rotation goes on nobody is missed: a person
// who is moved meanwhile is looked for again.
func (v *Vault) findRefs(ctx context.Context, ids []string) ([]uint64, error) {
	f, err := v.finder(v.ring.Snapshot())
	if err != nil {
		return nil, err
	}
	hashes := make([]personHash, len(ids))
	for {
		for i, id := range ids {
			if hashes[i], err = f.person(id); err != nil {
				return nil, err
			}
		}
		refs, err := v.findHashes(ctx, f, hashes)
		if err != nil && !errors.Is(err, errUnasked) {
			return nil, err
		}
		for i, id := range ids {
			if id == "" {
				refs[i] = 0
			}
		}
		if err == nil && !slices.Contains(refs, 0) {
			return refs, nil
		}
		now, other := v.finder(v.ring.Snapshot())
		if other != nil {
			return nil, other
		}
		if f.same(now) {
			return refs, err
		}
		f = now
	}
}

// errUnasked: a person was not found, and may stand where nobody can look. It
// wraps ErrDisabled, which says what can be done.
var errUnasked = fmt.Errorf("%w: of the look-up of persons, which was not moved to another yet", keys.ErrDisabled)

// findHashes looks up persons in one snapshot; 0 where there is none. With
// errUnasked the refs of those who were found are returned as well.
func (v *Vault) findHashes(ctx context.Context, f *finder, hashes []personHash) ([]uint64, error) {
	pairs := make([]store.Key, 0, len(hashes)*len(f.versions))
	for i := range hashes {
		pairs = append(pairs, store.Key{Table: rows.Lookup, Key: hashes[i].primary[:]})
		older := hashes[i].older
		for j := range older {
			pairs = append(pairs, store.Key{Table: rows.Lookup, Key: older[j][:]})
		}
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return nil, err
	}
	refs := make([]uint64, len(hashes))
	at, missed := 0, false
	for i := range refs {
		older := hashes[i].older
		for range 1 + len(older) {
			row, ok := have.Value(at)
			at++
			if !ok || refs[i] != 0 {
				continue
			}
			var err error
			if refs[i], err = rows.ParseRef(row); err != nil {
				return nil, err
			}
		}
		missed = missed || refs[i] == 0
	}
	if missed && f.missing != 0 {
		return refs, errUnasked
	}
	return refs, nil
}

// etag is the opaque text of a record's version. The person is in it, so that
// the etag of a record does not fit one stored later under the same id.
func (v *Vault) etag(ref, version uint64) (string, error) {
	f, err := v.finder(v.ring.Snapshot())
	if err != nil {
		return "", err
	}
	return f.etag(f.primary(), ref, version)
}

func (f *finder) etag(key uint16, ref, version uint64) (string, error) {
	hash, err := f.hash(key, etagLabel, append(be64(ref), be64(version)...))
	return hex.EncodeToString(hash[:8]), err
}

// fits tells whether an etag is that of a record's version, under any version
// of the key that is asked.
func (f *finder) fits(etag string, ref, version uint64) (bool, error) {
	for _, key := range f.versions {
		current, err := f.etag(key, ref, version)
		if err != nil || etag == current {
			return err == nil, err
		}
	}
	return false, nil
}
