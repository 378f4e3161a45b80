//go:build cgo && !nopkcs11

package pkcs11kek

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/miekg/pkcs11"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Built says whether this binary can load a PKCS#11 library. It can.
const Built = true

// A Token is a PKCS#11 token that is logged in when it is needed. Its KEKs
// share its sessions. It is safe for concurrent use.
type Token struct {
	cfg     Config
	module  module
	running chan struct{} // one element for each call in the library

	// epochsMu is held for reading while an epoch key is in use and for writing
	// by Create and Destroy, so that within this process no Wrap goes on past a
	// Destroy, and an epoch gets one key.
	epochsMu sync.RWMutex

	mu     sync.Mutex // guards what follows; never held over calls of module
	idle   []pkcs11.SessionHandle
	closed bool

	connectMu sync.Mutex // one login at a time; held over calls of module
	pins      refusedPINs
}

// Open loads the library and logs in to the token. Open one Token for a token
// and process, and make all KEKs from it. Errors: ErrUsage for a Config that
// breaks its rules, a library that cannot be loaded, or a token without
// AES-256-GCM; ErrAway when the token is not there; ErrDenied for the PIN and
// its file; or the context's.
func Open(ctx context.Context, cfg Config) (*Token, error) {
	cfg, err := cfg.complete()
	if err != nil {
		return nil, err
	}
	m, err := load(cfg.Library)
	if err != nil {
		return nil, err
	}
	return open(ctx, cfg, m)
}

func open(ctx context.Context, cfg Config, m module) (*Token, error) {
	t := &Token{cfg: cfg, module: m, running: make(chan struct{}, cfg.Sessions)}
	_, err := t.run(ctx, nil, func(pkcs11.SessionHandle) ([]byte, error) { return nil, t.checkMechanism() })
	if err != nil {
		_ = t.Close()
		return nil, err
	}
	return t, nil
}

// Close closes the sessions, which logs out when nothing else in the process
// uses the token. Calls that still run close theirs when they end. Later
// calls are ErrUsage. The library stays loaded.
func (t *Token) Close() error {
	t.mu.Lock()
	t.closed = true
	t.mu.Unlock()
	t.dropIdle()
	return nil
}

// run has f called with a session of a user who is logged in, and once more
// with a fresh one when the first was lost. It returns as soon as ctx ends or
// Config.Timeout is over; f then goes on in the background and its result is
// cleared. What f works on must be its own: in is cleared when f is done.
func (t *Token) run(ctx context.Context, in []byte, f func(pkcs11.SessionHandle) ([]byte, error)) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		clear(in)
		return nil, err
	}
	timer := time.NewTimer(t.cfg.Timeout)
	defer timer.Stop()
	select {
	case t.running <- struct{}{}:
	case <-ctx.Done():
		clear(in)
		return nil, ctx.Err()
	case <-timer.C:
		clear(in)
		return nil, fmt.Errorf("%w: token %q: all %d calls that may run hang", keys.ErrAway, t.cfg.Token, t.cfg.Sessions)
	}
	type answer struct {
		out []byte
		err error
	}
	done, left := make(chan answer), make(chan struct{})
	go func() {
		out, err := t.try(ctx, f)
		clear(in)
		select {
		case done <- answer{out, err}:
		case <-left:
			clear(out)
		}
		<-t.running
	}()
	select {
	case a := <-done:
		return a.out, a.err
	case <-ctx.Done():
		close(left)
		return nil, ctx.Err()
	case <-timer.C:
		close(left)
		return nil, fmt.Errorf("%w: token %q: no answer within %v", keys.ErrAway, t.cfg.Token, t.cfg.Timeout)
	}
}

// try is the part of run that blocks.
func (t *Token) try(ctx context.Context, f func(pkcs11.SessionHandle) ([]byte, error)) (out []byte, err error) {
	for range 2 {
		var sh pkcs11.SessionHandle
		if sh, err = t.take(); err == nil {
			if err = ctx.Err(); err == nil { // its caller may have gone while we connected
				out, err = f(sh)
			}
			t.give(sh, err)
		}
		if !lost(err) || ctx.Err() != nil {
			break
		}
		t.dropIdle() // what was lost by one is mostly lost by all
	}
	if err == nil {
		return out, nil
	}
	clear(out)
	if !told(err) {
		if m := meaning(err); m != nil {
			err = fmt.Errorf("%w: token %q: %w", m, t.cfg.Token, err)
		}
	}
	return nil, err
}

// told reports whether an error has its meaning already.
func told(err error) bool {
	for _, e := range []error{keys.ErrDenied, keys.ErrAway, keys.ErrWrongKey, keys.ErrNoKey, keys.ErrDestroyed,
		keys.ErrDisabled, keys.ErrExists, keys.ErrFormat, keys.ErrUsage} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
