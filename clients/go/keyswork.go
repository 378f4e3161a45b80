package cloakroom

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// KeyWorkKind says what a piece of work on keys does.
type KeyWorkKind string

// The kinds of work.
const (
	// WorkRewrap gives stored values the outer lock of the version in use.
	WorkRewrap KeyWorkKind = "rewrap"
	// WorkEpoch ends an epoch: people's keys go over to the next.
	WorkEpoch KeyWorkKind = "epoch"
	// WorkLookup hashes callers' ids anew.
	WorkLookup KeyWorkKind = "lookup"
	// WorkCompact rewrites files without what was deleted.
	WorkCompact KeyWorkKind = "compact"
)

// KeyWorkState says how a piece of work stands.
type KeyWorkState string

// The states of work.
const (
	// WorkRunning goes on.
	WorkRunning KeyWorkState = "running"
	// WorkPaused was paused.
	WorkPaused KeyWorkState = "paused"
	// WorkWaiting could not go on and is tried again; KeyWork.Problem says why.
	WorkWaiting KeyWorkState = "waiting"
	// WorkDone ended.
	WorkDone KeyWorkState = "done"
)

// KeyWork is a piece of work on keys and how far it is.
type KeyWork struct {
	// Kind is what is done.
	Kind KeyWorkKind
	// State is how it stands.
	State KeyWorkState
	// Step is what it is doing now, such as "counting" or "re-wrapping".
	Step string
	// Total is how many there were to do, Done how many of them are done, and Left
	// how many are left: after the end, what a count found.
	Total, Done, Left uint64
	// Rate is how many a second, of late.
	Rate float64
	// Remaining is how long it will still take at this rate; 0: not known.
	Remaining time.Duration
	// StartTime is when it began, and EndTime when it ended; zero: not yet.
	StartTime, EndTime time.Time
	// Problem is why it waits.
	Problem string
	// Epoch is, of an epoch, its number.
	Epoch uint32
}

// WatchKeyWork gives all work that is known, first as it stands and then at each
// change, until ctx ends, the loop is left, or the right is lost; with UntilIdle
// until nothing is running or waiting. The error that ends it is given once,
// with nil.
//
// A watch that breaks is opened again: as often as WithRetry says before the
// first sign of the vault, and without end after it, unless WithRetry switched
// retries off. OnReconnect and OnRecovery tell of it. A watch that was silent for
// 90 seconds is opened again too, without telling: nothing may have changed.
func (c *Client) WatchKeyWork(ctx context.Context, options ...WatchKeysOption) iter.Seq2[[]KeyWork, error] {
	o := c.newCall()
	for _, option := range options {
		option.applyWatchKeys(&o)
	}
	return func(yield func([]KeyWork, error) bool) {
		w := keyWatch{client: c, call: o, yield: yield}
		err := c.rewatch(ctx, w.run, func(err error) {
			if errors.Is(err, errSilent) && w.heard {
				return
			}
			w.broken = true
			if o.reconnect != nil {
				o.reconnect(errorFrom(err))
			}
		})
		if err != nil && !w.left {
			yield(nil, err)
		}
	}
}

// errSilent ends a stream of which nothing was heard. The vault may have had
// nothing to say, or be gone: opening the watch again shows it.
var errSilent = status.Error(codes.Unavailable, "nothing was heard of the server")

// keyWatch holds how far a watch of the work on keys has come.
type keyWatch struct {
	client *Client
	call   call
	yield  func([]KeyWork, error) bool
	last   []KeyWork // what was given last; nil: nothing yet
	heard  bool      // something came over the stream
	left   bool      // the loop was left
	broken bool      // nothing came since it broke
}

// run opens a stream and gives what comes. It returns whether something came,
// and why the stream ended; nil when the watch is at its end.
func (w *keyWatch) run(ctx context.Context) (bool, error) {
	w.heard = false
	err := w.stream(ctx)
	return w.heard, err
}

func (w *keyWatch) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silent := time.AfterFunc(w.client.settings.silence, func() { cancel(errSilent) })
	defer silent.Stop()
	stream, err := w.client.keys.WatchKeyWork(ctx, cloakroomv1.WatchKeyWorkRequest_builder{UntilIdle: w.call.untilIdle}.Build())
	for err == nil {
		var m *cloakroomv1.WatchKeyWorkResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		// The time that the caller takes is not the vault's.
		silent.Stop()
		w.heard = true
		if w.broken && w.call.recovered != nil {
			w.call.recovered()
		}
		w.broken = false
		if w.give(m); w.left {
			return nil
		}
		silent.Reset(w.client.settings.silence)
	}
	switch {
	case errors.Is(err, io.EOF) && w.call.untilIdle && w.heard:
		return nil
	case errors.Is(err, io.EOF):
		return status.Error(codes.Unavailable, "the server ended the watch")
	case errors.Is(context.Cause(ctx), errSilent):
		return errSilent
	}
	return err
}

// give hands a message on, but for one that says what the last one said: a
// stream that was opened again begins with it.
func (w *keyWatch) give(m *cloakroomv1.WatchKeyWorkResponse) {
	work := make([]KeyWork, len(m.GetWork()))
	for i, one := range m.GetWork() {
		work[i] = keyWorkFrom(one)
	}
	if w.last != nil && slices.Equal(w.last, work) {
		return
	}
	w.last = slices.Clone(work)
	w.left = !w.yield(work, nil)
}

func keyWorkFrom(m *cloakroomv1.KeyWork) KeyWork {
	kinds := []KeyWorkKind{WorkRewrap, WorkEpoch, WorkLookup, WorkCompact}
	states := []KeyWorkState{WorkRunning, WorkPaused, WorkWaiting, WorkDone}
	w := KeyWork{
		Kind:  KeyWorkKind(fmt.Sprintf("kind_%d", int32(m.GetKind()))),
		State: KeyWorkState(fmt.Sprintf("state_%d", int32(m.GetState()))),
		Step:  m.GetStep(), Total: m.GetTotal(), Done: m.GetDone(), Left: m.GetLeft(),
		Rate: m.GetRate(), Remaining: m.GetRemaining().AsDuration(),
		StartTime: timeFrom(m.GetStartTime()), EndTime: timeFrom(m.GetEndTime()),
		Problem: m.GetProblem(), Epoch: m.GetEpoch(),
	}
	if n := int(m.GetKind()); n >= 1 && n <= len(kinds) {
		w.Kind = kinds[n-1]
	}
	if n := int(m.GetState()); n >= 1 && n <= len(states) {
		w.State = states[n-1]
	}
	return w
}
