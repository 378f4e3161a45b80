package cloakroom_test

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

// clock is a clock that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) forward(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// restart ends the server and all connections, and serves again at the same
// address with a certificate of authority.
func restart(t *testing.T, s *fakeserver.Server, authority *fakeserver.Authority) {
	t.Helper()
	s.Stop()
	listener, err := net.Listen("tcp", s.Address)
	if err != nil {
		t.Fatal(err)
	}
	s.Serve(t, listener, authority)
}

func TestTLSFilesAreReadAgain(t *testing.T) {
	s := fakeserver.Start(t)
	dir := t.TempDir()
	ca, cert, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "c.pem"), filepath.Join(dir, "c.key")
	age := time.Now().Add(-time.Hour)
	write := func(a *fakeserver.Authority, name string) {
		a.WriteCA(t, ca)
		a.WriteClient(t, name, cert, key)
		age = age.Add(time.Minute) // the files differ in time, however fast the test is
		for _, file := range []string{ca, cert, key} {
			if err := os.Chtimes(file, age, age); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(s.Authority, "first")

	c := &clock{now: time.Now()}
	var reports []error // written during handshakes, read after the calls that made them
	var mu sync.Mutex
	client, err := cloakroom.Dial(s.Address, cloakroom.WithTLSFiles(ca, cert, key), cloakroom.WithClock(c.Now),
		cloakroom.WithRetry(20, 10*time.Millisecond),
		cloakroom.WithReloadErrors(func(err error) { mu.Lock(); reports = append(reports, err); mu.Unlock() }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	expect := func(step, want string) {
		t.Helper()
		if me, err := client.WhoAmI(t.Context()); err != nil || me.Principal != want {
			t.Fatalf("%s: %q, %v; want %q", step, me.Principal, err, want)
		}
	}
	expect("at first", "first")

	other := fakeserver.NewAuthority(t)
	write(other, "second")
	restart(t, s, other)
	c.forward(2 * time.Second)
	expect("after the CA and the certificate changed", "second")

	if err := os.WriteFile(cert, []byte("half a fi"), 0o600); err != nil {
		t.Fatal(err)
	}
	restart(t, s, other)
	c.forward(2 * time.Second)
	expect("with a broken certificate file", "second")
	mu.Lock()
	if len(reports) == 0 || !strings.Contains(reports[0].Error(), cert) {
		t.Errorf("reports %v do not name the file", reports)
	}
	mu.Unlock()

	write(other, "third")
	restart(t, s, other)
	expect("within the second in which they were looked at", "second")
	restart(t, s, other)
	c.forward(2 * time.Second)
	expect("with good files again", "third")
}

func TestTLSFilesThatCannotBeUsed(t *testing.T) {
	s := fakeserver.Start(t)
	dir := t.TempDir()
	garbage, gone, strange := filepath.Join(dir, "garbage"), filepath.Join(dir, "gone"), filepath.Join(dir, "other.key")
	if err := os.WriteFile(garbage, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Authority.WriteClient(t, "other", filepath.Join(dir, "other.pem"), strange)
	for _, tc := range []struct{ name, ca, cert, key, what, file string }{
		{"no CA", gone, s.Cert, s.Key, "CA", gone},
		{"no certificate", s.CA, gone, s.Key, "certificate", gone},
		{"no key", s.CA, s.Cert, gone, "key", gone},
		{"CA is not PEM", garbage, s.Cert, s.Key, "CA", garbage},
		{"certificate is not PEM", s.CA, garbage, s.Key, "certificate and key", garbage},
		{"key of another", s.CA, s.Cert, strange, "certificate and key", s.Cert},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := cloakroom.Dial(s.Address, cloakroom.WithTLSFiles(tc.ca, tc.cert, tc.key))
			var file *cloakroom.TLSFileError
			if !errors.As(err, &file) || file.What != tc.what || file.File != tc.file {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestOtherServersAreNotTrusted(t *testing.T) {
	s := fakeserver.Start(t)
	for _, tc := range []struct {
		name    string
		options []cloakroom.Option
	}{
		{"another CA", []cloakroom.Option{cloakroom.WithTLSConfig(fakeserver.NewAuthority(t).TLSConfig(t, "x"))}},
		{"another name", []cloakroom.Option{cloakroom.WithTLSFiles(s.CA, s.Cert, s.Key), cloakroom.WithServerName("vault.example")}},
		{"no TLS by the back door", []cloakroom.Option{cloakroom.WithTLSConfig(fakeserver.NewAuthority(t).TLSConfig(t, "x")),
			cloakroom.WithDialOptions(grpc.WithTransportCredentials(insecure.NewCredentials()))}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			client, err := cloakroom.Dial(s.Address, append(tc.options, cloakroom.WithRetry(1, time.Second))...)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			if _, err := client.WhoAmI(t.Context()); !errors.Is(err, cloakroom.ErrUnavailable) || !strings.Contains(err.Error(), "x509") {
				t.Errorf("error %v, want a refused certificate", err)
			}
		})
	}
	client, err := cloakroom.Dial(s.Address, cloakroom.WithTLSConfig(s.Authority.TLSConfig(t, "config")), cloakroom.WithServerName("localhost"))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if me, err := client.WhoAmI(t.Context()); err != nil || me.Principal != "config" {
		t.Errorf("the right CA and name: %q, %v", me.Principal, err)
	}
}

func TestDialRefuses(t *testing.T) {
	good := cloakroom.WithTLSConfig(&tls.Config{})
	for _, tc := range []struct {
		name    string
		options []cloakroom.Option
		want    string
	}{
		{"no TLS", nil, "no TLS"},
		{"both kinds of TLS", []cloakroom.Option{good, cloakroom.WithTLSFiles("a", "b", "c")}, "exclude each other"},
		{"unverified server", []cloakroom.Option{cloakroom.WithTLSConfig(&tls.Config{InsecureSkipVerify: true})}, "accepts any server"},
		{"nil config", []cloakroom.Option{cloakroom.WithTLSConfig(nil)}, "no config"},
		{"no attempts", []cloakroom.Option{good, cloakroom.WithRetry(0, time.Second)}, "WithRetry"},
		{"no backoff", []cloakroom.Option{good, cloakroom.WithRetry(2, 0)}, "WithRetry"},
		{"negative timeout", []cloakroom.Option{good, cloakroom.WithTimeout(-1), cloakroom.WithRetry(0, 1)}, "WithTimeout"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if _, err := cloakroom.Dial("localhost:1", tc.options...); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("error %v, want %q", err, tc.want)
			}
		})
	}
}
