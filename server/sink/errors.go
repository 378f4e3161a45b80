package sink

import (
	"errors"
	"time"
)

var (
	// ErrCursor: the cursor file is not one, or of a newer version.
	ErrCursor = errors.New("sink: cursor file")
	// ErrOptions: the options of a follower break a rule.
	ErrOptions = errors.New("sink: options")
	// ErrRender: an entry could not be rendered as one line.
	ErrRender = errors.New("sink: render")
)

// RetryError is a failure after which a target wants to be left alone for a
// while: the other side said when, or trying soon makes no sense. The follower
// waits for its own backoff or for After, whichever is longer, but never more
// than MaxRetryAfter.
type RetryError struct {
	After time.Duration
	Err   error
}

// MaxRetryAfter bounds what another machine can hold up a sink for.
const MaxRetryAfter = 10 * time.Minute

func (e *RetryError) Error() string { return e.Err.Error() }

// Unwrap gives the failure.
func (e *RetryError) Unwrap() error { return e.Err }
