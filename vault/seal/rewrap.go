package seal

import (
	"crypto/sha256"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Rewrap takes the outer lock off by one keyset, puts it on by another (or by
// the primary version of the same), and appends the new blob to dst, whose
// free capacity must not overlap blob. The inner lock stays on all the time:
// the person's key is not needed and no value is in clear. The format of the
// blob stays as it is, whether or not it opens in this mode. On error it
// returns dst as it was. Errors: ErrFormat, ErrOuter.
func Rewrap(dst []byte, from, to *keys.AEAD, p *Place, blob []byte) ([]byte, error) {
	if from == nil || to == nil {
		return dst, fmt.Errorf("%w: %w", ErrOuter, keys.ErrNoKey)
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.openOuter(from, p, blob); err != nil {
		return dst, err
	}
	format := blob[0] // the inner lock stays, and so does its format
	dst = append(dst, format)
	return to.Seal(dst, s.inner, s.ad.encode(format, lockOuter, p)), nil
}

// InnerHash returns the SHA-256 of the inner lock of a blob. Rewrap does not
// change it, sealing again does, so it tells whether a blob is the one that
// was written last. Errors: ErrFormat, ErrOuter.
func InnerHash(outer *keys.AEAD, p *Place, blob []byte) (hash [sha256.Size]byte, err error) {
	if outer == nil {
		return hash, fmt.Errorf("%w: %w", ErrOuter, keys.ErrNoKey)
	}
	s := scratches.Get().(*scratch)
	defer s.release()
	if err := s.openOuter(outer, p, blob); err != nil {
		return hash, err
	}
	return sha256.Sum256(s.inner), nil
}

// OuterVersion returns the version of the field's key that a blob names; only
// opening it proves that. Errors: ErrFormat, ErrOuter wrapping keys.ErrNoKey
// when the keyset never had such a key.
func OuterVersion(outer *keys.AEAD, blob []byte) (uint16, error) {
	if outer == nil {
		return 0, fmt.Errorf("%w: %w", ErrOuter, keys.ErrNoKey)
	}
	if len(blob) < BlobSize(0) || !known(blob[0]) {
		return 0, fmt.Errorf("%w: not a sealed value", ErrFormat)
	}
	v, err := outer.KeyVersion(blob[1:])
	if err != nil {
		return 0, fmt.Errorf("%w: %w", ErrOuter, err)
	}
	return v, nil
}
