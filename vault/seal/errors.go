package seal

import "errors"

var (
	// ErrFormat: the blob is of an unknown format, cut off, over-long, or wrongly
	// padded.
	ErrFormat = errors.New("unknown or damaged format of a sealed value")
	// ErrOuter: the field's lock does not open or is missing. It wraps the error
	// of package keys that says why: ErrWrongKey, ErrNoKey, ErrDisabled,
	// ErrDestroyed, or ErrFormat.
	ErrOuter = errors.New("outer lock of a sealed value")
	// ErrInner: the person's lock does not open or the key is missing. It wraps
	// keys.ErrWrongKey, keys.ErrNoKey or ErrNotFIPS.
	ErrInner = errors.New("inner lock of a sealed value")
	// ErrNotFIPS: the inner lock is ChaCha20-Poly1305, which this process may not
	// use (GODEBUG fips140=only). The blob is whole: it opens under fips140=on,
	// where storing the value again gives it the approved lock.
	ErrNotFIPS = errors.New("sealed by a cipher that FIPS 140 does not approve")
	// ErrTooLong: the value is longer than MaxValue.
	ErrTooLong = errors.New("value is too long")
)
