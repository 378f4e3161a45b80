package cloakroom

import (
	"context"
	"errors"
	"fmt"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/health/grpc_health_v1"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

const (
	// maxItems is how many items the contract takes in one message.
	maxItems = 1000
	// maxMessage is how many bytes of values go into one message, so that it
	// stays far below what servers accept (gRPC's default is 4 MiB).
	maxMessage = 1 << 20
	// maxAnswer is the largest message taken from the server: 1,000 values of
	// 64 KiB and room for the rest.
	maxAnswer = 80 << 20
)

// Client talks to one vault. It is safe for concurrent use.
type Client struct {
	conn     *grpc.ClientConn
	settings settings

	records   cloakroomv1.RecordServiceClient
	tokens    cloakroomv1.TokenServiceClient
	reveals   cloakroomv1.RevealServiceClient
	policy    cloakroomv1.PolicyServiceClient
	audit     cloakroomv1.AuditServiceClient
	incidents cloakroomv1.IncidentServiceClient
	keys      cloakroomv1.KeyServiceClient
	health    grpc_health_v1.HealthClient
}

// Dial makes a client of the vault at address ("host:port", or any gRPC target
// name). It needs exactly one of WithTLSFiles and WithTLSConfig. It reports
// every wrong option and unreadable file, but does not wait for a connection:
// that is made by the first call, and again whenever it was lost.
func Dial(address string, options ...Option) (*Client, error) {
	s := defaultSettings()
	for _, option := range options {
		option.applyDial(&s)
	}
	transport, err := s.transport()
	if err = errors.Join(append(s.mistakes, err)...); err != nil {
		return nil, fmt.Errorf("dial the vault: %w", err)
	}

	// The caller's options come first: what is said here, the transport above
	// all, cannot be overridden.
	dial := append(s.dialOptions,
		grpc.WithTransportCredentials(transport),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(maxAnswer)),
		// A service config from DNS could switch on retries that this package
		// does not make for good reason.
		grpc.WithDisableServiceConfig(),
		grpc.WithConnectParams(grpc.ConnectParams{
			Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: 10 * time.Second},
			MinConnectTimeout: 5 * time.Second,
		}),
		grpc.WithUserAgent("cloakroom-go"),
	)
	conn, err := grpc.NewClient(address, dial...)
	if err != nil {
		return nil, fmt.Errorf("dial the vault: %w", err)
	}
	return &Client{
		conn:      conn,
		settings:  s,
		records:   cloakroomv1.NewRecordServiceClient(conn),
		tokens:    cloakroomv1.NewTokenServiceClient(conn),
		reveals:   cloakroomv1.NewRevealServiceClient(conn),
		policy:    cloakroomv1.NewPolicyServiceClient(conn),
		audit:     cloakroomv1.NewAuditServiceClient(conn),
		incidents: cloakroomv1.NewIncidentServiceClient(conn),
		keys:      cloakroomv1.NewKeyServiceClient(conn),
		health:    grpc_health_v1.NewHealthClient(conn),
	}, nil
}

// Close ends the connection; calls under way fail with the code Canceled.
func (c *Client) Close() error { return c.conn.Close() }

// deadline gives ctx the default timeout when it has no deadline of its own.
func (c *Client) deadline(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has || c.settings.timeout == 0 {
		return ctx, func() {}
	}
	return context.WithTimeout(ctx, c.settings.timeout)
}

// transport returns the TLS credentials that the options ask for.
func (s *settings) transport() (credentials.TransportCredentials, error) {
	switch {
	case s.tlsFiles != nil && s.tlsConfig != nil:
		return nil, errors.New("WithTLSFiles and WithTLSConfig exclude each other")
	case s.tlsFiles != nil:
		return newReloadingCredentials(*s.tlsFiles, s.serverName, s.onReloadError, s.now)
	case s.tlsConfig != nil:
		return configCredentials(s.tlsConfig, s.serverName)
	}
	return nil, errors.New("no TLS: give WithTLSFiles or WithTLSConfig")
}
