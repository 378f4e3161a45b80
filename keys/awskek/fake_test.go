package awskek_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

const region = "eu-central-1"

// trent is an AWS KMS on loopback: the part of TrentService that is used here,
// as the service documents it, behind real signatures.
type trent struct {
	url string

	mu      sync.Mutex
	users   map[string]*user // by access key id
	keys    map[string]*cmk  // by ARN
	aliases map[string]string
}

// user is a caller of the service, and the trouble it has with it. The mutex
// of trent guards it.
type user struct {
	id, secret string
	calls      []string // operations, in their order
	bodies     []string

	refuse  func(op string) (status int, code string) // code empty: go on
	lose    func(op string) bool                      // carry it out and hang up
	tamper  func(op string, answer map[string]any)
	arrived chan struct{} // not nil: hold the answers
	release chan struct{}
}

func newTrent(t testing.TB) *trent {
	s := &trent{users: map[string]*user{}, keys: map[string]*cmk{}, aliases: map[string]string{}}
	server := httptest.NewUnstartedServer(s)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of handlers that hang up on purpose
	server.Start()
	t.Cleanup(server.Close)
	s.url = server.URL
	return s
}

// user makes a caller.
func (s *trent) user() *user {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := &user{id: "AKIA" + strings.ToUpper(hex.EncodeToString(random(8))), secret: hex.EncodeToString(random(20))}
	s.users[u.id] = u
	return u
}

// set changes a caller's trouble; no answer is under way then.
func (s *trent) set(change func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change()
}

// count returns how often u called op.
func (s *trent) count(u *user, op string) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range u.calls {
		if c == op {
			n++
		}
	}
	return n
}

func (s *trent) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	op, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), "TrentService.")
	if !ok || r.Method != http.MethodPost || r.URL.Path != "/" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		answer(w, http.StatusBadRequest, map[string]any{"__type": "UnknownOperationException"})
		return
	}
	u, code := s.signed(r, body)
	if code != "" {
		answer(w, http.StatusBadRequest, map[string]any{"__type": code})
		return
	}
	s.mu.Lock()
	u.calls, u.bodies = append(u.calls, op), append(u.bodies, string(body))
	arrived, release := u.arrived, u.release
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
	status, out, lost := s.serve(u, op, body)
	if lost {
		panic(http.ErrAbortHandler)
	}
	answer(w, status, out)
}

func (s *trent) serve(u *user, op string, body []byte) (status int, out map[string]any, lost bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.refuse != nil {
		if status, code := u.refuse(op); code != "" {
			return status, map[string]any{"__type": code, "message": "User: arn:aws:iam::111122223333:user/secret-name"}, false
		}
	}
	out, code := s.do(op, body)
	if code != "" {
		return http.StatusBadRequest, map[string]any{"__type": code, "message": "User: arn:aws:iam::111122223333:user/secret-name"}, false
	}
	if u.tamper != nil {
		u.tamper(op, out)
	}
	return http.StatusOK, out, u.lose != nil && u.lose(op)
}

func answer(w http.ResponseWriter, status int, out map[string]any) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.Header().Set("X-Amzn-Requestid", "01234567-89ab-cdef-0123-456789abcdef")
	w.WriteHeader(status)
	if err := json.NewEncoder(w).Encode(out); err != nil {
		panic(err)
	}
}

// signed finds who signed a request, by signing it once more: the signature
// covers the method, the host, the operation, the time and the body.
func (s *trent) signed(r *http.Request, body []byte) (*user, string) {
	auth := r.Header.Get("Authorization")
	rest, ok := strings.CutPrefix(auth, "AWS4-HMAC-SHA256 Credential=")
	id, _, _ := strings.Cut(rest, "/")
	_, names, _ := strings.Cut(rest, "SignedHeaders=")
	names, _, _ = strings.Cut(names, ",")
	s.mu.Lock()
	u := s.users[id]
	s.mu.Unlock()
	if !ok || u == nil {
		return nil, "UnrecognizedClientException"
	}
	signed := strings.Split(names, ";")
	for _, must := range []string{"host", "x-amz-date", "x-amz-target"} {
		if !slices.Contains(signed, must) {
			return nil, "IncompleteSignature"
		}
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil || time.Since(at).Abs() > 5*time.Minute {
		return nil, "InvalidSignatureException"
	}
	again, err := http.NewRequestWithContext(r.Context(), r.Method, "http://"+r.Host+r.URL.RequestURI(), bytes.NewReader(body))
	if err != nil {
		return nil, "IncompleteSignature"
	}
	for _, name := range signed {
		if name != "host" && name != "content-length" {
			again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
		}
	}
	sum := sha256.Sum256(body)
	err = v4.NewSigner().SignHTTP(r.Context(), aws.Credentials{AccessKeyID: u.id, SecretAccessKey: u.secret}, again,
		hex.EncodeToString(sum[:]), "kms", region, at)
	if err != nil || again.Header.Get("Authorization") != auth {
		return nil, "InvalidSignatureException"
	}
	return u, ""
}
