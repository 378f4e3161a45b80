package token

import "errors"

var (
	// ErrMalformed: the text is not one that this package writes. It was
	// mistyped, cut off, or never was a token.
	ErrMalformed = errors.New("malformed token")
	// ErrUnknown: the text is well formed and stands for nothing here: no such
	// domain, no such version of its key, or a block that the key did not make.
	ErrUnknown = errors.New("unknown token")
	// ErrRange: a number of an ID does not fit a token.
	ErrRange = errors.New("number does not fit a token")
	// ErrUsage: the codec was asked for with domains that it cannot serve.
	ErrUsage = errors.New("token codec used wrongly")
)
