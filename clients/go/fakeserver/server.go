// Package fakeserver is a stand-in of a vault for the tests of the clients. It
// speaks the whole contract over mutual TLS on the loopback interface, counts
// and records calls, and fails when told to.
//
// It keeps values in clear in memory, writes no audit and decides by a fixed
// table, so it says nothing about the vault. It is imported by tests only.
//
// It knows one collection, "customers" (see Fields), and these purposes:
// "order_updates" (every view), "support" (masked only) and "marketing" (no
// consent on record). Its policy is any document; one that contains
// "mistake" is refused with two violations. The principal is the common name of
// the client's certificate, and its roles in the audit log are its own name.
//
// Its audit log is a real tree with real signatures, under a key that is always
// the same, and lies when told to; entries are encoded as a vault encodes them
// (see package auditentry). The policy names a principal or a role when its text
// contains the name; Freeze and Exposure look at that.
//
// Its keys have versions, states and counts and no material. Work on them goes
// on while it is watched until it is idle, a quarter at a time.
package fakeserver

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/protobuf/proto"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// Server is a running stand-in.
type Server struct {
	// Address is its "host:port".
	Address string
	// Authority signed its certificate and is the one whose clients it takes.
	Authority *Authority
	// CA, Cert and Key are files that a client can use; its common name is
	// "tester".
	CA, Cert, Key string
	// Health is what the health service answers from.
	Health *health.Server
	// Audit is the audit log. Only what tests append is in it.
	Audit *AuditLog

	grpc    *grpc.Server
	streams sync.WaitGroup // the open ones

	mu       sync.Mutex // guards what follows
	called   *sync.Cond // of mu: calls has changed
	calls    map[string]int
	received map[string][]proto.Message
	faults   map[string][]fault
	answers  map[string]answered
	people   []*person // in the order in which they came
	byID     map[string]*person
	byToken  map[string]place
	policies []policyVersion
	revision int
	incidents
	keyring
}

// answered remembers a write by its request id.
type answered struct{ request, response proto.Message }

// Start starts a stand-in that ends with the test.
func Start(tb testing.TB) *Server {
	tb.Helper()
	authority := NewAuthority(tb)
	dir := tb.TempDir()
	s := &Server{
		Authority: authority,
		CA:        filepath.Join(dir, "ca.pem"),
		Cert:      filepath.Join(dir, "client.pem"),
		Key:       filepath.Join(dir, "client.key"),
		Health:    health.NewServer(),
		Audit:     newAuditLog(tb),
		calls:     map[string]int{},
		received:  map[string][]proto.Message{},
		faults:    map[string][]fault{},
		answers:   map[string]answered{},
		byID:      map[string]*person{},
		byToken:   map[string]place{},
		keyring:   newKeyring(),
	}
	s.called = sync.NewCond(&s.mu)
	authority.WriteCA(tb, s.CA)
	authority.WriteClient(tb, "tester", s.Cert, s.Key)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	s.Address = listener.Addr().String()
	s.Serve(tb, listener, authority)
	return s
}

// Serve serves on a listener with a certificate signed by authority, until the
// test ends or Stop is called. Start calls it.
func (s *Server) Serve(tb testing.TB, listener net.Listener, authority *Authority) {
	tb.Helper()
	clients := x509.NewCertPool()
	clients.AddCert(authority.certificate)
	s.grpc = grpc.NewServer(
		grpc.Creds(credentials.NewTLS(&tls.Config{
			MinVersion:   tls.VersionTLS13,
			Certificates: []tls.Certificate{authority.issue(tb, "localhost", x509.ExtKeyUsageServerAuth)},
			ClientAuth:   tls.RequireAndVerifyClientCert,
			ClientCAs:    clients,
		})),
		grpc.UnaryInterceptor(s.unary),
		grpc.StreamInterceptor(s.stream),
	)
	cloakroomv1.RegisterRecordServiceServer(s.grpc, records{Server: s})
	cloakroomv1.RegisterTokenServiceServer(s.grpc, tokens{Server: s})
	cloakroomv1.RegisterRevealServiceServer(s.grpc, reveals{Server: s})
	cloakroomv1.RegisterPolicyServiceServer(s.grpc, policies{Server: s})
	cloakroomv1.RegisterAuditServiceServer(s.grpc, audits{Server: s})
	cloakroomv1.RegisterIncidentServiceServer(s.grpc, responders{Server: s})
	cloakroomv1.RegisterKeyServiceServer(s.grpc, keyService{Server: s})
	grpc_health_v1.RegisterHealthServer(s.grpc, s.Health)

	server, done := s.grpc, make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	tb.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil && !errors.Is(err, grpc.ErrServerStopped) {
			tb.Error(err)
		}
	})
}

// Stop ends serving and closes every connection.
func (s *Server) Stop() { s.grpc.Stop() }

// Calls returns how often a method ("PutRecord") was called, failures included.
func (s *Server) Calls(method string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.calls[method]
}

// WaitForCall returns when a method was called at least once. It hangs when it
// never is.
func (s *Server) WaitForCall(method string) { s.WaitForCalls(method, 1) }

// WaitForCalls returns when a method was called at least n times. It hangs when
// it never is.
func (s *Server) WaitForCalls(method string, n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.calls[method] < n {
		s.called.Wait()
	}
}

// WaitForStreams returns when no stream is open. It hangs when a client leaves one
// open: that is the failure.
func (s *Server) WaitForStreams() { s.streams.Wait() }

// Received returns the messages that a method got, in order.
func (s *Server) Received(method string) []proto.Message {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]proto.Message(nil), s.received[method]...)
}

func (s *Server) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	method := short(info.FullMethod)
	f := s.begin(method)
	s.record(method, request)
	if f.before != nil {
		return nil, f.before
	}
	if f.hang {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	response, err := next(ctx, request)
	if err == nil && f.after != nil {
		return nil, f.after
	}
	return response, err
}

func (s *Server) stream(server any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) error {
	method := short(info.FullMethod)
	s.streams.Add(1)
	defer s.streams.Done()
	f := s.begin(method)
	if f.before != nil {
		return f.before
	}
	if f.hang {
		<-stream.Context().Done()
		return stream.Context().Err()
	}
	if err := next(server, recorder{stream, s, method}); err != nil {
		return err
	}
	return f.after
}

// recorder records the messages of a stream.
type recorder struct {
	grpc.ServerStream
	server *Server
	method string
}

// RecvMsg implements grpc.ServerStream.
func (r recorder) RecvMsg(m any) error {
	err := r.ServerStream.RecvMsg(m)
	if err == nil {
		r.server.record(r.method, m)
	}
	return err
}

func (s *Server) record(method string, m any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.received[method] = append(s.received[method], proto.Clone(m.(proto.Message)))
}

// now is the time of every record: tests compare whole outputs.
func now() time.Time { return time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC) }
