// Package cloakroomtest runs a real vault for the tests of programs that use
// the client: all rules, keys and decisions are those of the product, over
// mTLS on loopback; only the engines keep their data in memory.
//
// It is the one package among the clients that links the vault itself. Import
// it in tests only; example_test.go is such a test.
package cloakroomtest

import (
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"sync"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/server/devca"
	"github.com/cloakroom-vault/cloakroom/server/tlsfiles"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Administrator is the principal who may apply policies. A policy given to New
// must keep it (or another) able to.
const Administrator = "spiffe://cloakroom.example/admin"

// Server is a running vault.
type Server struct {
	// Address is where it listens.
	Address string
	// Log holds the audit entries; Log.Fail makes the log unwritable.
	Log *audit.MemoryLog

	t     testing.TB
	certs string
	ca    *devca.CA

	mu     sync.Mutex
	issued map[string]string // certificate names by principal
}

// New starts a vault with a policy document in force; an empty one leaves the
// vault without a policy. It ends with the test.
func New(t testing.TB, policy []byte) *Server {
	t.Helper()
	s := &Server{t: t, Log: audit.Memory(), issued: make(map[string]string)}
	v := s.vault()
	s.serve(v)
	if len(policy) > 0 {
		if _, err := s.Client(Administrator).ApplyPolicy(t.Context(), policy); err != nil {
			t.Fatalf("cloakroomtest: apply the policy: %v", err)
		}
	}
	return s
}

// Client connects as a principal, a SPIFFE ID. The connection ends with the
// test.
func (s *Server) Client(principal string, options ...cloakroom.Option) *cloakroom.Client {
	s.t.Helper()
	c, err := cloakroom.Dial(s.Address, append([]cloakroom.Option{s.TLS(principal)}, options...)...)
	if err != nil {
		s.t.Fatalf("cloakroomtest: connect: %v", err)
	}
	s.t.Cleanup(func() { _ = c.Close() })
	return c
}

// TLS returns the client option with a certificate of a principal.
func (s *Server) TLS(principal string) cloakroom.Option {
	s.t.Helper()
	ca, cert, key := s.Files(principal)
	return cloakroom.WithTLSFiles(ca, cert, key)
}

// Files returns the paths of the CA's certificate and of a certificate and key
// of a principal, for programs that take paths.
func (s *Server) Files(principal string) (ca, cert, key string) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	name, ok := s.issued[principal]
	if !ok {
		name = fmt.Sprintf("client-%d", len(s.issued))
		if err := s.ca.IssueClient(name, principal); err != nil {
			s.t.Fatalf("cloakroomtest: certificate: %v", err)
		}
		s.issued[principal] = name
	}
	return filepath.Join(s.certs, "ca.crt"), filepath.Join(s.certs, name+".crt"), filepath.Join(s.certs, name+".key")
}

// vault makes and opens a vault in memory.
func (s *Server) vault() *vault.Vault {
	s.t.Helper()
	dir := s.t.TempDir()
	must := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatalf("cloakroomtest: %v", err)
		}
	}
	kekFile := filepath.Join(dir, "kek.key")
	must(filekek.Generate(kekFile))
	kek, err := filekek.Open(kekFile)
	must(err)
	epochs, err := filekek.CreateEpochs(filepath.Join(dir, "epochs"))
	must(err)
	values := lasting{memstore.New(rows.ValueTables())}
	o := vault.Options{
		Keys:   memstore.New(rows.KeyTables()),
		Values: func(vault.Sealer) (store.Store, error) { return values, nil },
		KEK:    kek, Epochs: epochs, Log: s.Log,
	}
	must(vault.Create(s.t.Context(), o, Administrator))
	v, err := vault.Open(s.t.Context(), o)
	must(err)
	s.t.Cleanup(func() { _ = v.Close() })
	return v
}

// serve answers on loopback until the test ends.
func (s *Server) serve(v *vault.Vault) {
	s.t.Helper()
	s.certs = s.t.TempDir()
	fatal := func(what string, err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatalf("cloakroomtest: %s: %v", what, err)
		}
	}
	var err error
	s.ca, err = devca.Create(s.certs)
	fatal("development CA", err)
	fatal("server certificate", s.ca.IssueServer("server", []string{"127.0.0.1"}))
	logger := slog.New(slog.DiscardHandler)
	files, err := tlsfiles.Open(filepath.Join(s.certs, "server.crt"), filepath.Join(s.certs, "server.key"), filepath.Join(s.certs, "ca.crt"), logger)
	fatal("TLS", err)
	srv, err := server.New(v, server.Options{TLS: files.ServerConfig(), Reflection: true, Logger: logger})
	fatal("server", err)
	l, err := new(net.ListenConfig).Listen(s.t.Context(), "tcp", "127.0.0.1:0")
	fatal("listen", err)
	s.Address = l.Addr().String()
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = srv.Serve(l)
	}()
	s.t.Cleanup(func() {
		srv.Stop(0)
		<-done
	})
}

// lasting keeps an engine in memory open after the vault that made it closed
// it, as a file outlives its handle.
type lasting struct{ store.Store }

// Close does nothing.
func (lasting) Close() error { return nil }
