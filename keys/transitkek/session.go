package transitkek

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	attempts     = 4 // of one call
	firstBackoff = 100 * time.Millisecond
)

// lease is a grant as the session holds it.
type lease struct {
	grant
	serial uint64    // rises with every login; 0: none yet
	ends   time.Time // zero: never
}

func (l lease) alive() bool {
	return l.serial > 0 && (l.ends.IsZero() || time.Now().Before(l.ends))
}

// session makes calls with a token, which it gets when it is needed. A
// goroutine of its own, keep, renews it in time.
type session struct {
	c       *client
	login   login
	own     bool // its tokens are made by login, for nobody else
	backoff time.Duration
	stop    context.CancelFunc
	stopped chan struct{} // closed when keep has ended

	// gate holds a value while somebody gets or renews the token. It is no
	// mutex, so that waiting for it ends with the context.
	gate chan struct{}

	mu sync.Mutex // guards lease
	lease
	changed chan struct{} // a value means that lease was replaced
}

// newSession logs in, so that mistakes are found at once.
func newSession(ctx context.Context, o Options, rt http.RoundTripper, backoff time.Duration) (*session, error) {
	l, own, err := o.Auth.method()
	if err != nil {
		return nil, err
	}
	c, err := newClient(o, rt)
	if err != nil {
		return nil, err
	}
	s := &session{
		c: c, login: l, own: own, backoff: backoff,
		stopped: make(chan struct{}), gate: make(chan struct{}, 1), changed: make(chan struct{}, 1),
	}
	if err := s.retry(ctx, attempts, func() error {
		_, err := s.current(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	life, stop := context.WithCancel(context.Background())
	s.stop = stop
	go s.keep(life)
	return s, nil
}

// close ends the renewal and revokes a token of the session's own, as well as
// one attempt can. The lease ends by itself when it cannot.
func (s *session) close() {
	s.stop()
	<-s.stopped
	s.gate <- struct{}{}
	defer func() { <-s.gate }()
	l := s.peek()
	if s.own && l.alive() {
		_ = s.c.send(context.Background(), request{op: "revoking the token", method: http.MethodPost, path: "auth/token/revoke-self"}, l.token, nil)
	}
	s.put(lease{serial: l.serial + 1, ends: time.Unix(1, 0)})
}

func (s *session) peek() lease {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.lease
}

func (s *session) put(l lease) {
	s.mu.Lock()
	s.lease = l
	s.mu.Unlock()
	select {
	case s.changed <- struct{}{}:
	default: // keep has not seen the last one yet, and will see this one
	}
}

// enter takes the gate.
func (s *session) enter(ctx context.Context) error {
	select {
	case s.gate <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *session) leave() { <-s.gate }

// current returns a lease that is alive, by logging in if need be.
func (s *session) current(ctx context.Context) (lease, error) {
	if l := s.peek(); l.alive() {
		return l, nil
	}
	return s.replace(ctx, 0)
}

// replace logs in, unless somebody did since the lease of the given serial
// was current.
func (s *session) replace(ctx context.Context, serial uint64) (lease, error) {
	if err := s.enter(ctx); err != nil {
		return lease{}, err
	}
	defer s.leave()
	if l := s.peek(); l.serial != serial && l.alive() {
		return l, nil
	}
	return s.anew(ctx)
}

// anew logs in. The caller holds the gate.
func (s *session) anew(ctx context.Context) (lease, error) {
	select {
	case <-s.stopped:
		return lease{}, fmt.Errorf("%w: it was closed", keys.ErrUsage)
	default:
	}
	asked := time.Now() // before the server began to count
	g, err := s.login(ctx, s.c)
	if err != nil {
		return lease{}, err
	}
	return s.take(g, asked, s.peek().serial+1), nil
}

func (s *session) take(g grant, asked time.Time, serial uint64) lease {
	l := lease{grant: g, serial: serial}
	if g.ttl > 0 {
		l.ends = asked.Add(g.ttl)
	}
	s.put(l)
	return l
}

// call makes a call, again when the server was away and the request may be
// repeated. A refusal may be of the token alone, so one with a new token
// decides.
func (s *session) call(ctx context.Context, r request, out any) error {
	n := attempts
	if r.once {
		n = 1
	}
	renewed := false
	return s.retry(ctx, n, func() error {
		l, err := s.current(ctx)
		if err != nil {
			return err
		}
		err = s.c.send(ctx, r, l.token, out)
		if renewed || !answered(err, http.StatusForbidden) {
			return err
		}
		renewed = true
		if l, err = s.replace(ctx, l.serial); err != nil {
			return err
		}
		return s.c.send(ctx, r, l.token, out)
	})
}

// retry calls f up to n times, until it ends otherwise than by keys.ErrAway.
func (s *session) retry(ctx context.Context, n int, f func() error) error {
	for wait := s.backoff; ; wait *= 2 {
		err := f()
		if n--; n == 0 || !errors.Is(err, keys.ErrAway) {
			return err
		}
		var r *refusal
		pause := wait + rand.N(wait/2+1) // callers that failed together come back apart
		if errors.As(err, &r) {
			pause = max(pause, r.retryAfter)
		}
		if err := sleep(ctx, pause); err != nil {
			return err
		}
	}
}

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
