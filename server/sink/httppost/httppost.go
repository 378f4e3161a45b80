// Package httppost is the HTTP client of the sinks that post: HTTPS, or HTTP to
// this machine alone; no redirects; nothing of a request or an answer in an
// error.
//
// A URL's path may be a secret (many webhooks have one there), so errors name
// the host only. The proxy of the environment (HTTPS_PROXY) is used for HTTPS,
// as in other programs; TLS goes through it to the other side.
package httppost

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
)

var (
	// ErrURL: the URL breaks a rule.
	ErrURL = errors.New("the URL")
	// ErrCA: the file of authorities cannot be used.
	ErrCA = errors.New("the file of authorities")
	// ErrStatus: the other side answered, and not with success.
	ErrStatus = errors.New("the answer")
	// ErrNetwork: there was no answer.
	ErrNetwork = errors.New("no answer")
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 64 << 10

// Client posts to one URL. Use New.
type Client struct {
	url    *url.URL
	client *http.Client
}

// ParseURL holds a URL against the rules: https, or http to a loopback
// address or localhost; a host; no user, no fragment. ErrURL.
func ParseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	switch {
	case err != nil: // whose text may repeat the URL
		return nil, fmt.Errorf("%w: cannot be read", ErrURL)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("%w: want https://", ErrURL)
	case u.Hostname() == "" || u.Opaque != "":
		return nil, fmt.Errorf("%w: a host is missing", ErrURL)
	case u.Port() != "" && !goodPort(u.Port()):
		return nil, fmt.Errorf("%w: want a port from 1 to 65535", ErrURL)
	case u.User != nil:
		return nil, fmt.Errorf("%w: a user or password; secrets stand in a file", ErrURL)
	case u.Fragment != "":
		return nil, fmt.Errorf("%w: a fragment", ErrURL)
	case u.Scheme == "http" && !here(u.Hostname()):
		return nil, fmt.Errorf("%w: http is for this machine alone; want https://", ErrURL)
	}
	return u, nil
}

func goodPort(text string) bool {
	n, err := strconv.ParseUint(text, 10, 16)
	return err == nil && n > 0
}

// here reports whether a host is this machine.
func here(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// ReadCA reads the authorities of a PEM file; an empty path gives nil, which
// means the system's. ErrCA.
func ReadCA(path string) (*x509.CertPool, error) {
	if path == "" {
		return nil, nil
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCA, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w %s: no certificate in PEM", ErrCA, path)
	}
	return pool, nil
}

// New makes a client. ca is a file of authorities in PEM, or empty for those
// of the system; timeout bounds one whole exchange. ErrURL, ErrCA.
func New(target, ca string, timeout time.Duration) (*Client, error) {
	u, err := ParseURL(target)
	if err != nil {
		return nil, err
	}
	pool, err := ReadCA(ca)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: timeout}
	transport := &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		DialContext:            dialer.DialContext,
		TLSClientConfig:        &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		ForceAttemptHTTP2:      true,
		MaxIdleConnsPerHost:    1,
		IdleConnTimeout:        90 * time.Second,
		MaxResponseHeaderBytes: maxAnswer,
		DisableCompression:     true,
	}
	if u.Scheme == "http" {
		transport.Proxy = nil
		dialer.Control = loopback // a name may lead elsewhere than it says
	}
	return &Client{url: u, client: &http.Client{
		Transport:     transport,
		Timeout:       timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// loopback lets connections to this machine through.
func loopback(_, address string, _ syscall.RawConn) error {
	to, err := netip.ParseAddrPort(address)
	if err != nil || !to.Addr().Unmap().IsLoopback() {
		return fmt.Errorf("%w: http leads to another machine", ErrURL)
	}
	return nil
}

// Answer is what the other side said.
type Answer struct {
	Status     int
	RetryAfter time.Duration // what Retry-After asks for, 0 for nothing
	Body       []byte        // the first 64 KiB
}

// OK reports success.
func (a Answer) OK() bool { return a.Status >= 200 && a.Status < 300 }

// Post sends a body. Headers are set as they are. An error means that there
// was no whole answer, and wraps ErrNetwork.
func (c *Client) Post(ctx context.Context, header http.Header, body []byte) (Answer, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url.String(), bytes.NewReader(body))
	if err != nil {
		return Answer{}, fmt.Errorf("%w of %s: the request cannot be made", ErrNetwork, c.url.Host)
	}
	for name, values := range header {
		request.Header[name] = values
	}
	request.Header.Set("User-Agent", "cloakroomd")
	response, err := c.client.Do(request)
	if err != nil {
		return Answer{}, c.network(err)
	}
	defer func() { _ = response.Body.Close() }() // it was read
	text, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return Answer{}, c.network(err)
	}
	return Answer{
		Status: response.StatusCode, Body: text,
		RetryAfter: retryAfter(response.Header.Get("Retry-After"), time.Now()),
	}, nil
}

// network keeps the cause and drops the URL, whose path may be a secret.
func (c *Client) network(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	return fmt.Errorf("%w of %s: %w", ErrNetwork, c.url.Host, err)
}

// Refused is the error of an answer that is no success: a *sink.RetryError
// that waits for at least least, and for what the other side asked.
func (c *Client) Refused(a Answer, least time.Duration) error {
	return &sink.RetryError{
		After: max(least, a.RetryAfter),
		Err:   fmt.Errorf("%w of %s: status %d", ErrStatus, c.url.Host, a.Status),
	}
}

// Close closes idle connections.
func (c *Client) Close() { c.client.CloseIdleConnections() }

// retryAfter reads a number of seconds or a date.
func retryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.ParseUint(text, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(0, at.Sub(now))
	}
	return 0
}
