package transitkek

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	maxAnswer     = 256 << 10 // a plaintext of 4,096 bytes needs 6 KiB
	maxRetryAfter = 5 * time.Second
)

// client speaks the HTTP API, one attempt a call.
type client struct {
	base      string // ends with /v1/
	namespace string
	http      *http.Client
	timeout   time.Duration
}

func newClient(o Options, rt http.RoundTripper) (*client, error) {
	base, err := o.base()
	if err != nil {
		return nil, err
	}
	if rt == nil {
		if rt, err = o.transport(); err != nil {
			return nil, err
		}
	}
	return &client{base: base, namespace: o.Namespace, timeout: o.Timeout, http: &http.Client{
		Transport: rt,
		// A redirect would carry the token to wherever it points.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// request is one call. Its path is made of checked names and holds no secret.
type request struct {
	op     string // for errors
	method string
	path   string
	in     any  // nil, or what to send as JSON
	once   bool // must not be tried again by itself
}

// refusal is an answer other than success. What the server wrote is left out:
// it may repeat what was sent.
type refusal struct {
	op         string
	status     int
	retryAfter time.Duration
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%v: %s: the server answered %d", r.Unwrap(), r.op, r.status)
}

// Unwrap is what the status says by itself.
func (r *refusal) Unwrap() error {
	switch {
	case r.status == http.StatusForbidden || r.status == http.StatusUnauthorized:
		return keys.ErrDenied
	case r.status == http.StatusNotFound:
		return keys.ErrNoKey
	// 3xx is a standby that cannot forward, 412 one that lags, 503 a sealed one.
	case r.status < 400, r.status == http.StatusPreconditionFailed, r.status == http.StatusTooManyRequests,
		r.status == http.StatusRequestTimeout, r.status >= 500:
		return keys.ErrAway
	default:
		return keys.ErrUsage
	}
}

// answered reports whether err is an answer of the given status.
func answered(err error, status int) bool {
	var r *refusal
	return errors.As(err, &r) && r.status == status
}

// send makes one attempt and decodes the answer into out, unless out is nil.
// Errors: the context's, a *refusal, or one wrapping keys.ErrAway.
func (c *client) send(ctx context.Context, r request, token secret, out any) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	attempt, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	away := func(err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var at *url.Error // says method and URL again
		if errors.As(err, &at) {
			err = at.Err
		}
		return fmt.Errorf("%w: %s: %w", keys.ErrAway, r.op, err)
	}
	var body io.Reader
	var size int64
	if r.in != nil {
		text, err := json.Marshal(r.in)
		if err != nil {
			return fmt.Errorf("%w: %s: the request cannot be written as JSON", keys.ErrUsage, r.op)
		}
		body, size = newWiped(text), int64(len(text))
	}
	q, err := http.NewRequestWithContext(attempt, r.method, c.base+r.path, body)
	if err != nil {
		return fmt.Errorf("%w: %s: the address makes no request", keys.ErrUsage, r.op)
	}
	if body != nil {
		q.ContentLength = size
		q.Header.Set("Content-Type", "application/json")
	}
	q.Header.Set("X-Vault-Request", "true") // agents want it
	if c.namespace != "" {
		q.Header.Set("X-Vault-Namespace", c.namespace)
	}
	if t := token.expose(); t != "" {
		q.Header.Set("X-Vault-Token", t)
	}
	answer, err := c.http.Do(q)
	if err != nil {
		return away(err)
	}
	defer func() { _ = answer.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	defer clear(text)
	switch {
	case err != nil:
		return away(err)
	case answer.StatusCode < 200 || answer.StatusCode >= 300:
		return &refusal{r.op, answer.StatusCode, retryAfter(answer.Header.Get("Retry-After"))}
	case out == nil:
		return nil
	case len(text) > maxAnswer:
		return fmt.Errorf("%w: %s: an answer of more than %d bytes", keys.ErrAway, r.op, maxAnswer)
	}
	// The error of Unmarshal may show a piece of the answer.
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("%w: %s: the answer is not what the API says", keys.ErrAway, r.op)
	}
	return nil
}

// retryAfter reads the header, in seconds, and bounds it.
func retryAfter(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil || n <= 0 {
		return 0
	}
	return min(time.Duration(min(n, 60))*time.Second, maxRetryAfter)
}

// wiped is a request's body, which is cleared when the transport is done with
// it. Only the transport knows when that is, and it may close a body while
// another goroutine of its own reads.
type wiped struct {
	mu   sync.Mutex
	text []byte
	rest []byte
}

func newWiped(text []byte) *wiped { return &wiped{text: text, rest: text} }

// Read implements io.Reader.
func (w *wiped) Read(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.rest) == 0 {
		return 0, io.EOF
	}
	n := copy(p, w.rest)
	w.rest = w.rest[n:]
	return n, nil
}

// Close implements io.Closer.
func (w *wiped) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.text)
	w.rest = nil
	return nil
}
