package vault

import (
	"context"
	"encoding/binary"
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
	asked := make([]subjectKey, 0, len(refs))
	for i, ref := range refs {
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
		if out[i].err == nil {
			asked = append(asked, subjectKey{ref: ref, generation: h.KeyGeneration})
		}
	}
	if err := v.subjectKeys(ctx, asked, new(keyScratch)); err != nil {
		return nil, err
	}
	for i := range out {
		if out[i].err == nil {
			need[i], asked = asked[0], asked[1:]
		}
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
