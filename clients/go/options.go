package cloakroom

import (
	"context"
	"crypto/tls"
	"errors"
	"time"

	"google.golang.org/grpc"
)

// Option changes how Dial makes a client.
type Option interface{ applyDial(*settings) }

type option func(*settings)

func (o option) applyDial(s *settings) { o(s) }

// settings is what the options of Dial set.
type settings struct {
	tlsFiles      *tlsFiles
	tlsConfig     *tls.Config
	serverName    string
	onReloadError func(error)
	dialOptions   []grpc.DialOption
	timeout       time.Duration
	domain        string
	attempts      int
	backoff       time.Duration
	silence       time.Duration // after which a watch is taken for dead
	wait          func(context.Context, time.Duration) error
	now           func() time.Time
	mistakes      []error
}

func defaultSettings() settings {
	return settings{timeout: 30 * time.Second, attempts: 4, backoff: 100 * time.Millisecond, silence: 90 * time.Second, wait: sleep, now: time.Now}
}

// WithTLSFiles authenticates the vault by the CA certificates in the PEM file
// ca, and the client by the PEM files cert and key. The files are looked at
// before a new connection is made, at most once a second, and read again when
// one has changed; files that cannot be used leave the former ones in force.
// An empty ca means the CAs of the system.
func WithTLSFiles(ca, cert, key string) Option {
	return option(func(s *settings) { s.tlsFiles = &tlsFiles{ca: ca, cert: cert, key: key} })
}

// WithTLSConfig uses a copy of config. It must verify the server and not allow
// versions below TLS 1.3: its MinVersion is raised.
func WithTLSConfig(config *tls.Config) Option {
	return option(func(s *settings) {
		if config == nil {
			s.mistakes = append(s.mistakes, errors.New("WithTLSConfig: no config"))
			return
		}
		s.tlsConfig = config.Clone()
	})
}

// WithServerName sets the name that the certificate of the vault must carry,
// when that is not the host in the address.
func WithServerName(name string) Option {
	return option(func(s *settings) { s.serverName = name })
}

// WithReloadErrors calls f with the reason whenever changed TLS files could not
// be used. f is called during a handshake and must not block.
func WithReloadErrors(f func(error)) Option {
	return option(func(s *settings) { s.onReloadError = f })
}

// WithDialOptions adds options of gRPC, such as interceptors, keepalive or a
// dialer. They cannot replace TLS.
func WithDialOptions(options ...grpc.DialOption) Option {
	return option(func(s *settings) { s.dialOptions = append(s.dialOptions, options...) })
}

// WithTimeout limits each call whose context has no deadline, all its attempts
// together; the default is 30 s, and 0 means no limit. It does not hold for
// Import and streams, nor where a method says so.
func WithTimeout(d time.Duration) Option {
	return option(func(s *settings) {
		if d < 0 {
			s.mistakes = append(s.mistakes, errors.New("WithTimeout: negative"))
			return
		}
		s.timeout = d
	})
}

// WithDomain sets the token domain of every call that does not say InDomain.
// Without it the vault uses "default".
func WithDomain(domain string) Option {
	return option(func(s *settings) { s.domain = domain })
}

// WithRetry sets how often a call that may be sent again is sent at most (the
// default is 4 times; 1 switches retries off), and how long it waits before the
// second time (default 100 ms). The wait doubles each time up to 5 s and is
// varied at random by half; a delay that the vault asks for comes first.
//
// Sent again are reads, reveals, Tokenize, and writes, which carry a request
// id, when the vault is UNAVAILABLE, or RESOURCE_EXHAUSTED with a delay. A call
// is not sent again when its deadline would pass while it waits.
func WithRetry(attempts int, backoff time.Duration) Option {
	return option(func(s *settings) {
		if attempts < 1 || backoff <= 0 {
			s.mistakes = append(s.mistakes, errors.New("WithRetry: attempts must be at least 1 and backoff above 0"))
			return
		}
		s.attempts, s.backoff = attempts, backoff
	})
}
