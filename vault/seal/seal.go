package seal

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	block = 16 // values are padded to a multiple of it

	// MaxValue is the length of the longest value in bytes. With its locks it
	// stays under the 1 MiB that a store takes in a row, with room beside it.
	MaxValue = 1<<20 - 1024

	// Overhead is by how much a blob is longer than its padded value.
	Overhead = 1 + keys.AEADOverhead + innerOverhead
)

// BlobSize returns the length of the blob of a value of n bytes.
func BlobSize(n int) int { return Overhead + n/block*block + block }

// scratch keeps associated data and the inner lock off the heap. Nothing in
// clear is left in it.
type scratch struct {
	ad    ad
	inner []byte
}

var scratches = sync.Pool{New: func() any { return new(scratch) }}

// maxPooled bounds the buffers that are kept for reuse.
const maxPooled = 8 << 10

func (s *scratch) release() {
	if cap(s.inner) <= maxPooled {
		scratches.Put(s)
	}
}

// Seal locks a value of 0 to MaxValue bytes under the person's key and the
// field's, bound to its place, and appends the blob to dst, whose free
// capacity must not overlap value. On error it returns dst as it was. Errors:
// ErrTooLong; ErrOuter or ErrInner wrapping keys.ErrNoKey when a key is nil or
// all zero.
func Seal(dst []byte, outer *keys.AEAD, person *[keys.SecretSize]byte, p *Place, value []byte) ([]byte, error) {
	return sealValue(formatNow(), dst, outer, person, p, value, nil)
}

// SealHashed is Seal, and writes what InnerHash would say of the blob to hash.
func SealHashed(dst []byte, outer *keys.AEAD, person *[keys.SecretSize]byte, p *Place, value []byte, hash *[sha256.Size]byte) ([]byte, error) {
	return sealValue(formatNow(), dst, outer, person, p, value, hash)
}

func sealValue(format byte, dst []byte, outer *keys.AEAD, person *[keys.SecretSize]byte, p *Place, value []byte, hash *[sha256.Size]byte) ([]byte, error) {
	if len(value) > MaxValue {
		return dst, fmt.Errorf("%w: %d bytes, want at most %d", ErrTooLong, len(value), MaxValue)
	}
	if err := present(outer, person); err != nil {
		return dst, err
	}
	aead, err := newInner(format, person)
	if err != nil {
		return dst, err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	s.grow(innerOverhead + len(value)/block*block + block)
	sealInner(format, aead, s.inner, value, s.ad.encode(format, lockInner, p))
	if hash != nil {
		*hash = sha256.Sum256(s.inner)
	}
	dst = append(dst, format)
	return outer.Seal(dst, s.inner, s.ad.encode(format, lockOuter, p)), nil
}

func (s *scratch) grow(n int) {
	if cap(s.inner) < n {
		s.inner = make([]byte, n)
	}
	s.inner = s.inner[:n]
}

// Open takes the value out of a blob that was sealed for this place and
// appends it to dst, whose free capacity must not overlap blob. On error it
// returns dst as it was. Errors: ErrFormat, ErrOuter, ErrInner (wrapping
// ErrNotFIPS for a blob of format 1 where GODEBUG fips140=only is in force).
func Open(dst []byte, outer *keys.AEAD, person *[keys.SecretSize]byte, p *Place, blob []byte) ([]byte, error) {
	if err := present(outer, person); err != nil {
		return dst, err
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.openOuter(outer, p, blob); err != nil {
		return dst, err
	}
	format := blob[0]
	aead, err := newInner(format, person)
	if err != nil {
		return dst, err
	}
	out, err := openInner(format, aead, dst, s.inner, s.ad.encode(format, lockInner, p))
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrInner, keys.ErrWrongKey)
	}
	text := out[len(dst):]
	n := unpad(text)
	if n < 0 {
		clear(text)
		return dst, fmt.Errorf("%w: padding", ErrFormat)
	}
	return out[:len(dst)+n], nil
}

// openOuter opens the outer lock into s.inner and checks its size.
func (s *scratch) openOuter(outer *keys.AEAD, p *Place, blob []byte) error {
	if len(blob) < BlobSize(0) || len(blob) > BlobSize(MaxValue) || (len(blob)-Overhead)%block != 0 {
		return fmt.Errorf("%w: length", ErrFormat)
	}
	if !known(blob[0]) {
		return fmt.Errorf("%w: unknown format number", ErrFormat)
	}
	var err error
	s.inner, err = outer.Open(s.inner[:0], blob[1:], s.ad.encode(blob[0], lockOuter, p))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOuter, err)
	}
	return nil
}

// unpad returns the length of the value in a padded text, or -1. Only the one
// padding that Seal makes is taken. The text is authentic, so the time this
// takes tells an attacker nothing.
func unpad(text []byte) int {
	for i := len(text) - 1; i >= len(text)-block && i >= 0; i-- {
		switch text[i] {
		case 0x80:
			return i
		case 0x00:
		default:
			return -1
		}
	}
	return -1
}

// present reports a missing key. An all-zero key is one that was wiped: to
// seal under it would be to seal under nothing.
func present(outer *keys.AEAD, person *[keys.SecretSize]byte) error {
	if outer == nil {
		return fmt.Errorf("%w: %w", ErrOuter, keys.ErrNoKey)
	}
	if person == nil || binary.NativeEndian.Uint64(person[:])|binary.NativeEndian.Uint64(person[8:])|
		binary.NativeEndian.Uint64(person[16:])|binary.NativeEndian.Uint64(person[24:]) == 0 {
		return fmt.Errorf("%w: %w", ErrInner, keys.ErrNoKey)
	}
	return nil
}
