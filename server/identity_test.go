package server_test

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// TestPrincipals connects with certificates of every kind. An empty principal
// means that the connection must not come about.
func TestPrincipals(t *testing.T) {
	r := newRig(t)
	long := "spiffe://cloakroom.example/" + strings.Repeat("x", audit.MaxPrincipalLen)
	for _, c := range []struct {
		name      string
		uris, dns []string
		cn        string
		principal string
	}{
		{name: "one SPIFFE ID", uris: []string{shop}, principal: shop},
		{name: "SPIFFE ID beside DNS names", uris: []string{shop}, dns: []string{"a.example", "b.example"}, principal: shop},
		{name: "SPIFFE ID beside another common name", uris: []string{shop}, cn: admin, principal: shop},
		{name: "two SPIFFE IDs", uris: []string{shop, admin}},
		{name: "the same SPIFFE ID twice", uris: []string{shop, shop}},
		{name: "SPIFFE and https", uris: []string{shop, "https://cloakroom.example/shop"}},
		{name: "https only", uris: []string{"https://cloakroom.example/shop"}},
		{name: "https and a DNS name", uris: []string{"https://cloakroom.example/shop"}, dns: []string{"shop.example"}},
		{name: "SPIFFE without path", uris: []string{"spiffe://cloakroom.example"}},
		{name: "SPIFFE with a bare slash", uris: []string{"spiffe://cloakroom.example/"}},
		{name: "SPIFFE without trust domain", uris: []string{"spiffe:///shop"}},
		{name: "SPIFFE with port", uris: []string{"spiffe://cloakroom.example:443/shop"}},
		{name: "SPIFFE with user", uris: []string{"spiffe://me@cloakroom.example/shop"}},
		{name: "SPIFFE with query", uris: []string{shop + "?role=admin"}},
		{name: "SPIFFE with fragment", uris: []string{shop + "#admin"}},
		{name: "SPIFFE ID that no audit entry holds", uris: []string{long}},
		{name: "one DNS name", dns: []string{"shop.example"}, principal: "dns:shop.example"},
		{name: "two DNS names", dns: []string{"shop.example", "admin.example"}},
		{name: "common name only", cn: "shop.example"},
		{name: "common name that is a SPIFFE ID", cn: shop},
		{name: "nothing"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn := r.with(t, r.ca.issue(t, &x509.Certificate{
				URIs: uris(t, c.uris...), DNSNames: c.dns, Subject: pkix.Name{CommonName: c.cn},
			}))
			who, err := whoAmI(t, conn)
			if c.principal == "" {
				if status.Code(err) != codes.Unavailable {
					t.Errorf("connected as %q, %v", who.GetPrincipal(), err)
				}
				return
			}
			if err != nil || who.GetPrincipal() != c.principal {
				t.Errorf("got %q, %v, want %q", who.GetPrincipal(), err, c.principal)
			}
		})
	}
}

func whoAmI(t *testing.T, conn *grpc.ClientConn) (*cloakroomv1.WhoAmIResponse, error) {
	t.Helper()
	return cloakroomv1.NewPolicyServiceClient(conn).WhoAmI(t.Context(), &cloakroomv1.WhoAmIRequest{})
}

func TestConnectionsThatAreRefused(t *testing.T) {
	r := newRig(t)
	for _, c := range []struct {
		name string
		conn func(t *testing.T) *grpc.ClientConn
	}{
		{"no certificate", func(t *testing.T) *grpc.ClientConn { return r.with(t) }},
		{"certificate of another authority", func(t *testing.T) *grpc.ClientConn {
			return r.with(t, newAuthority(t).issue(t, &x509.Certificate{URIs: uris(t, shop)}))
		}},
		{"expired certificate", func(t *testing.T) *grpc.ClientConn {
			return r.with(t, r.ca.issue(t, &x509.Certificate{URIs: uris(t, shop), NotAfter: time.Now().Add(-time.Minute)}))
		}},
		{"certificate not valid yet", func(t *testing.T) *grpc.ClientConn {
			return r.with(t, r.ca.issue(t, &x509.Certificate{URIs: uris(t, shop), NotAfter: time.Now().Add(3 * time.Hour)}))
		}},
		{"certificate for servers", func(t *testing.T) *grpc.ClientConn {
			return r.with(t, r.ca.issue(t, &x509.Certificate{URIs: uris(t, shop), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}))
		}},
		{"plaintext", func(t *testing.T) *grpc.ClientConn { return dialWith(t, r.address, insecure.NewCredentials()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			if who, err := whoAmI(t, c.conn(t)); status.Code(err) != codes.Unavailable {
				t.Errorf("connected as %q, %v", who.GetPrincipal(), err)
			}
		})
	}
	if _, err := whoAmI(t, r.as(t, shop)); err != nil {
		t.Errorf("a good connection beside them: %v", err)
	}
}

// TestTLS12IsRefused uses the TLS settings of the product.
func TestTLS12IsRefused(t *testing.T) {
	s := cloakroomtest.New(t, nil)
	for version, want := range map[uint16]codes.Code{tls.VersionTLS12: codes.Unavailable, tls.VersionTLS13: codes.OK} {
		config := tlsOf(t, s, shop)
		config.MinVersion, config.MaxVersion = tls.VersionTLS12, version
		if _, err := whoAmI(t, dialWith(t, s.Address, credentials.NewTLS(config))); status.Code(err) != want {
			t.Errorf("%s: got %v, want %v", tls.VersionName(version), err, want)
		}
	}
}

// TestUnverifiedCertificates: a configuration by connection could forget to
// verify. Then nobody is let in.
func TestUnverifiedCertificates(t *testing.T) {
	for name, mode := range map[string]tls.ClientAuthType{
		"none": tls.NoClientCert, "any": tls.RequireAnyClientCert, "optional": tls.VerifyClientCertIfGiven,
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, func(o *server.Options) {
				loose := o.TLS.Clone()
				loose.ClientAuth = mode
				o.TLS.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) { return loose, nil }
			})
			var conn *grpc.ClientConn
			if mode == tls.RequireAnyClientCert {
				conn = r.with(t, newAuthority(t).issue(t, &x509.Certificate{URIs: uris(t, shop)}))
			} else {
				conn = r.with(t)
			}
			if who, err := whoAmI(t, conn); status.Code(err) != codes.Unavailable {
				t.Errorf("connected as %q, %v", who.GetPrincipal(), err)
			}
		})
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	r := newRig(t)
	for name, o := range map[string]server.Options{
		"no TLS":                   {Logger: r.Logger},
		"no logger":                {TLS: r.serverTLS(t)},
		"unverified client":        {TLS: &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}, Logger: r.Logger},
		"client that is let alone": {TLS: &tls.Config{MinVersion: tls.VersionTLS13}, Logger: r.Logger},
	} {
		if _, err := server.New(r.Vault, o); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestPrincipalIsNotRead from anything that the caller writes.
func TestPrincipalIsNotRead(t *testing.T) {
	r := newRig(t)
	ctx := t.Context()
	for _, key := range []string{
		"principal", "cloakroom-principal", "authorization", "x-forwarded-client-cert", "x-spiffe-id", "x-forwarded-user", "from",
	} {
		ctx = metadata.AppendToOutgoingContext(ctx, key, admin)
	}
	client := cloakroomv1.NewPolicyServiceClient(r.as(t, shop))
	who, err := client.WhoAmI(ctx, &cloakroomv1.WhoAmIRequest{})
	if err != nil || who.GetPrincipal() != shop {
		t.Errorf("got %q, %v", who.GetPrincipal(), err)
	}
	if _, err := client.GetPolicy(ctx, &cloakroomv1.GetPolicyRequest{}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("a call with the metadata of the administrator: %v", err)
	}
	if last := lastEntry(t, r); last.Principal != shop {
		t.Errorf("the audit log names %q", last.Principal)
	}
}

// lastEntry is the newest entry of the audit log.
func lastEntry(t *testing.T, r *rig) *audit.Entry {
	t.Helper()
	all := r.Log.Entries()
	if len(all) == 0 {
		t.Fatal("the audit log is empty")
	}
	return all[len(all)-1]
}
