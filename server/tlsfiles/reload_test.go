package tlsfiles_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
)

func TestReloadAtMostOnceASecond(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	first := p.serial(t, server)
	if err := p.ca.IssueServer("server", []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	p.pass(tlsfiles.Recheck - time.Nanosecond)
	if p.serial(t, server) != first {
		t.Error("the files were looked at again within a second")
	}
	p.pass(time.Nanosecond)
	second := p.serial(t, server)
	if second == first {
		t.Error("the new certificate is not in use after a second")
	}
	if log := p.log.String(); strings.Count(log, "are in use") != 1 || strings.Contains(log, "level=ERROR") {
		t.Errorf("want one line about the reload, got:\n%s", log)
	}
}

func TestReloadAfterTheClockWasSetBack(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	p.pass(10 * time.Hour)
	first := p.serial(t, server) // looks ten hours ahead
	if err := p.ca.IssueServer("server", []string{"127.0.0.1"}); err != nil {
		t.Fatal(err)
	}
	p.pass(-9 * time.Hour)
	if p.serial(t, server) == first {
		t.Error("no look until the clock has caught up")
	}
}

func TestClientAuthorityReplaced(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	shop := p.client(t, p.ca, "shop")
	shop.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	for i := range 2 {
		seen, _, err := handshake(t, server, shop)
		if err != nil {
			t.Fatal(err)
		}
		if seen.DidResume {
			t.Errorf("handshake %d resumed a session", i)
		}
	}
	other := newCA(t)
	copyFile(t, other.CertFile(), p.cas)
	p.pass(tlsfiles.Recheck)
	if _, _, err := handshake(t, server, shop); err == nil {
		t.Error("a client of the removed authority is accepted")
	}
	if _, _, err := handshake(t, server, p.client(t, other, "shop")); err != nil {
		t.Errorf("a client of the new authority: %v", err)
	}
	// Both at once, as during a change of authority.
	write(t, p.cas, append(read(t, p.ca.CertFile()), read(t, other.CertFile())...), 0o644)
	p.pass(tlsfiles.Recheck)
	for name, client := range map[string]*tls.Config{"first": shop, "second": p.client(t, other, "shop")} {
		if _, _, err := handshake(t, server, client); err != nil {
			t.Errorf("a client of the %s of two authorities: %v", name, err)
		}
	}
}

func TestBrokenFilesKeepTheFormer(t *testing.T) {
	tests := map[string]struct {
		spoil func(t *testing.T, p *place)
		says  string
	}{
		"certificate is a text": {func(t *testing.T, p *place) { write(t, p.cert, []byte("hello"), 0o644) }, "wrong content"},
		"certificate is gone":   {func(t *testing.T, p *place) { remove(t, p.cert) }, "does not exist"},
		"certificate is cut": {func(t *testing.T, p *place) {
			whole := read(t, p.cert)
			write(t, p.cert, whole[:len(whole)/2], 0o644)
		}, "not whole"},
		"new key, old certificate": {func(t *testing.T, p *place) { copyFile(t, p.path("shop.key"), p.key) }, "not the key"},
		"key is open to the group": {func(t *testing.T, p *place) {
			if err := os.Chmod(p.key, 0o640); err != nil {
				t.Fatal(err)
			}
		}, "0640"},
		"key is cut": {func(t *testing.T, p *place) {
			whole := read(t, p.key)
			write(t, p.key, whole[:len(whole)/2], 0o600)
		}, "no unencrypted private key"},
		"key in place of the certificate": {func(t *testing.T, p *place) { copyFile(t, p.key, p.cert) }, "not a certificate"},
		"authorities are empty":           {func(t *testing.T, p *place) { write(t, p.cas, nil, 0o644) }, "no certificate"},
		"authorities hold a leaf":         {func(t *testing.T, p *place) { copyFile(t, p.path("shop.crt"), p.cas) }, "not an authority's"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPlace(t)
			key := read(t, p.key)
			server := p.open(t)
			first := p.serial(t, server)
			test.spoil(t, p)
			for range 3 { // said once, however many handshakes come
				p.pass(tlsfiles.Recheck)
				if p.serial(t, server) != first {
					t.Fatal("the former certificate is not in force any more")
				}
			}
			log := p.log.String()
			if strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, test.says) {
				t.Errorf("want one error that says %q, got:\n%s", test.says, log)
			}
			if holdsKey(log, key) {
				t.Error("the log holds a part of the key")
			}
			if err := p.ca.IssueServer("server", []string{"127.0.0.1"}); err != nil {
				t.Fatal(err)
			}
			copyFile(t, p.ca.CertFile(), p.cas)
			p.pass(tlsfiles.Recheck)
			if p.serial(t, server) == first {
				t.Error("the repaired files are not in use")
			}
		})
	}
}

// A fault may go by itself: nothing but the time changes here.
func TestCertificateOfTheFuture(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	first := p.serial(t, server)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	future := selfSigned(t, p.clock().Add(2*time.Hour), key.Public(), key) // valid in an hour
	write(t, p.cert, future, 0o644)
	write(t, p.key, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), 0o600)
	p.pass(tlsfiles.Recheck)
	if p.serial(t, server) != first {
		t.Error("a certificate is in use before its time")
	}
	p.pass(time.Hour)
	client := p.client(t, p.ca, "shop")
	client.RootCAs.AppendCertsFromPEM(future)
	client.Time = p.clock
	if _, leaf, err := handshake(t, server, client); err != nil || leaf.SerialNumber.Int64() != 1 {
		t.Errorf("the certificate is not in use when its time has come: %v", err)
	}
}

// Handshakes while the files change all see one whole set of files.
func TestHandshakesDuringReloads(t *testing.T) {
	p := newPlace(t)
	server := p.open(t)
	client := p.client(t, p.ca, "shop")
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for range 10 {
				if _, _, err := handshake(t, server, client); err != nil {
					t.Errorf("handshake: %v", err)
				}
			}
		})
	}
	for range 20 {
		p.pass(tlsfiles.Recheck)
		if err := p.ca.IssueServer("server", []string{"127.0.0.1"}); err != nil {
			t.Error(err)
		}
	}
	all.Wait()
}

func remove(t *testing.T, path string) {
	t.Helper()
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
}
