package recovery

import (
	"errors"
	"fmt"
)

// Errors of this package. Callers tell them apart with errors.Is.
var (
	// ErrShare: a share cannot be used; the error is a *ShareError that names it.
	ErrShare = errors.New("recovery share is not usable")
	// ErrTooFew: there are fewer shares than the threshold.
	ErrTooFew = errors.New("too few recovery shares")
	// ErrUsage: the call breaks a rule of this package; nothing was done.
	ErrUsage = errors.New("recovery used wrongly")
)

// ShareError names a share and the rule that it breaks, and never a byte of it.
type ShareError struct {
	// Number is the share's own number from 1, as its text says, 0 when that
	// cannot be read.
	Number int
	// Rule is what does not hold.
	Rule string
}

// Error implements error.
func (e *ShareError) Error() string {
	if e.Number == 0 {
		return fmt.Sprintf("%v: a share: %s", ErrShare, e.Rule)
	}
	return fmt.Sprintf("%v: share %d: %s", ErrShare, e.Number, e.Rule)
}

// Unwrap returns ErrShare.
func (*ShareError) Unwrap() error { return ErrShare }
