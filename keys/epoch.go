package keys

import (
	"context"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
)

const (
	epochLabel      = "cloakroom/epoch/v1"
	subjectKeyLabel = "cloakroom/subject-key/v1"
	formatEpoch     = 1
	formatSubject   = 1
	epochHeader     = 1 + 4
	subjectHeader   = 1 + 4 + 4
	subjectADSize   = len(subjectKeyLabel) + 16 + 4 + 8 + 4
)

// WrappedSubjectKeySize is the length of a wrapped person's key in bytes.
const WrappedSubjectKeySize = subjectHeader + gcmOverhead + SecretSize

// An Epoch holds the key that wraps the persons' keys for a time. Its key
// never changes and it is safe for concurrent use.
//
// Random nonces allow 2^32 wrappings in one epoch, one a person; Uses counts
// them.
type Epoch struct {
	opaque
	number uint32
	vault  [16]byte
	gcm    cipher.AEAD
	uses   atomic.Uint64
}

func epochAAD(vaultID [16]byte, number uint32) []byte {
	aad := append([]byte(epochLabel), vaultID[:]...)
	return binary.BigEndian.AppendUint32(aad, number)
}

// CreateEpoch creates the key of an epoch at the provider, makes a fresh
// epoch key and returns it with its wrapped form, which the caller stores. A
// number is never used twice: on ErrExists (an attempt that was cut off) or
// ErrDestroyed take the next one. Other errors are the provider's.
func CreateEpoch(ctx context.Context, kek EpochKEK, number uint32, vaultID [16]byte) (*Epoch, []byte, error) {
	if err := kek.Create(ctx, number); err != nil {
		return nil, nil, fmt.Errorf("creating epoch %d at %s: %w", number, kek.Name(), err)
	}
	var secret [SecretSize]byte
	_, _ = rand.Read(secret[:])
	defer clear(secret[:])
	wrapped, err := kek.Wrap(ctx, number, secret[:], epochAAD(vaultID, number))
	if err != nil {
		return nil, nil, fmt.Errorf("wrapping the key of epoch %d by %s: %w", number, kek.Name(), err)
	}
	e, err := newEpoch(number, vaultID, &secret)
	if err != nil {
		return nil, nil, err
	}
	blob := binary.BigEndian.AppendUint32([]byte{formatEpoch}, number)
	return e, append(blob, wrapped...), nil
}

// OpenEpoch unwraps an epoch key by one call of the provider. ErrFormat when
// wrapped is not of the form that CreateEpoch returned, ErrWrongKey when it is
// of another epoch or vault, ErrDestroyed when the epoch has ended. Other
// errors are the provider's.
func OpenEpoch(ctx context.Context, kek EpochKEK, number uint32, vaultID [16]byte, wrapped []byte) (*Epoch, error) {
	if len(wrapped) < epochHeader || wrapped[0] != formatEpoch {
		return nil, fmt.Errorf("%w: wrapped epoch key", ErrFormat)
	}
	if n := binary.BigEndian.Uint32(wrapped[1:]); n != number {
		return nil, fmt.Errorf("%w: the key is of epoch %d, want %d", ErrWrongKey, n, number)
	}
	plain, err := kek.Unwrap(ctx, number, wrapped[epochHeader:], epochAAD(vaultID, number))
	if err != nil {
		return nil, fmt.Errorf("unwrapping the key of epoch %d by %s: %w", number, kek.Name(), err)
	}
	defer clear(plain)
	if len(plain) != SecretSize {
		return nil, fmt.Errorf("%w: the epoch key has %d bytes, want %d", ErrFormat, len(plain), SecretSize)
	}
	return newEpoch(number, vaultID, (*[SecretSize]byte)(plain))
}

func newEpoch(number uint32, vaultID [16]byte, secret *[SecretSize]byte) (*Epoch, error) {
	gcm, err := newGCM(secret)
	if err != nil {
		return nil, err
	}
	return &Epoch{number: number, vault: vaultID, gcm: gcm}, nil
}

// Number returns the number of the epoch.
func (e *Epoch) Number() uint32 { return e.number }

// Uses returns how often WrapSubjectKey was called since the Epoch was opened.
func (e *Epoch) Uses() uint64 { return e.uses.Load() }

// subjectScratch keeps the associated data and the result off the heap.
type subjectScratch struct {
	ad  [subjectADSize]byte
	key [SecretSize]byte
}

var subjectScratches = sync.Pool{New: func() any { return new(subjectScratch) }}

func (e *Epoch) subjectAD(s *subjectScratch, ref uint64, generation uint32) []byte {
	ad := append(s.ad[:0], subjectKeyLabel...)
	ad = append(ad, e.vault[:]...)
	ad = binary.BigEndian.AppendUint32(ad, e.number)
	ad = binary.BigEndian.AppendUint64(ad, ref)
	return binary.BigEndian.AppendUint32(ad, generation)
}

// WrapSubjectKey wraps the key of the person with this ref, in this
// generation of theirs, and appends WrappedSubjectKeySize bytes to dst.
func (e *Epoch) WrapSubjectKey(dst []byte, ref uint64, generation uint32, key *[SecretSize]byte) []byte {
	e.uses.Add(1)
	s := subjectScratches.Get().(*subjectScratch)
	s.key = *key
	dst = append(dst, formatSubject)
	dst = binary.BigEndian.AppendUint32(dst, e.number)
	dst = binary.BigEndian.AppendUint32(dst, generation)
	dst = e.gcm.Seal(dst, nil, s.key[:], e.subjectAD(s, ref, generation))
	clear(s.key[:])
	subjectScratches.Put(s)
	return dst
}

// UnwrapSubjectKey opens what WrapSubjectKey made for the same ref and
// generation and writes the key to key, which stays as it was on error.
// Errors: ErrFormat, ErrWrongKey (of another epoch, generation, ref or vault,
// or changed).
func (e *Epoch) UnwrapSubjectKey(blob []byte, ref uint64, generation uint32, key *[SecretSize]byte) error {
	if len(blob) != WrappedSubjectKeySize || blob[0] != formatSubject {
		return fmt.Errorf("%w: wrapped person's key", ErrFormat)
	}
	if n := binary.BigEndian.Uint32(blob[1:]); n != e.number {
		return fmt.Errorf("%w: the person's key is of epoch %d, want %d", ErrWrongKey, n, e.number)
	}
	if g := binary.BigEndian.Uint32(blob[5:]); g != generation {
		return fmt.Errorf("%w: the person's key is of generation %d, want %d", ErrWrongKey, g, generation)
	}
	s := subjectScratches.Get().(*subjectScratch)
	defer subjectScratches.Put(s)
	out, err := e.gcm.Open(s.key[:0], nil, blob[subjectHeader:], e.subjectAD(s, ref, generation))
	if err != nil {
		return fmt.Errorf("%w: person's key", ErrWrongKey)
	}
	copy(key[:], out)
	clear(s.key[:])
	return nil
}

// SubjectKeyEpoch returns the epoch and generation that a wrapped person's
// key names; only UnwrapSubjectKey proves them. ErrFormat when it is not one.
func SubjectKeyEpoch(blob []byte) (epoch, generation uint32, err error) {
	if len(blob) != WrappedSubjectKeySize || blob[0] != formatSubject {
		return 0, 0, fmt.Errorf("%w: wrapped person's key", ErrFormat)
	}
	return binary.BigEndian.Uint32(blob[1:]), binary.BigEndian.Uint32(blob[5:]), nil
}
