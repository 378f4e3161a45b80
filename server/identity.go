package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

var (
	// errNoIdentity: a certificate that names nobody, or more than one.
	errNoIdentity = errors.New("the client certificate must carry exactly one SPIFFE ID or one DNS name")
	// errLongIdentity: who cannot be entered in the audit log cannot call.
	errLongIdentity = fmt.Errorf("the name in the client certificate must be at most %d bytes", audit.MaxPrincipalLen)
)

// principalOf reads the principal from a verified client certificate: the one
// SPIFFE ID among its URI names; a certificate without URI names is taken by
// its one DNS name. The common name is never used.
func principalOf(cert *x509.Certificate) (string, error) {
	var principal string
	switch {
	case len(cert.URIs) == 1 && isSPIFFE(cert.URIs[0]):
		principal = cert.URIs[0].String()
	case len(cert.URIs) == 0 && len(cert.DNSNames) == 1:
		principal = "dns:" + cert.DNSNames[0]
	default:
		return "", errNoIdentity
	}
	if len(principal) > audit.MaxPrincipalLen {
		return "", errLongIdentity
	}
	return principal, nil
}

func isSPIFFE(u *url.URL) bool {
	return u.Scheme == "spiffe" && u.Host != "" && u.Port() == "" && u.User == nil && u.RawQuery == "" && u.Fragment == "" && len(u.Path) > 1
}

// identified adds the principal to a TLS connection once, at its handshake.
type identified struct {
	credentials.TLSInfo
	principal string
	login     *login
}

// login is entered in the audit log once a connection, before its first call is
// answered, when the principal holds a right of an administrator.
type login struct {
	done atomic.Bool
	mu   sync.Mutex
}

func (l *login) enter(ctx context.Context, v *vault.Vault, c vault.Caller) error {
	if l.done.Load() {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.done.Load() {
		return nil
	}
	err := v.Login(ctx, c)
	var refused *vault.Error
	if errors.As(err, &refused) && refused.Reason == vault.Frozen {
		err = nil // it is in the log; what the call may do is decided by the call
	}
	if err == nil {
		l.done.Store(true)
	}
	return err
}

// identifying are TLS credentials that refuse connections without an identity.
type identifying struct {
	credentials.TransportCredentials
}

func newCredentials(config *tls.Config) credentials.TransportCredentials {
	return identifying{credentials.NewTLS(config)}
}

// ServerHandshake implements credentials.TransportCredentials.
func (c identifying) ServerHandshake(raw net.Conn) (net.Conn, credentials.AuthInfo, error) {
	conn, info, err := c.TransportCredentials.ServerHandshake(raw)
	if err != nil {
		return nil, nil, err
	}
	t, ok := info.(credentials.TLSInfo)
	if !ok || len(t.State.VerifiedChains) == 0 {
		_ = conn.Close()
		return nil, nil, errNoIdentity
	}
	principal, err := principalOf(t.State.PeerCertificates[0])
	if err != nil {
		_ = conn.Close()
		return nil, nil, err
	}
	return conn, identified{t, principal, new(login)}, nil
}

// Clone implements credentials.TransportCredentials.
func (c identifying) Clone() credentials.TransportCredentials {
	return identifying{c.TransportCredentials.Clone()}
}

// requestIDKey is the metadata in which a caller may give a call an id of its
// own, for the audit log; the errors of a call carry it back.
const requestIDKey = "cloakroom-request-id"

// requestIDs numbers the calls that bring no id.
type requestIDs struct {
	prefix string
	next   atomic.Uint64
}

// callerOf says who calls. With the first call of an administrator's
// connection it enters the login in the audit log.
func (s *Server) callerOf(ctx context.Context) (vault.Caller, error) {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return vault.Caller{}, s.unauthenticated()
	}
	who, ok := p.AuthInfo.(identified)
	if !ok {
		return vault.Caller{}, s.unauthenticated()
	}
	c := vault.Caller{Principal: who.principal, Request: s.requestID(ctx)}
	if err := who.login.enter(ctx, s.vault, c); err != nil {
		return vault.Caller{}, s.fail(ctx, "login", c, err)
	}
	return c, nil
}

func (s *Server) unauthenticated() error {
	return statusOf(codes.Unauthenticated, &vault.Error{
		Reason: vault.Unauthenticated, Detail: "the connection carries no identity",
	}, "")
}

func (s *Server) requestID(ctx context.Context) string {
	if given := metadata.ValueFromIncomingContext(ctx, requestIDKey); len(given) == 1 && isRequestID(given[0]) {
		return given[0]
	}
	return s.ids.prefix + strconv.FormatUint(s.ids.next.Add(1), 36)
}

// isRequestID accepts codes; free text could carry personal data into the log.
func isRequestID(id string) bool {
	if len(id) == 0 || len(id) > 64 {
		return false
	}
	for i := range len(id) {
		c := id[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '-' || c == '_' || c == '.') {
			return false
		}
	}
	return true
}
