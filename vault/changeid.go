package vault

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// The id of a change's entry says that this vault made the entry, which
// matters since whoever writes the disk can append to a log at rest:
//
//	time ns 8 | count 2 | tag 6
//
// The tag is cut from HMAC-SHA256, under a key of the vault, of the SHA-256 of
// the whole entry with a tag of zeros. So an entry cannot be made up, and not
// told again with another time or under another id either. Who tries a tag
// learns whether it is right from nobody but the deep check, which then finds
// all the wrong ones: 48 bits are enough. The count keeps entries apart that
// are otherwise equal.
const (
	changeCountAt = 8
	changeTagAt   = 10
	changeTag     = "cloakroom/change/v1"
)

// changeCount counts the changes of this run.
type changeCount struct{ n atomic.Uint32 }

// begin sets the count to anything, so that a run does not count as the one
// before did.
func (c *changeCount) begin() {
	var b [4]byte
	_, _ = rand.Read(b[:]) // never fails: it ends the program instead
	c.n.Store(binary.BigEndian.Uint32(b[:]))
}

// changeID makes an id that rises with time. The tag is missing: see stamp.
func (v *Vault) changeID(now time.Time) (id [16]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(now.UnixNano()))
	binary.BigEndian.PutUint16(id[changeCountAt:], uint16(v.changed.n.Add(1)))
	return id
}

// stamp puts the tag into the id of a change's entry, which nothing may change
// afterwards, and returns the encoded entry in the memory of scratch.
func (v *Vault) stamp(e *audit.Entry, scratch []byte) ([]byte, error) {
	clear(e.ID[changeTagAt:])
	scratch = e.Append(scratch[:0])
	prf := v.ring.Snapshot().PRF(auditRefKey)
	if prf == nil {
		return scratch, fmt.Errorf("%w: the audit keyset is missing", store.ErrCorrupt)
	}
	sum := sha256.Sum256(scratch)
	tag, err := prf.Compute(prf.Primary(), changeTag, sum[:])
	if err != nil {
		return scratch, err
	}
	copy(e.ID[changeTagAt:], tag[:])
	return e.Append(scratch[:0]), nil
}

// stamped tells whether this vault made the entry of a change, under any
// version of the key. It leaves the entry as it was.
func (v *Vault) stamped(e *audit.Entry, scratch *[]byte) bool {
	id := e.ID
	clear(e.ID[changeTagAt:])
	*scratch = e.Append((*scratch)[:0])
	e.ID = id
	prf := v.ring.Snapshot().PRF(auditRefKey)
	if prf == nil {
		return false
	}
	sum := sha256.Sum256(*scratch)
	for _, version := range prf.Versions() {
		tag, err := prf.Compute(version, changeTag, sum[:])
		if err == nil && subtle.ConstantTimeCompare(tag[:len(id)-changeTagAt], id[changeTagAt:]) == 1 {
			return true
		}
	}
	return false
}

// isChange tells the entries of committed changes from all others, such as
// those of refused writes and of values that Tokenize found stored: only their
// ids begin with their time.
func isChange(e *audit.Entry) bool {
	switch e.Action {
	case audit.ActionCreate, audit.ActionUpdate, audit.ActionDelete, audit.ActionTokenize,
		audit.ActionPolicyApply, audit.ActionFreeze, audit.ActionThaw, audit.ActionHoney,
		audit.ActionKeyCreate, audit.ActionKeyRotate, audit.ActionKeyPromote, audit.ActionKeyDisable, audit.ActionKeyEnable,
		audit.ActionKeyDestroy, audit.ActionKeyRewrap, audit.ActionKeyApprove, audit.ActionKeyRequest, audit.ActionValuesRewrap,
		audit.ActionEpochEnd, audit.ActionRecovery, audit.ActionRestore:
		return e.Outcome == audit.Allowed && binary.BigEndian.Uint64(e.ID[:]) == uint64(e.Time.UnixNano())
	}
	return false
}
