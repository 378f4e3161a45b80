package server_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"net/url"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"

	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// rig is a vault in memory behind a server, with faults that tests can set.
type rig struct {
	*vaulttest.Harness
	Server  *server.Server
	Faults  *faults
	Logs    *logs
	address string
	ca      *authority
	tree    *publishedLog
}

// publishedLog is the rig's log with a tree, once it is published.
type publishedLog struct {
	*audit.MemoryLog
	tree atomic.Pointer[tree.Publisher]
}

func (l *publishedLog) Published() (*tree.Checkpoint, error) {
	if p := l.tree.Load(); p != nil {
		return p.Last(), p.Err()
	}
	return nil, nil
}

func (l *publishedLog) Proofs() (*tree.Reader, error) {
	if p := l.tree.Load(); p != nil {
		return p.Reader(), nil
	}
	return nil, audit.ErrNotPublished
}

// publish publishes the log and returns when there is a checkpoint.
func (r *rig) publish(t *testing.T) {
	t.Helper()
	signers, err := r.Vault.AuditSigners()
	if err != nil {
		t.Fatal(err)
	}
	p, err := tree.Start(t.Context(), filepath.Join(t.TempDir(), "tlog"), r.Log, signers, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	r.tree.tree.Store(p)
	for tick := time.NewTicker(10 * time.Millisecond); p.Last() == nil; <-tick.C {
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// newRig serves a vault with testPolicy in force. It ends with the test, the
// server before the vault.
func newRig(t *testing.T, configure ...func(*server.Options)) *rig {
	t.Helper()
	r := &rig{Harness: vaulttest.New(t), Faults: &faults{}, Logs: &logs{}, ca: newAuthority(t)}
	r.Apply(testPolicy)
	r.tree = &publishedLog{MemoryLog: r.Log}
	r.WrapLog = func(audit.Log) audit.Log { return r.tree }
	r.Wrap = func(s store.Store) store.Store { return faulty{s, r.Faults} }
	r.Logger = slog.New(slog.NewTextHandler(r.Logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	r.Reopen()
	o := server.Options{TLS: r.serverTLS(t), Logger: r.Logger}
	for _, f := range configure {
		f(&o)
	}
	var err error
	if r.Server, err = server.New(r.Vault, o); err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r.address = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- r.Server.Serve(l) }()
	t.Cleanup(func() {
		r.Faults.set(fault{})
		r.Log.Release()
		r.Server.Stop(0)
		if err := <-served; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return r
}

func (r *rig) serverTLS(t *testing.T) *tls.Config {
	return &tls.Config{
		Certificates: []tls.Certificate{r.ca.issue(t, &x509.Certificate{IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}})},
		ClientAuth:   tls.RequireAndVerifyClientCert,
		ClientCAs:    r.ca.pool,
		MinVersion:   tls.VersionTLS13,
	}
}

// as connects with a certificate of a SPIFFE ID.
func (r *rig) as(t *testing.T, who string) *grpc.ClientConn {
	t.Helper()
	return r.with(t, r.ca.issue(t, &x509.Certificate{URIs: uris(t, who)}))
}

// with connects with any certificate.
func (r *rig) with(t *testing.T, certificates ...tls.Certificate) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(r.address, grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{
		Certificates: certificates, RootCAs: r.ca.pool, MinVersion: tls.VersionTLS12,
	})))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func uris(t *testing.T, texts ...string) []*url.URL {
	t.Helper()
	var out []*url.URL
	for _, text := range texts {
		u, err := url.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, u)
	}
	return out
}

// authority signs certificates that a careful one would not.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pool *x509.CertPool
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{key: newKey(t), pool: x509.NewCertPool()}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test CA"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	a.cert = sign(t, template, template, &a.key.PublicKey, a.key)
	a.pool.AddCert(a.cert)
	return a
}

// issue signs a template; what it leaves open gets usual values.
func (a *authority) issue(t *testing.T, template *x509.Certificate) tls.Certificate {
	t.Helper()
	key := newKey(t)
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotAfter = time.Now().Add(time.Hour)
	}
	template.NotBefore = template.NotAfter.Add(-2 * time.Hour)
	template.KeyUsage = x509.KeyUsageDigitalSignature
	if template.ExtKeyUsage == nil {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
	}
	leaf := sign(t, template, a.cert, &key.PublicKey, a.key)
	return tls.Certificate{Certificate: [][]byte{leaf.Raw}, PrivateKey: key, Leaf: leaf}
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func sign(t *testing.T, template, parent *x509.Certificate, public *ecdsa.PublicKey, key *ecdsa.PrivateKey) *x509.Certificate {
	t.Helper()
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}

// fault says what a store does wrong. The zero fault is none.
type fault struct {
	get    func() error // before every read
	commit func() error // before every commit
}

type faults struct {
	mu  sync.Mutex
	now fault
}

func (f *faults) set(now fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.now = now
}

func (f *faults) current() fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.now
}

// faulty is a store with faults.
type faulty struct {
	store.Store
	faults *faults
}

func (s faulty) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	if f := s.faults.current().get; f != nil {
		if err := f(); err != nil {
			return err
		}
	}
	return s.Store.Get(ctx, keys, out)
}

func (s faulty) Commit(ctx context.Context, b *store.Batch) error {
	if f := s.faults.current().commit; f != nil {
		if err := f(); err != nil {
			return err
		}
	}
	return s.Store.Commit(ctx, b)
}

// logs keeps what the server logs.
type logs struct {
	mu  sync.Mutex
	all bytes.Buffer
}

// Write implements io.Writer.
func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all.String()
}
