package sink

import (
	"errors"
	"math/rand/v2"
	"time"
)

// backoff gives the pauses between attempts.
type backoff struct {
	min, max time.Duration
	next     time.Duration
}

// pause returns how long to wait after err: from half of a time that doubles
// to the whole of it, or what err asks for if that is longer.
func (b *backoff) pause(err error) time.Duration {
	b.next = min(max(b.next*2, b.min), b.max)
	d := b.next/2 + rand.N(b.next/2+1)
	var later *RetryError
	if errors.As(err, &later) {
		d = max(d, min(later.After, MaxRetryAfter))
	}
	return d
}

func (b *backoff) reset() { b.next = 0 }
