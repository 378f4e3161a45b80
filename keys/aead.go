package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	tinkPrefix     = 0x01 // first byte of Tink's TINK output prefix
	tinkPrefixSize = 5    // 0x01 | key id, big-endian
	gcmOverhead    = 12 + 16

	// maxScanned is up to how many versions a search is faster than a map.
	maxScanned = 8
)

// AEADOverhead is how much longer a ciphertext of an AEAD is than its
// plaintext, in bytes.
const AEADOverhead = tinkPrefixSize + gcmOverhead

// An AEAD seals and opens under the versions of one AES-256-GCM keyset. It
// takes and gives the bytes of Tink's AES-GCM with the TINK prefix,
//
//	0x01 | key id u32 | nonce 12 | ciphertext | tag 16
//
// but computes them with the standard library, which is faster, does not
// allocate and is the FIPS module. Its keys never change and it is safe for
// concurrent use.
//
// Random 12-byte nonces are safe for 2^32 messages under one key. The Ring
// counts them (Uses); a new version starts anew.
type AEAD struct {
	opaque
	primary     *aeadKey
	primaryGCM  cipher.AEAD
	primaryUses *counter
	// keys are the versions, rising, behind a pointer for the reason that Secret
	// gives: fmt prints the insides of an AEAD that stands in an unexported field.
	keys *[]aeadKey
	byID map[uint32]int // index in keys; nil when there are few

	building sync.Mutex // guards aeadKey.raw and the making of aeadKey.gcm
}

// aeadKey is one version. Its cipher takes 25 times the room of its key and
// most old versions are never asked for, so all but the primary one are made
// at their first use.
type aeadKey struct {
	id      uint32 // Tink's random id
	version uint16
	state   State
	gcm     atomic.Pointer[cipher.AEAD] // nil until used
	raw     [SecretSize]byte            // zero once gcm is there
}

// newGCM returns AES-256-GCM with random nonces.
func newGCM(key *[SecretSize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// newAEAD makes an AEAD of its versions, one of which is the primary and
// enabled. It keeps versions.
func newAEAD(versions []aeadKey, primary int, uses *counter) (*AEAD, error) {
	a := &AEAD{keys: &versions, primary: &versions[primary], primaryUses: uses}
	var err error
	if a.primaryGCM, err = a.cipher(a.primary); err != nil {
		return nil, err
	}
	if len(versions) > maxScanned {
		a.byID = make(map[uint32]int, len(versions))
		for i := range versions {
			a.byID[versions[i].id] = i
		}
	}
	return a, nil
}

// cipher returns the cipher of an enabled version.
func (a *AEAD) cipher(k *aeadKey) (cipher.AEAD, error) {
	if p := k.gcm.Load(); p != nil {
		return *p, nil
	}
	a.building.Lock()
	defer a.building.Unlock()
	if p := k.gcm.Load(); p != nil { // made while we waited
		return *p, nil
	}
	gcm, err := newGCM(&k.raw)
	if err != nil {
		return nil, err
	}
	k.gcm.Store(&gcm)
	clear(k.raw[:])
	return gcm, nil
}

// Primary returns the version that Seal uses.
func (a *AEAD) Primary() uint16 { return a.primary.version }

// Seal enciphers plaintext under the primary version, binds it to ad, and
// appends the result to dst. The free capacity of dst must not overlap
// plaintext or ad. It cannot fail for plaintexts below 64 GiB.
func (a *AEAD) Seal(dst, plaintext, ad []byte) []byte {
	a.primaryUses.n.Add(1)
	id := a.primary.id
	dst = append(dst, tinkPrefix, byte(id>>24), byte(id>>16), byte(id>>8), byte(id))
	return a.primaryGCM.Seal(dst, nil, plaintext, ad)
}

// Open opens a ciphertext that was bound to ad and appends the plaintext to
// dst, whose free capacity must not overlap the ciphertext or ad. On error it
// returns dst as it was. Errors: ErrFormat (not a ciphertext of this form),
// ErrNoKey (its key id is not in the keyset), ErrDisabled or ErrDestroyed
// (its version is), ErrWrongKey (not authentic).
func (a *AEAD) Open(dst, ciphertext, ad []byte) ([]byte, error) {
	k, err := a.find(ciphertext)
	if err != nil {
		return dst, err
	}
	gcm := a.primaryGCM
	if k != a.primary {
		if err := k.state.usable(k.version); err != nil {
			return dst, err
		}
		if gcm, err = a.cipher(k); err != nil {
			return dst, err
		}
	}
	out, err := gcm.Open(dst, nil, ciphertext[tinkPrefixSize:], ad)
	if err != nil {
		return dst, ErrWrongKey
	}
	return out, nil
}

// KeyVersion returns the version under which a ciphertext was sealed, as its
// prefix claims; only Open proves it. The version may be disabled or
// destroyed. Errors: ErrFormat, ErrNoKey.
func (a *AEAD) KeyVersion(ciphertext []byte) (uint16, error) {
	k, err := a.find(ciphertext)
	if err != nil {
		return 0, err
	}
	return k.version, nil
}

func (a *AEAD) find(ciphertext []byte) (*aeadKey, error) {
	if len(ciphertext) < AEADOverhead || ciphertext[0] != tinkPrefix {
		return nil, fmt.Errorf("%w: not a ciphertext", ErrFormat)
	}
	id := binary.BigEndian.Uint32(ciphertext[1:])
	if a.primary.id == id {
		return a.primary, nil
	}
	versions := *a.keys
	if a.byID != nil {
		if i, ok := a.byID[id]; ok {
			return &versions[i], nil
		}
	} else {
		for i := range versions {
			if k := &versions[i]; k.id == id {
				return k, nil
			}
		}
	}
	return nil, fmt.Errorf("%w: the ciphertext names a key id that is not in the keyset", ErrNoKey)
}
