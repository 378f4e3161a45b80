package tlsfiles_test

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/devca"
	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A place is a directory with an authority, a server's and a client's files,
// and a clock and a log for what reads them.
type place struct {
	ca             *devca.CA
	cert, key, cas string
	mu             sync.Mutex // guards now
	now            time.Time
	log            lockedBuffer
}

func newPlace(t *testing.T) *place {
	t.Helper()
	ca := newCA(t)
	p := &place{ca: ca, now: time.Now()}
	p.cert, p.key, p.cas = p.path("server.crt"), p.path("server.key"), p.path("clients.crt")
	copyFile(t, ca.CertFile(), p.cas)
	return p
}

// newCA makes an authority with a server "server" and a client "shop".
func newCA(t *testing.T) *devca.CA {
	t.Helper()
	ca, err := devca.Create(t.TempDir())
	if err == nil {
		err = errors.Join(ca.IssueServer("server", []string{"127.0.0.1"}), ca.IssueClient("shop", "spiffe://example.org/shop"))
	}
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func (p *place) path(name string) string { return filepath.Join(p.ca.Dir(), name) }

func (p *place) clock() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

func (p *place) pass(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = p.now.Add(d)
}

func (p *place) open(t *testing.T) *tls.Config {
	t.Helper()
	logger := slog.New(slog.NewTextHandler(&p.log, nil))
	files, err := tlsfiles.Open(p.cert, p.key, p.cas, logger, tlsfiles.WithClock(p.clock))
	if err != nil {
		t.Fatal(err)
	}
	return files.ServerConfig()
}

// client returns the configuration of a client that trusts the authority.
func (p *place) client(t *testing.T, ca *devca.CA, name string) *tls.Config {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(read(t, p.ca.CertFile()))
	config := &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{"h2"}}
	if name != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(ca.Dir(), name+".crt"), filepath.Join(ca.Dir(), name+".key"))
		if err != nil {
			t.Fatal(err)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	return config
}

// handshake connects over loopback and returns what the server saw, and the
// client's view of the server's certificate.
func handshake(t *testing.T, server, client *tls.Config) (seen tls.ConnectionState, leaf *x509.Certificate, err error) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	finished := make(chan error, 1)
	go func() {
		raw, err := listener.Accept()
		if err != nil {
			finished <- err
			return
		}
		conn := tls.Server(raw, server)
		_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
		err = conn.Handshake()
		seen = conn.ConnectionState()
		if err == nil {
			_, err = conn.Write([]byte("x"))
		}
		finished <- errors.Join(err, raw.Close())
	}()
	raw, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn := tls.Client(raw, client)
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, clientErr := io.ReadAll(conn) // reads tickets too, were there any
	_ = raw.Close()
	serverErr := <-finished
	if serverErr == nil && clientErr != nil && !errors.Is(clientErr, io.ErrUnexpectedEOF) {
		t.Fatalf("the server is content and the client is not: %v", clientErr)
	}
	if state := conn.ConnectionState(); len(state.PeerCertificates) > 0 {
		leaf = state.PeerCertificates[0]
	}
	return seen, leaf, serverErr
}

// serial returns the serial number that a new handshake of shop is shown.
func (p *place) serial(t *testing.T, server *tls.Config) string {
	t.Helper()
	_, leaf, err := handshake(t, server, p.client(t, p.ca, "shop"))
	if err != nil {
		t.Fatalf("handshake: %v", err)
	}
	return leaf.SerialNumber.String()
}

// selfSigned makes a server certificate in PEM with the serial number 1, valid
// from an hour before now to an hour after.
func selfSigned(t *testing.T, now time.Time, public, private any) []byte {
	t.Helper()
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: now.Add(-time.Hour), NotAfter: now.Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}

func copyFile(t *testing.T, from, to string) { t.Helper(); write(t, to, read(t, from), 0o600) }

func read(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// write replaces a file like a certificate manager does, whole.
func write(t *testing.T, path string, content []byte, mode fs.FileMode) {
	t.Helper()
	fresh := path + ".new"
	if err := errors.Join(os.WriteFile(fresh, content, 0o600), os.Chmod(fresh, mode), os.Rename(fresh, path)); err != nil {
		t.Fatal(err)
	}
}

// holdsKey reports whether a text holds a line of a key file.
func holdsKey(text string, key []byte) bool {
	for line := range strings.Lines(string(key)) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "-----") && strings.Contains(text, line) {
			return true
		}
	}
	return false
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
