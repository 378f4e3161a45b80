package devca_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/server/devca"
)

var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(now time.Time) func() time.Time { return func() time.Time { return now } }

func newCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.CreateAt(filepath.Join(t.TempDir(), "new", "certs"), at(noon))
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// pair loads <name>.crt and <name>.key, which must match.
func pair(t *testing.T, ca *devca.CA, name string) *x509.Certificate {
	t.Helper()
	p, err := tls.LoadX509KeyPair(filepath.Join(ca.Dir(), name+".crt"), filepath.Join(ca.Dir(), name+".key"))
	if err != nil {
		t.Fatal(err)
	}
	if key, ok := p.PrivateKey.(*ecdsa.PrivateKey); !ok || key.Curve != elliptic.P256() {
		t.Errorf("%s: not an ECDSA P-256 key", name)
	}
	return p.Leaf
}

func verify(t *testing.T, ca *devca.CA, leaf *x509.Certificate, use x509.ExtKeyUsage, now time.Time) error {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(pair(t, ca, "ca"))
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{use}})
	return err
}

func TestCreate(t *testing.T) {
	ca := newCA(t)
	cert := pair(t, ca, "ca")
	if !cert.IsCA || !cert.MaxPathLenZero || cert.KeyUsage&x509.KeyUsageCertSign == 0 {
		t.Errorf("not an authority for servers and clients: CA %v, path length zero %v, usage %b", cert.IsCA, cert.MaxPathLenZero, cert.KeyUsage)
	}
	if got := cert.NotAfter; !got.Equal(noon.Add(devca.CAValidity)) {
		t.Errorf("valid until %v, want a year after %v", got, noon)
	}
	if cert.NotBefore.After(noon) {
		t.Errorf("valid from %v, after it was made", cert.NotBefore)
	}
	if ca.CertFile() != filepath.Join(ca.Dir(), "ca.crt") {
		t.Errorf("CertFile() = %s", ca.CertFile())
	}
	other := pair(t, newCA(t), "ca")
	if other.SerialNumber.Cmp(cert.SerialNumber) == 0 || other.Subject.CommonName == cert.Subject.CommonName {
		t.Error("two authorities share a serial number or a name")
	}
}

func TestModes(t *testing.T) {
	ca := newCA(t)
	if err := errors.Join(ca.IssueServer("server", []string{"localhost"}), ca.IssueClient("shop", "spiffe://example.org/shop")); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(ca.Dir())
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]fs.FileMode{}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		got[e.Name()] = info.Mode()
	}
	want := map[string]fs.FileMode{
		"ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": 0o600, "shop.crt": 0o644, "shop.key": 0o600,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("files and modes (-want +got):\n%s", diff)
	}
}

func TestCreateNeverReplaces(t *testing.T) {
	for _, present := range [][]string{{"ca.crt"}, {"ca.key"}, {"ca.crt", "ca.key"}} {
		t.Run(strings.Join(present, "+"), func(t *testing.T) {
			dir := t.TempDir()
			for _, name := range present {
				write(t, filepath.Join(dir, name), "precious", 0o600)
			}
			if _, err := devca.Create(dir); !errors.Is(err, devca.ErrExists) {
				t.Errorf("err = %v, want ErrExists", err)
			}
			entries, err := os.ReadDir(dir)
			if err != nil || len(entries) != len(present) {
				t.Errorf("%d files, want %d; %v", len(entries), len(present), err)
			}
			for _, name := range present {
				if text, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(text) != "precious" {
					t.Errorf("%s was changed; %v", name, err)
				}
			}
		})
	}
}

func TestOpen(t *testing.T) {
	ca := newCA(t)
	again, err := devca.OpenAt(ca.Dir(), at(noon))
	if err != nil {
		t.Fatal(err)
	}
	if err := again.IssueServer("server", []string{"localhost"}); err != nil {
		t.Fatal(err)
	}
	if err := verify(t, ca, pair(t, ca, "server"), x509.ExtKeyUsageServerAuth, noon); err != nil {
		t.Errorf("a certificate of the reopened authority does not verify: %v", err)
	}
	if err := os.Chmod(filepath.Join(ca.Dir(), "ca.key"), 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := devca.Open(ca.Dir()); err != nil {
		t.Errorf("with mode 0400: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, cert, key string)
		want  error
	}{
		"no certificate":        {func(t *testing.T, cert, _ string) { remove(t, cert) }, devca.ErrNotFound},
		"no key":                {func(t *testing.T, _, key string) { remove(t, key) }, devca.ErrNotFound},
		"key readable by group": {func(t *testing.T, _, key string) { chmod(t, key, 0o640) }, devca.ErrDenied},
		"key readable by all":   {func(t *testing.T, _, key string) { chmod(t, key, 0o604) }, devca.ErrDenied},
		"key of another":        {func(t *testing.T, _, key string) { exchange(t, key, "ca.key") }, devca.ErrDamaged},
		"certificate of a leaf": {func(t *testing.T, cert, _ string) { exchange(t, cert, "server.crt") }, devca.ErrDamaged},
		"certificate is a text": {func(t *testing.T, cert, _ string) { write(t, cert, "hello", 0o644) }, devca.ErrDamaged},
		"key is a text":         {func(t *testing.T, _, key string) { write(t, key, "hello", 0o600) }, devca.ErrDamaged},
		"key is a certificate":  {func(t *testing.T, cert, key string) { copyFile(t, cert, key) }, devca.ErrDamaged},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ca := newCA(t)
			test.spoil(t, filepath.Join(ca.Dir(), "ca.crt"), filepath.Join(ca.Dir(), "ca.key"))
			if _, err := devca.Open(ca.Dir()); !errors.Is(err, test.want) {
				t.Errorf("err = %v, want %v", err, test.want)
			}
		})
	}
}

func TestIssueServer(t *testing.T) {
	ca := newCA(t)
	if err := ca.IssueServer("server", []string{"localhost", "127.0.0.1", "vault.example.org", "::1"}); err != nil {
		t.Fatal(err)
	}
	leaf := pair(t, ca, "server")
	if want := []string{"localhost", "vault.example.org"}; !slices.Equal(leaf.DNSNames, want) {
		t.Errorf("DNS names %v, want %v", leaf.DNSNames, want)
	}
	if len(leaf.IPAddresses) != 2 || !leaf.IPAddresses[0].Equal(net.IPv4(127, 0, 0, 1)) || !leaf.IPAddresses[1].Equal(net.IPv6loopback) {
		t.Errorf("IP addresses %v", leaf.IPAddresses)
	}
	if err := verify(t, ca, leaf, x509.ExtKeyUsageServerAuth, noon); err != nil {
		t.Errorf("as a server: %v", err)
	}
	if err := verify(t, ca, leaf, x509.ExtKeyUsageClientAuth, noon); err == nil {
		t.Error("a server certificate verifies as a client's")
	}
	if leaf.IsCA {
		t.Error("the certificate is an authority")
	}
}

func TestIssueClient(t *testing.T) {
	ca := newCA(t)
	if err := ca.IssueClient("shop", "spiffe://cloakroom.example/shop"); err != nil {
		t.Fatal(err)
	}
	leaf := pair(t, ca, "shop")
	if len(leaf.URIs) != 1 || leaf.URIs[0].String() != "spiffe://cloakroom.example/shop" {
		t.Errorf("URI names %v, want exactly the SPIFFE ID", leaf.URIs)
	}
	if len(leaf.DNSNames)+len(leaf.IPAddresses)+len(leaf.EmailAddresses) != 0 {
		t.Error("the certificate has other names too")
	}
	if err := verify(t, ca, leaf, x509.ExtKeyUsageClientAuth, noon); err != nil {
		t.Errorf("as a client: %v", err)
	}
	if err := verify(t, ca, leaf, x509.ExtKeyUsageServerAuth, noon); err == nil {
		t.Error("a client certificate verifies as a server's")
	}
}

func TestValidity(t *testing.T) {
	ca := newCA(t)
	tests := map[string]struct {
		now, until time.Time
		want       error
	}{
		"first day":         {noon, noon.Add(devca.LeafValidity), nil},
		"near the CA's end": {noon.Add(devca.CAValidity - time.Hour), noon.Add(devca.CAValidity), nil},
		"after the CA's":    {noon.Add(devca.CAValidity), time.Time{}, devca.ErrExpired},
		"before the CA's":   {noon.Add(-time.Hour), time.Time{}, devca.ErrExpired},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ca, err := devca.OpenAt(ca.Dir(), at(test.now))
			if err != nil {
				t.Fatal(err)
			}
			err = ca.IssueClient("shop", "spiffe://example.org/shop")
			if !errors.Is(err, test.want) {
				t.Fatalf("err = %v, want %v", err, test.want)
			}
			if err == nil {
				if leaf := pair(t, ca, "shop"); !leaf.NotAfter.Equal(test.until) {
					t.Errorf("valid until %v, want %v", leaf.NotAfter, test.until)
				}
			}
		})
	}
}

func TestIssueReplaces(t *testing.T) {
	ca := newCA(t)
	var serials []string
	for range 2 {
		if err := ca.IssueServer("server", []string{"localhost"}); err != nil {
			t.Fatal(err)
		}
		serials = append(serials, pair(t, ca, "server").SerialNumber.String())
	}
	if serials[0] == serials[1] {
		t.Error("the second certificate has the serial number of the first")
	}
}

func TestNames(t *testing.T) {
	ca := newCA(t)
	server := func(name string, hosts ...string) error { return ca.IssueServer(name, hosts) }
	tests := map[string]error{
		"the authority's":       server("ca", "localhost"),
		"empty":                 server("", "localhost"),
		"leaves the directory":  server("../x", "localhost"),
		"hidden":                server(".x", "localhost"),
		"too long":              server(strings.Repeat("x", 65), "localhost"),
		"no host":               server("x"),
		"empty host":            server("x", ""),
		"host with a port":      server("x", "localhost:7411"),
		"host in upper case":    server("x", "Localhost"),
		"no id":                 ca.IssueClient("x", ""),
		"id of a web page":      ca.IssueClient("x", "https://example.org/x"),
		"id of a DNS name":      ca.IssueClient("x", "dns:example.org"),
		"id without a path":     ca.IssueClient("x", "spiffe://example.org"),
		"id with a port":        ca.IssueClient("x", "spiffe://example.org:1/x"),
		"id with a query":       ca.IssueClient("x", "spiffe://example.org/x?y"),
		"id with an empty part": ca.IssueClient("x", "spiffe://example.org//x"),
	}
	for name, err := range tests {
		if !errors.Is(err, devca.ErrName) {
			t.Errorf("%s: err = %v, want ErrName", name, err)
		}
	}
	if entries, err := os.ReadDir(ca.Dir()); err != nil || len(entries) != 2 {
		t.Errorf("%d files after refusals, want ca.crt and ca.key; %v", len(entries), err)
	}
	if err := server(strings.Repeat("x", 64), "*.example.org"); err != nil {
		t.Errorf("a name of 64 characters and a wildcard host: %v", err)
	}
}
