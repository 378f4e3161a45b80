package cloakroom

import (
	"context"
	"time"
)

// WithWait replaces the wait between attempts, so that tests see the delays and
// do not wait.
func WithWait(wait func(context.Context, time.Duration) error) Option {
	return option(func(s *settings) { s.wait = wait })
}

// WithClock replaces the clock that says when TLS files are looked at again.
func WithClock(now func() time.Time) Option {
	return option(func(s *settings) { s.now = now })
}

// WithSilence replaces the time after which a silent watch is taken for dead.
func WithSilence(d time.Duration) Option {
	return option(func(s *settings) { s.silence = d })
}
