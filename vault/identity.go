package vault

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"unicode/utf8"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// checkSubjectID checks the form of a caller's id of a person.
func checkSubjectID(id string) *Error {
	switch {
	case id == "":
		return refuse(InvalidRequest, "subject_id", "must not be empty")
	case len(id) > MaxSubjectID:
		return refuse(InvalidRequest, "subject_id", fmt.Sprintf("must be at most %d bytes", MaxSubjectID))
	case !utf8.ValidString(id):
		return refuse(InvalidRequest, "subject_id", "must be valid UTF-8")
	}
	return nil
}

// lookupHash is the keyed hash under which a caller's id of a person is found.
func (v *Vault) lookupHash(id string) (rows.Hash, error) {
	return v.keyedHash("cloakroom/subject/v1", []byte(id))
}

// keyedHash hashes input under the lookup keyset; the label keeps uses apart.
func (v *Vault) keyedHash(label string, input []byte) (rows.Hash, error) {
	prf := v.ring.Snapshot().PRF(lookupKey)
	if prf == nil {
		return rows.Hash{}, fmt.Errorf("%w: the lookup keyset is missing", store.ErrCorrupt)
	}
	out, err := prf.Compute(prf.Primary(), label, input)
	if err != nil {
		return rows.Hash{}, err
	}
	return rows.Hash(out[:16]), nil
}

// identityPlace is where a person's identity row stands: no collection, field
// or item has the number 0.
func (v *Vault) identityPlace(ref uint64, generation uint32) seal.Place {
	return seal.Place{Vault: v.id, Ref: ref, KeyGeneration: generation}
}

// sealIdentity seals a caller's id under the person's key and the rows keyset.
func (v *Vault) sealIdentity(p *person, id string) ([]byte, error) {
	place := v.identityPlace(p.ref, firstKeyGeneration)
	return seal.Seal(nil, v.ring.Snapshot().Rows(), p.key.bytes(), &place, []byte(id))
}

// openIdentity opens an identity row.
func (v *Vault) openIdentity(k *subjectKey, blob []byte) (string, error) {
	place := v.identityPlace(k.ref, k.generation)
	id, err := seal.Open(nil, v.ring.Snapshot().Rows(), k.key.bytes(), &place, blob)
	return string(id), err
}

// findRefs looks up the refs of persons by the hashes of their ids; 0 where
// there is none.
func (v *Vault) findRefs(ctx context.Context, hashes []rows.Hash) ([]uint64, error) {
	pairs := make([]store.Key, len(hashes))
	for i := range hashes {
		pairs[i] = store.Key{Table: rows.Lookup, Key: hashes[i][:]}
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return nil, err
	}
	refs := make([]uint64, len(hashes))
	for i := range refs {
		row, ok := have.Value(i)
		if !ok {
			continue
		}
		var err error
		if refs[i], err = rows.ParseRef(row); err != nil {
			return nil, err
		}
	}
	return refs, nil
}

// etag is the opaque text of a record's version. The person is in it, so that
// the etag of a record does not fit one stored later under the same id.
func (v *Vault) etag(ref, version uint64) (string, error) {
	hash, err := v.keyedHash("cloakroom/etag/v1", append(be64(ref), be64(version)...))
	return hex.EncodeToString(hash[:8]), err
}

// be64 is n in big-endian order.
func be64(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// identity is a person's id as the caller knows it, or why it does not open.
type identity struct {
	subject string
	err     *Error
}

// identities opens the ids of persons, in one read of each store.
func (v *Vault) identities(ctx context.Context, refs []uint64) ([]identity, error) {
	pairs := make([]store.Key, 0, 2*len(refs))
	for _, ref := range refs {
		pairs = append(pairs,
			store.Key{Table: rows.People, Key: rows.HeaderKey(ref)},
			store.Key{Table: rows.People, Key: rows.IdentityKey(ref)})
	}
	var have store.Rows
	damaged, _, err := salvage(ctx, v.values, pairs, 0, 2, &have)
	if err != nil {
		return nil, err
	}
	out := make([]identity, len(refs))
	need := make([]subjectKey, len(refs))
	for i, ref := range refs {
		need[i].ref = ref
		row, ok := have.Value(2 * i)
		h, err := rows.Header{}, error(nil)
		if ok {
			h, err = rows.ParseHeader(row)
		}
		switch {
		case err != nil || damaged[i]:
			out[i].err = fail(DataCorrupt, "")
		case !ok || h.State != rows.Active:
			out[i].err = fail(RecordNotFound, "")
		}
		need[i].generation = h.KeyGeneration
	}
	if err := v.subjectKeys(ctx, need, new(keyScratch)); err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].err != nil {
			continue
		}
		blob, ok := have.Value(2*i + 1)
		if !ok || !need[i].found {
			gone, err := v.erased(ctx, refs[i])
			if err != nil {
				return nil, err
			}
			if out[i].err = fail(RecordNotFound, ""); !gone {
				v.logger.Error("a person's key or id is missing")
				out[i].err = fail(DataCorrupt, "")
			}
			continue
		}
		var err error
		if out[i].subject, err = v.openIdentity(&need[i], blob); err != nil {
			v.logger.Error("a person's id does not open", "error", err)
			out[i].err = fail(DataCorrupt, "")
		}
	}
	return out, nil
}
