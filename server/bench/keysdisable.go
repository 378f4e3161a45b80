package bench

import (
	"context"
	"errors"
	"fmt"
	"time"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

func cardKey() vault.KeyRef { return vault.KeyRef{Kind: vault.KeyField, Name: cardField} }

// disable disables the version in use of the card's keyset, which all stored
// cards need.
func (c *keyChild) disable(ctx context.Context) (a keyAnswer, err error) {
	v := c.node.Vault
	list, err := v.Keys(ctx, keeper(), false)
	if err != nil {
		return a, err
	}
	for _, k := range list.Keys {
		if k.Ref == cardKey() {
			a.Version = k.Primary
		}
	}
	begun := time.Now()
	_, err = v.DisableKey(ctx, keeper(), vault.KeyChange{Key: cardKey(), Version: a.Version, Reason: "bench"})
	a.Seconds = time.Since(begun).Seconds()
	return a, err
}

// enable takes a version back, and waits until nothing stands under it.
func (c *keyChild) enable(ctx context.Context, version uint32) (keyAnswer, error) {
	begun := time.Now()
	err := c.node.Vault.EnableKey(ctx, keeper(), vault.KeyChange{Key: cardKey(), Version: version, Reason: "bench"})
	if err != nil {
		return keyAnswer{}, err
	}
	_, err = await(ctx, c.node.Vault, vault.WorkRewrap, begun, nil)
	return keyAnswer{}, err
}

// measureDisable takes the time from the call that disables a version until a
// stream of reveals gets its first refusal.
func measureDisable(ctx context.Context, o *KeyOptions) ([]Result, error) {
	return withCallers(ctx, o, func(k *keyCallers) ([]Result, error) {
		var refused, answered []float64
		var late int
		for range o.Rounds {
			d, err := k.disableRound(ctx)
			if err != nil {
				return nil, err
			}
			refused = append(refused, d.refused.Seconds()*1000)
			answered = append(answered, d.answered.Seconds()*1000)
			late += d.late
		}
		worst := 0.0
		for _, ms := range refused {
			worst = max(worst, ms)
		}
		return []Result{
			{Name: "from disabling to the first refusal on a stream of 100s", Figure: fmt.Sprintf("%.2f ms, at most %.2f ms", median(refused), worst), Goal: "< 1000 ms"},
			{Name: "from disabling to its answer", Figure: fmt.Sprintf("%.2f ms", median(answered))},
			{Name: "messages sent after that answer and not refused", Figure: fmt.Sprint(late), Goal: "0"},
		}, nil
	})
}

// disabled is how a disabled key was felt.
type disabled struct {
	refused  time.Duration // until the first refusal
	answered time.Duration // until the call was answered
	late     int           // messages that were sent after that and not refused
}

// disableRound disables the key of a stream that runs, and enables it again.
func (k *keyCallers) disableRound(ctx context.Context) (d disabled, err error) {
	run, stop := context.WithCancel(ctx)
	defer stop()
	answers := make(chan streamed, 1)
	answered := make(chan struct{})
	running := make(chan struct{})
	go func() { answers <- k.untilRefused(run, running, answered) }()
	select {
	case <-running:
	case s := <-answers:
		return d, errors.Join(s.err, errors.New("the stream ended before the key was disabled"))
	}
	begun := time.Now()
	a, err := k.p.order(keyOrder{Do: doDisable})
	d.answered = time.Since(begun)
	close(answered)
	if err != nil {
		stop()
		return d, errors.Join(err, (<-answers).err)
	}
	s := <-answers
	d.refused, d.late = s.first.Sub(begun), s.late
	if s.err != nil {
		return d, s.err
	}
	_, err = k.p.order(keyOrder{Do: doEnable, N: int(a.Version)})
	return d, err
}

// streamed is what a stream saw.
type streamed struct {
	first time.Time // when the first refusal came
	late  int
	err   error
}

const (
	// runningAfter is how many messages are answered before a stream counts as
	// one that runs.
	runningAfter = 50
	// settledAfter is how many that were sent after the key was disabled are
	// looked at.
	settledAfter = 200
)

// untilRefused keeps messages of 100 tokens under way on a stream until those
// that were sent after answered was closed are refused. Answers come in the
// order of the messages.
func (k *keyCallers) untilRefused(ctx context.Context, running chan<- struct{}, answered <-chan struct{}) (s streamed) {
	stream, err := k.l.reveals.DetokenizeStream(ctx)
	if err != nil {
		return streamed{err: err}
	}
	var after []bool // of each message under way, whether it was sent after the answer
	send := func() error {
		q := &cloakroomv1.DetokenizeStreamRequest{}
		q.SetTokens(k.l.some(100))
		q.SetPurpose("payment")
		select {
		case <-answered:
			after = append(after, true)
		default:
			after = append(after, false)
		}
		return stream.Send(q)
	}
	for range streamDepth {
		if s.err = send(); s.err != nil {
			return s
		}
	}
	for n, settled := 1, 0; settled < settledAfter; n++ {
		r, err := stream.Recv()
		if err != nil {
			s.err = err
			return s
		}
		if n == runningAfter {
			close(running)
		}
		no, err := refusedBy(r)
		if err != nil {
			s.err = err
			return s
		}
		if no && s.first.IsZero() {
			s.first = time.Now()
		}
		if after[0] {
			settled++
			if !no {
				s.late++
			}
		}
		after = after[1:]
		if s.err = send(); s.err != nil {
			return s
		}
	}
	return s
}

// refusedBy reports whether a message was refused since the key is disabled.
func refusedBy(r *cloakroomv1.DetokenizeStreamResponse) (bool, error) {
	if r.HasError() {
		return false, fmt.Errorf("bench: a message was refused: %s", r.GetError().GetReason())
	}
	for _, it := range r.GetItems() {
		switch {
		case !it.HasError():
			return false, nil
		case it.GetError().GetReason() != cloakroomv1.ErrorReason_ERROR_REASON_KEY_DISABLED:
			return false, fmt.Errorf("bench: a reveal was refused: %s", it.GetError().GetReason())
		}
	}
	return true, nil
}
