package sink

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Begin says where a sink without a cursor file begins.
type Begin uint8

const (
	// AtEnd: with the first entry that comes after Start.
	AtEnd Begin = iota
	// AtFirst: with the first entry that the log keeps.
	AtFirst
	// AtZero: with entry 0; those that the log has pruned are told as missed.
	AtZero
)

// Options of Start.
type Options struct {
	// Name stands in log lines and metrics. Required.
	Name string
	// Feed reads the log. Required.
	Feed *Feed
	// Target receives the entries; the follower closes it. Required.
	Target Target
	// Cursor is the path of the cursor file; its folder must exist. Empty keeps
	// none: the sink begins anew with each Start.
	Cursor string
	// Begin says where to begin without a cursor file.
	Begin Begin
	// Filter says which entries are delivered; all when nil. It may not change
	// the entry.
	Filter func(*audit.Entry) bool
	// Plain leaves Entry.JSON nil, for a target that has no use for it, and
	// nothing is rendered.
	Plain bool
	// Logger receives one warning when the sink begins to fail and one line when
	// it works again. Required.
	Logger *slog.Logger

	// MaxEntries and MaxBytes bound a batch: 1 to 500 entries, 500 if 0, and 1 B
	// to 1 MiB of JSON, 1 MiB if 0. A larger entry is a batch of its own.
	MaxEntries int
	MaxBytes   int
	// Linger is how long entries are gathered: 250 ms if 0.
	Linger time.Duration
	// MinBackoff and MaxBackoff bound the pause after a failure, which doubles
	// from one to the other: 1 s and 1 min if 0. A random half of it is left
	// out, so that many nodes do not come back at once.
	MinBackoff time.Duration
	MaxBackoff time.Duration
	// Attempt bounds one delivery: 30 s if 0.
	Attempt time.Duration
}

const (
	defaultMaxEntries = 500
	defaultMaxBytes   = 1 << 20
	defaultLinger     = 250 * time.Millisecond
	defaultMinBackoff = time.Second
	defaultMaxBackoff = time.Minute
	defaultAttempt    = 30 * time.Second
)

func (o Options) filled() (Options, error) {
	switch {
	case o.Name == "":
		return o, fmt.Errorf("%w: name: missing", ErrOptions)
	case o.Feed == nil || o.Target == nil || o.Logger == nil:
		return o, fmt.Errorf("%w: feed, target and logger are required", ErrOptions)
	case o.Feed.render == nil && !o.Plain:
		return o, fmt.Errorf("%w: the feed renders nothing and the follower is not plain", ErrOptions)
	case o.Begin > AtZero:
		return o, fmt.Errorf("%w: begin: unknown number", ErrOptions)
	case o.MaxEntries < 0 || o.MaxEntries > defaultMaxEntries:
		return o, fmt.Errorf("%w: entries of a batch: want 1 to %d", ErrOptions, defaultMaxEntries)
	case o.MaxBytes < 0 || o.MaxBytes > defaultMaxBytes:
		return o, fmt.Errorf("%w: bytes of a batch: want 1 to %d", ErrOptions, defaultMaxBytes)
	}
	if o.MaxEntries == 0 {
		o.MaxEntries = defaultMaxEntries
	}
	if o.MaxBytes == 0 {
		o.MaxBytes = defaultMaxBytes
	}
	for _, d := range []struct {
		value   *time.Duration
		instead time.Duration
	}{
		{&o.Linger, defaultLinger},
		{&o.MinBackoff, defaultMinBackoff},
		{&o.MaxBackoff, defaultMaxBackoff},
		{&o.Attempt, defaultAttempt},
	} {
		if *d.value == 0 {
			*d.value = d.instead
		}
		if *d.value < 0 {
			return o, fmt.Errorf("%w: a duration is negative", ErrOptions)
		}
	}
	if o.MaxBackoff < o.MinBackoff {
		return o, fmt.Errorf("%w: the longest pause is shorter than the shortest", ErrOptions)
	}
	return o, nil
}
