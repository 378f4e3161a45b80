package server

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"runtime/debug"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/reflection"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// Limits of the transport.
const (
	maxRequest  = 4 << 20 // bytes of one message; larger batches are several calls
	maxStreams  = 1024    // calls at once on one connection
	workers     = 128     // goroutines kept for calls, which wait for the log: saves growing a stack each time
	handshake   = 10 * time.Second
	idlePing    = time.Minute
	pingTimeout = 20 * time.Second
	// A connection is made anew after this time, so that a certificate that is
	// no longer trusted loses it. Running calls get the grace to end.
	maxAge      = time.Hour
	maxAgeGrace = 10 * time.Minute
)

// Options say how a server is reached.
type Options struct {
	// TLS must require and verify client certificates. Required.
	TLS *tls.Config
	// Reflection offers gRPC reflection to every authenticated caller.
	Reflection bool
	// Logger receives faults, never values, tokens or keys. Required.
	Logger *slog.Logger
	// Unary and Stream, when set, see every call first and its code last.
	Unary  grpc.UnaryServerInterceptor
	Stream grpc.StreamServerInterceptor
}

// Server serves a vault.
type Server struct {
	vault  *vault.Vault
	logger *slog.Logger
	grpc   *grpc.Server
	health *healthService
	ids    requestIDs
}

// New makes a server. Every service of the contract is registered.
func New(v *vault.Vault, o Options) (*Server, error) {
	if o.TLS == nil || o.TLS.ClientAuth != tls.RequireAndVerifyClientCert && o.TLS.GetConfigForClient == nil {
		return nil, errors.New("server: TLS with verified client certificates is required")
	}
	if o.Logger == nil {
		return nil, errors.New("server: a logger is required")
	}
	s := &Server{vault: v, logger: o.Logger}
	s.ids.prefix = rand.Text()[:8] + "-"
	unary, stream := []grpc.UnaryServerInterceptor{s.recoverUnary}, []grpc.StreamServerInterceptor{s.recoverStream}
	if o.Unary != nil {
		unary = []grpc.UnaryServerInterceptor{o.Unary, s.recoverUnary}
	}
	if o.Stream != nil {
		stream = []grpc.StreamServerInterceptor{o.Stream, s.recoverStream}
	}
	s.grpc = grpc.NewServer(append(Transport(o.TLS),
		grpc.ChainUnaryInterceptor(unary...),
		grpc.ChainStreamInterceptor(stream...),
	)...)
	cloakroomv1.RegisterRecordServiceServer(s.grpc, &recordService{s: s})
	cloakroomv1.RegisterTokenServiceServer(s.grpc, &tokenService{s: s})
	cloakroomv1.RegisterRevealServiceServer(s.grpc, &revealService{s: s})
	cloakroomv1.RegisterPolicyServiceServer(s.grpc, &policyService{s: s})
	cloakroomv1.RegisterAuditServiceServer(s.grpc, &auditService{s: s})
	cloakroomv1.RegisterIncidentServiceServer(s.grpc, &incidentService{s: s})
	cloakroomv1.RegisterKeyServiceServer(s.grpc, &keyService{s: s})
	s.health = newHealthService(v)
	healthpb.RegisterHealthServer(s.grpc, s.health)
	if o.Reflection {
		reflection.Register(s.grpc)
	}
	return s, nil
}

// Transport returns the settings of the transport, so that what is measured
// beside the server can have the same.
func Transport(config *tls.Config) []grpc.ServerOption {
	return []grpc.ServerOption{
		grpc.Creds(newCredentials(config)),
		grpc.MaxRecvMsgSize(maxRequest),
		grpc.MaxConcurrentStreams(maxStreams),
		grpc.NumStreamWorkers(workers),
		grpc.ConnectionTimeout(handshake),
		grpc.KeepaliveParams(keepalive.ServerParameters{
			Time: idlePing, Timeout: pingTimeout, MaxConnectionAge: maxAge, MaxConnectionAgeGrace: maxAgeGrace,
		}),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 10 * time.Second, PermitWithoutStream: true}),
	}
}

// Serve answers calls on a listener until Stop, also one that came first, and
// then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.grpc.Serve(l); !errors.Is(err, grpc.ErrServerStopped) {
		return err
	}
	return nil
}

// Services returns the names of all registered methods by service.
func (s *Server) Services() map[string]grpc.ServiceInfo { return s.grpc.GetServiceInfo() }

// Stop tells health checks that the server goes, lets running calls end within
// the grace period, and ends the others.
func (s *Server) Stop(grace time.Duration) {
	s.health.shutdown()
	done := make(chan struct{})
	go func() {
		s.grpc.GracefulStop()
		close(done)
	}()
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		s.grpc.Stop()
		<-done
	}
}

// untilStop returns a context that also ends when the server stops: a call
// without an end would hold a graceful stop up.
func (s *Server) untilStop(ctx context.Context) (context.Context, context.CancelFunc) {
	run, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-s.health.down:
			cancel()
		case <-run.Done():
		}
	}()
	return run, cancel
}

// recoverUnary turns a panic into an internal error: one broken call must not
// end the others. The stack is logged; the panic's text is not, since it could
// hold a value.
func (s *Server) recoverUnary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (resp any, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(info.FullMethod)
		}
	}()
	return next(ctx, req)
}

func (s *Server) recoverStream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, next grpc.StreamHandler) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = s.panicked(info.FullMethod)
		}
	}()
	return next(srv, stream)
}

func (s *Server) panicked(method string) error {
	s.logger.Error("a call panicked", "method", method, "stack", string(debug.Stack()))
	return status.Error(codes.Internal, "an internal fault; the server's log has the cause")
}
