package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"fmt"
)

const (
	tinkPrefix     = 0x01 // first byte of Tink's TINK output prefix
	tinkPrefixSize = 5    // 0x01 | key id, big-endian
	gcmOverhead    = 12 + 16
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
// allocate and is the FIPS module. It is immutable and safe for concurrent
// use.
//
// Random 12-byte nonces are safe for 2^32 messages under one key. Nothing
// counts them yet; a new version (AddVersion, Promote) starts anew.
type AEAD struct {
	opaque
	primary int // index in keys
	keys    []aeadKey
}

type aeadKey struct {
	id      uint32 // Tink's random id
	version uint16
	state   State
	gcm     cipher.AEAD // nil unless enabled
}

// newGCM returns AES-256-GCM with random nonces.
func newGCM(key *[SecretSize]byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// Primary returns the version that Seal uses.
func (a *AEAD) Primary() uint16 { return a.keys[a.primary].version }

// Seal enciphers plaintext under the primary version, binds it to ad, and
// appends the result to dst. The free capacity of dst must not overlap
// plaintext or ad. It cannot fail for plaintexts below 64 GiB.
func (a *AEAD) Seal(dst, plaintext, ad []byte) []byte {
	k := &a.keys[a.primary]
	dst = append(dst, tinkPrefix, byte(k.id>>24), byte(k.id>>16), byte(k.id>>8), byte(k.id))
	return k.gcm.Seal(dst, nil, plaintext, ad)
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
	if err := k.state.usable(k.version); err != nil {
		return dst, err
	}
	out, err := k.gcm.Open(dst, nil, ciphertext[tinkPrefixSize:], ad)
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
	if k := &a.keys[a.primary]; k.id == id {
		return k, nil
	}
	for i := range a.keys {
		if k := &a.keys[i]; k.id == id {
			return k, nil
		}
	}
	return nil, fmt.Errorf("%w: the ciphertext names a key id that is not in the keyset", ErrNoKey)
}
