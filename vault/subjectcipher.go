package vault

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// subjectCipher enciphers refs for the audit log: one AES block, so equal refs
// give equal texts that can be looked up with the key and by nobody else. The
// block of a ref begins with 64 zero bits, which tells what the cipher never
// made: a text of another key passes with a chance of 2^-64.
//
// The keyset may hold several versions. New texts are made under the primary
// one; those of every enabled version are still read. What was written under a
// version that is disabled or destroyed stands for nobody any more. The set
// follows the keyset when refreshSubject is called, and is one atomic load away
// from who uses it.
type subjectCipher struct{ set atomic.Pointer[subjectSet] }

// subjectSet is the ciphers of one generation of the keyset.
type subjectSet struct {
	generation uint64
	blocks     []cipher.Block // of the enabled versions, the primary first
	retired    bool           // a version is disabled or destroyed
}

// subjectLabel keeps this use of the keyset apart from others.
const subjectLabel = "cloakroom/audit-ref/v1"

func newSubjectSet(s *keys.Snapshot) (*subjectSet, error) {
	prf := s.PRF(auditRefKey)
	if prf == nil {
		return nil, fmt.Errorf("%w: the audit keyset is missing", store.ErrCorrupt)
	}
	set := &subjectSet{generation: s.Generation(auditRefKey)}
	for _, version := range primaryFirst(prf) {
		key, err := prf.Compute(version, subjectLabel, nil)
		if err != nil {
			return nil, err
		}
		block, err := aes.NewCipher(key[:])
		clear(key[:])
		if err != nil {
			return nil, err
		}
		set.blocks = append(set.blocks, block)
	}
	for _, info := range s.Info() {
		if info.ID == auditRefKey {
			set.retired = len(info.Versions) > len(set.blocks)
		}
	}
	return set, nil
}

// primaryFirst returns the enabled versions of a keyset: the primary, then the
// others from the newest on.
func primaryFirst(prf *keys.PRF) []uint16 {
	out := []uint16{prf.Primary()}
	all := prf.Versions()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i] != out[0] {
			out = append(out, all[i])
		}
	}
	return out
}

// refreshSubject makes the cipher follow the audit-ref keyset after a version
// was added, promoted, disabled, enabled or destroyed. Whoever changes the
// keyset calls it, under v.mu, before the change is acknowledged. On error, as
// of a ring that was closed, the cipher stays as it was.
func (v *Vault) refreshSubject() error {
	snap := v.ring.Snapshot()
	if was := v.subject.set.Load(); was != nil && was.generation == snap.Generation(auditRefKey) {
		return nil
	}
	set, err := newSubjectSet(snap)
	if err != nil {
		return err
	}
	v.subject.set.Store(set)
	return nil
}

// encipher returns the text of a ref under the primary version.
func (c *subjectCipher) encipher(ref uint64) (out [16]byte) {
	c.encipherTo(&out, ref)
	return out
}

// encipherTo is encipher into memory of the caller's, which costs nothing when
// that is on the heap already.
func (c *subjectCipher) encipherTo(out *[16]byte, ref uint64) { c.set.Load().encipherTo(0, out, ref) }

// decipher is the opposite of encipher, for every enabled version; false for
// what none of them made.
func (c *subjectCipher) decipher(subject [16]byte) (ref uint64, ok bool) {
	ref, _, ok = c.set.Load().decipher(&subject)
	return ref, ok
}

func (s *subjectSet) encipherTo(n int, out *[16]byte, ref uint64) {
	clear(out[:8])
	binary.BigEndian.PutUint64(out[8:], ref)
	s.blocks[n].Encrypt(out[:], out[:])
}

// decipher also tells by which of the ciphers.
func (s *subjectSet) decipher(subject *[16]byte) (ref uint64, n int, ok bool) {
	var plain [16]byte
	for n, block := range s.blocks {
		block.Decrypt(plain[:], subject[:])
		if binary.BigEndian.Uint64(plain[:]) == 0 {
			return binary.BigEndian.Uint64(plain[8:]), n, true
		}
	}
	return 0, 0, false
}

// texts returns every text that stands for a ref, the primary version's first.
func (s *subjectSet) texts(ref uint64) [][16]byte {
	out := make([][16]byte, len(s.blocks))
	for n := range out {
		s.encipherTo(n, &out[n], ref)
	}
	return out
}

// canonical returns the text under the primary version of whom a text of any
// enabled version stands for, and the text itself where that cannot be told.
func (s *subjectSet) canonical(subject [16]byte) [16]byte {
	ref, n, ok := s.decipher(&subject)
	if !ok || n == 0 {
		return subject
	}
	s.encipherTo(0, &subject, ref)
	return subject
}
