package metrics

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Limits of the HTTP server.
const (
	scrapes       = 4 // at once
	headerTimeout = 5 * time.Second
	readTimeout   = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
	maxHeader     = 16 << 10        // bytes
	closeGrace    = 2 * time.Second // for scrapes that run when the server is closed
)

// Server serves metrics over plain HTTP, at /metrics and nowhere else.
type Server struct {
	registry *prometheus.Registry
	http     *http.Server
}

// New makes a server that reads from the sources. The logger receives faults.
func New(s Sources, logger *slog.Logger) (*Server, error) {
	registry := prometheus.NewPedanticRegistry()
	err := errors.Join(
		registry.Register(collector{s}),
		registry.Register(collectors.NewGoCollector()),
		registry.Register(collectors.NewProcessCollector(collectors.ProcessCollectorOpts{})),
	)
	if err != nil {
		return nil, err
	}
	faults := slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{
		ErrorLog:            faults,
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: scrapes,
	}))
	return &Server{registry: registry, http: &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          faults,
	}}, nil
}

// Gatherer gives what a scrape gives.
func (s *Server) Gatherer() prometheus.Gatherer { return s.registry }

// Serve answers on a listener until Close, and then returns nil.
func (s *Server) Serve(l net.Listener) error {
	if err := s.http.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Close ends Serve; scrapes that run get a moment to end. It may be called
// more than once, and before Serve.
func (s *Server) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
	defer cancel()
	if s.http.Shutdown(ctx) == nil {
		return nil
	}
	return s.http.Close()
}
