// Package transittest answers the HTTP API of a transit engine, and of the
// logins before it, on a loopback address or inside the process. It is for
// tests: tokens are checked and times are kept, and every trouble that a
// server can make can be provoked.
//
// The keys are those of an Engine: Memory, or the real one of Vault behind
// the same interface.
package transittest

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// An Engine is what lies below a mount. Do answers one request whose path
// begins after the mount; body is the JSON sent. It answers a status and,
// for 200, what to send as "data", and warnings.
type Engine interface {
	Do(method, path string, body map[string]any) (status int, data any, warnings []string)
}

// Mount is where a Server has its engine.
const Mount = "team/transit"

// Server is an http.Handler. The fields may be set before the first request.
type Server struct {
	Engine    Engine
	Namespace string // demanded when set

	// Logins maps what a login path must be sent to what it answers.
	Logins map[string]Login
	// TTL and MaxTTL of the tokens of logins; zero: without end.
	TTL, MaxTTL time.Duration
	// NotRenewable makes renewals fail.
	NotRenewable bool

	mu       sync.Mutex
	tokens   map[string]*token
	made     int
	requests []string
	fault    Fault
	arrived  chan struct{} // nil unless held
	release  chan struct{}
}

// Login is what a login takes.
type Login struct{ In map[string]string }

type token struct{ made, ends time.Time }

// Fault is looked at before each request; it returns false to let it pass.
type Fault func(w http.ResponseWriter, r *http.Request) (handled bool)

// New returns a Server of a fresh Memory engine.
func New() *Server { return NewOf(NewMemory()) }

// NewOf returns a Server of an engine.
func NewOf(e Engine) *Server {
	return &Server{Engine: e, Logins: map[string]Login{}, tokens: map[string]*token{}}
}

// Start serves on a loopback address until the test ends, and returns the
// address.
func (s *Server) Start(t testing.TB) (address string) {
	h := httptest.NewServer(s)
	t.Cleanup(h.Close)
	return h.URL
}

// AddToken makes a token valid for a time; zero: without end.
func (s *Server) AddToken(text string, ttl time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[text] = s.lease(ttl)
}

func (s *Server) lease(ttl time.Duration) *token {
	now := time.Now()
	if ttl == 0 {
		return &token{made: now}
	}
	return &token{now, now.Add(ttl)}
}

// RevokeAll makes all tokens invalid.
func (s *Server) RevokeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.tokens)
}

// Tokens counts the tokens that are valid.
func (s *Server) Tokens() (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, k := range s.tokens {
		if k.alive() {
			n++
		}
	}
	return n
}

// Requests returns method and path of every request so far.
func (s *Server) Requests() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.requests)
}

// Count counts the requests whose method and path end with suffix.
func (s *Server) Count(suffix string) (n int) {
	for _, r := range s.Requests() {
		if strings.HasSuffix(r, suffix) {
			n++
		}
	}
	return n
}

// Break sets a fault, nil for none.
func (s *Server) Break(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fault = f
}

// Status is a Fault that answers everything with a status.
func Status(status int) Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		fail(w, status, "by order of the test")
		return true
	}
}

// Slow holds the requests back until restore is called or the caller leaves.
func (s *Server) Slow() (arrived <-chan struct{}, restore func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a, r := make(chan struct{}, 16), make(chan struct{})
	s.arrived, s.release = a, r
	return a, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.arrived, s.release = nil, nil
		close(r)
	}
}

func (t *token) alive() bool { return t.ends.IsZero() || time.Now().Before(t.ends) }

// ServeHTTP implements http.Handler.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	s.mu.Lock()
	s.requests = append(s.requests, r.Method+" "+r.URL.Path)
	fault, arrived, release := s.fault, s.arrived, s.release
	s.mu.Unlock()
	if arrived != nil {
		select {
		case arrived <- struct{}{}:
		default: // nobody counts them
		}
		select {
		case <-release:
		case <-r.Context().Done():
			return
		}
	}
	body := map[string]any{}
	path, ok := strings.CutPrefix(r.URL.Path, "/v1/")
	switch {
	case fault != nil && fault(w, r):
	case err != nil || !ok || r.Header.Get("X-Vault-Request") != "true":
		fail(w, 400, "not a request of the API")
	case len(text) > 0 && json.Unmarshal(text, &body) != nil:
		fail(w, 400, "the body is not JSON")
	case r.Header.Get("X-Vault-Namespace") != s.Namespace:
		fail(w, 404, "no handler for route")
	default:
		s.route(w, r, path, body)
	}
}

func (s *Server) route(w http.ResponseWriter, r *http.Request, path string, body map[string]any) {
	if login, ok := s.Logins[path]; ok {
		s.logIn(w, login, body)
		return
	}
	if strings.HasPrefix(path, "auth/") && strings.HasSuffix(path, "/login") {
		fail(w, 404, "no handler for route")
		return
	}
	text := r.Header.Get("X-Vault-Token")
	s.mu.Lock()
	tok, ok := s.tokens[text]
	ok = ok && tok.alive()
	s.mu.Unlock()
	if !ok {
		fail(w, 403, "permission denied")
		return
	}
	rest, below := strings.CutPrefix(path, Mount+"/")
	switch {
	case path == "auth/token/lookup-self":
		ttl := int64(0)
		if !tok.ends.IsZero() {
			ttl = int64(time.Until(tok.ends).Seconds())
		}
		answer(w, map[string]any{"data": map[string]any{"ttl": ttl, "renewable": !s.NotRenewable}})
	case path == "auth/token/renew-self":
		s.renew(w, text)
	case path == "auth/token/revoke-self":
		s.mu.Lock()
		delete(s.tokens, text)
		s.mu.Unlock()
		w.WriteHeader(204)
	case below:
		status, data, warnings := s.Engine.Do(r.Method, rest, body)
		switch {
		case status == 200:
			answer(w, map[string]any{"data": data, "warnings": warnings})
		case status > 200 && status < 300:
			w.WriteHeader(status)
		default:
			fail(w, status, fmt.Sprint(data))
		}
	default:
		fail(w, 404, "no handler for route")
	}
}

func (s *Server) logIn(w http.ResponseWriter, login Login, body map[string]any) {
	for k, v := range login.In {
		if body[k] != v {
			fail(w, 400, "invalid credentials")
			return
		}
	}
	s.mu.Lock()
	s.made++
	text := fmt.Sprintf("hvs.made-%d", s.made)
	s.tokens[text] = s.lease(s.TTL)
	s.mu.Unlock()
	s.grant(w, text, s.TTL)
}

// renew gives the token TTL from now, but no more than MaxTTL from its start.
func (s *Server) renew(w http.ResponseWriter, text string) {
	if s.NotRenewable {
		fail(w, 400, "lease is not renewable")
		return
	}
	s.mu.Lock()
	tok := s.tokens[text]
	ttl := s.TTL
	if s.MaxTTL > 0 {
		ttl = min(ttl, s.MaxTTL-time.Since(tok.made))
	}
	s.tokens[text] = &token{tok.made, time.Now().Add(ttl)}
	s.mu.Unlock()
	s.grant(w, text, ttl)
}

func (s *Server) grant(w http.ResponseWriter, text string, ttl time.Duration) {
	answer(w, map[string]any{"auth": map[string]any{
		"client_token": text, "lease_duration": int64(ttl.Seconds()), "renewable": !s.NotRenewable,
	}})
}

func answer(w http.ResponseWriter, body any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(body) // a caller that left is no fault
}

func fail(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []string{text}})
}
