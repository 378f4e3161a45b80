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
	// keys.ErrWrongKey or keys.ErrNoKey.
	ErrInner = errors.New("inner lock of a sealed value")
	// ErrTooLong: the value is longer than MaxValue.
	ErrTooLong = errors.New("value is too long")
)
