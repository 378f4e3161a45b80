package transitkek

import (
	"context"
	"net/http"
	"time"
)

const (
	firstRenewalPause = time.Second
	maxRenewalPause   = 30 * time.Second
)

// keep renews the token when two thirds of its time have passed, until life
// ends. What fails is tried again, less and less often.
func (s *session) keep(life context.Context) {
	defer close(s.stopped)
	pause := firstRenewalPause
	for {
		l := s.peek()
		var due <-chan time.Time // nil: never
		var timer *time.Timer
		if !l.ends.IsZero() {
			timer = time.NewTimer(max(time.Until(l.ends)*2/3, pause))
			due = timer.C
		}
		renew := false
		select {
		case <-life.Done():
		case <-s.changed: // plan anew
		case <-due:
			renew = true
		}
		if timer != nil {
			timer.Stop()
		}
		if life.Err() != nil {
			return
		}
		if !renew {
			continue
		}
		if s.renew(life, l.serial) != nil {
			pause = min(pause*2, maxRenewalPause)
		} else {
			pause = firstRenewalPause
		}
	}
}

// renew prolongs the lease of the given serial. When that brings no time, the
// token has reached the end that the server set, and a login takes its place.
func (s *session) renew(ctx context.Context, serial uint64) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.leave()
	l := s.peek()
	if l.serial != serial {
		return nil // a call was faster
	}
	if l.renewable && l.alive() {
		asked := time.Now()
		var out authAnswer
		r := request{op: "renewing the token", method: http.MethodPost, path: "auth/token/renew-self", in: struct{}{}}
		if err := s.c.send(ctx, r, l.token, &out); err == nil {
			g, err := out.grant(r.op)
			if err == nil && (g.ttl == 0 || asked.Add(g.ttl).After(l.ends.Add(time.Second))) {
				g.token = l.token
				s.take(g, asked, l.serial)
				return nil
			}
		}
	}
	_, err := s.anew(ctx)
	return err
}
