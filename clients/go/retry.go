package cloakroom

import (
	"context"
	"math/rand/v2"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// maxBackoff bounds the wait between two attempts that the client chooses.
const maxBackoff = 5 * time.Second

// repeat says whether a call may be sent again.
type repeat bool

const (
	// idempotent: doing it twice is the same as doing it once.
	idempotent repeat = true
	// once: sent one time, whatever happens.
	once repeat = false
)

// invoke makes one unary call, with the default timeout and retries.
func invoke[Q, R any](
	ctx context.Context, c *Client, again repeat,
	rpc func(context.Context, *Q, ...grpc.CallOption) (*R, error), request *Q,
) (*R, error) {
	ctx, cancel := c.deadline(ctx)
	defer cancel()
	return invokeLong(ctx, c, again, rpc, request)
}

// invokeLong is invoke without the default timeout, for calls that read
// everything that is stored.
func invokeLong[Q, R any](
	ctx context.Context, c *Client, again repeat,
	rpc func(context.Context, *Q, ...grpc.CallOption) (*R, error), request *Q,
) (*R, error) {
	for attempt := 1; ; attempt++ {
		answer, err := rpc(ctx, request)
		if err == nil {
			return answer, nil
		}
		delay, may := c.settings.delay(attempt, err)
		if again == once || !may {
			return nil, errorFrom(err)
		}
		if end, has := ctx.Deadline(); has && time.Until(end) < delay {
			return nil, errorFrom(err)
		}
		if c.settings.wait(ctx, delay) != nil {
			return nil, errorFrom(err)
		}
	}
}

// rewatch runs a watch until it ends by itself (nil), must not be opened again
// (an *Error), or ctx ends. run says whether something came and why the stream
// broke; broke is told before each new attempt.
func (c *Client) rewatch(ctx context.Context, run func(context.Context) (heard bool, err error), broke func(error)) error {
	for attempt, known := 1, false; ; attempt++ {
		heard, err := run(ctx)
		if err == nil {
			return nil
		}
		if heard {
			attempt, known = 1, true
		}
		delay, may := c.settings.pause(attempt, err)
		patient := known && c.settings.attempts > 1 || attempt < c.settings.attempts
		if ctx.Err() == nil && may && patient {
			broke(err)
			_ = c.settings.wait(ctx, delay) // ctx says the same
		} else if ctx.Err() == nil {
			return errorFrom(err)
		}
		if ctx.Err() != nil {
			return contextError(ctx)
		}
	}
}

// delay returns how long to wait after the failure of an attempt (from 1), or
// false when it must not be made again.
func (s *settings) delay(attempt int, err error) (time.Duration, bool) {
	if attempt >= s.attempts {
		return 0, false
	}
	return s.pause(attempt, err)
}

// pause is delay without a limit of attempts.
func (s *settings) pause(attempt int, err error) (time.Duration, bool) {
	st := status.Convert(err)
	asked, has := askedDelay(st)
	switch st.Code() {
	case codes.Unavailable:
	case codes.ResourceExhausted:
		// Without a delay it may mean "never", such as a full disk.
		if !has {
			return 0, false
		}
	default:
		return 0, false
	}
	if has {
		// A little more than asked for, so that the callers refused together do
		// not come back together.
		return asked + rand.N(asked/4+time.Millisecond), true
	}
	wait := s.backoff
	for i := 1; i < attempt && wait < maxBackoff; i++ {
		wait *= 2
	}
	wait = min(wait, maxBackoff)
	return wait/2 + rand.N(wait/2+1), true
}

// askedDelay returns the delay of a RetryInfo.
func askedDelay(st *status.Status) (time.Duration, bool) {
	for _, detail := range st.Details() {
		if info, ok := detail.(*errdetails.RetryInfo); ok && info.GetRetryDelay() != nil {
			return max(info.GetRetryDelay().AsDuration(), 0), true
		}
	}
	return 0, false
}

// sleep waits for d, or returns why ctx ended before.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
