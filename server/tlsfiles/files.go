package tlsfiles

import (
	"crypto/tls"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"
)

// Recheck is how often the files are looked at, at most.
const Recheck = time.Second

// Files is the TLS side of a server. It is safe for concurrent use, starts no
// goroutine and needs no closing.
type Files struct {
	paths  paths
	logger *slog.Logger
	now    func() time.Time

	current atomic.Pointer[tls.Config] // what the next handshake uses; never nil after Open

	mu     sync.Mutex // guards what follows; held by the one handshake that looks at the files
	looked time.Time  // when the files were looked at last
	seen   stamp      // what they looked like before they were read last
	fault  string     // why the files could not be used then; empty when they were
}

// An Option changes how Files works.
type Option func(*Files)

// WithClock takes the time from now instead of time.Now: for the interval
// between looks and for the validity of certificates, clients' included.
func WithClock(now func() time.Time) Option { return func(f *Files) { f.now = now } }

// Open reads the files. On any fault it returns all of them joined, each a
// *FileError; Check says which. The logger receives reloads and faults of
// reloads; it is required.
func Open(certFile, keyFile, clientCAFile string, logger *slog.Logger, options ...Option) (*Files, error) {
	if logger == nil {
		return nil, errors.New("TLS files: a logger is required")
	}
	f := &Files{paths: paths{certFile, keyFile, clientCAFile}, logger: logger, now: time.Now}
	for _, option := range options {
		option(f)
	}
	now := f.now()
	// Looked at before they are read: a change in between is seen at the next look.
	f.seen, f.looked = f.paths.stamp(), now
	m, faults := f.paths.load(now)
	if len(faults) > 0 {
		return nil, join(faults)
	}
	f.current.Store(f.config(m))
	return f, nil
}

// ServerConfig returns the configuration for a listener. It belongs to the
// caller. Each handshake on it uses the newest files that can be used.
func (f *Files) ServerConfig() *tls.Config {
	// What is current stays in it, so that a user who drops the callback still
	// demands client certificates.
	config := f.current.Load().Clone()
	config.GetConfigForClient = func(*tls.ClientHelloInfo) (*tls.Config, error) {
		f.refresh()
		return f.current.Load(), nil
	}
	return config
}

func (f *Files) config(m *material) *tls.Config {
	return &tls.Config{
		Time:                   f.now,
		Certificates:           []tls.Certificate{m.pair},
		ClientAuth:             tls.RequireAndVerifyClientCert,
		ClientCAs:              m.clients,
		MinVersion:             tls.VersionTLS13,
		NextProtos:             []string{"h2"},
		SessionTicketsDisabled: true, // see the package comment
	}
}

// refresh takes new files into use when it is time to look. Handshakes that
// begin while another one looks do not wait for the disk.
func (f *Files) refresh() {
	if !f.mu.TryLock() {
		return
	}
	defer f.mu.Unlock()
	now := f.now()
	if since := now.Sub(f.looked); since >= 0 && since < Recheck {
		return
	}
	f.looked = now
	seen := f.paths.stamp()
	// Files that could not be used are read at every look: what was wrong may
	// be outside what a stamp shows, such as the time.
	if f.fault == "" && seen.equal(f.seen) {
		return
	}
	f.seen = seen
	m, faults := f.paths.load(now)
	if len(faults) > 0 {
		// Said once, and not with every handshake.
		if text := join(faults).Error(); text != f.fault {
			f.fault = text
			f.logger.Error("changed TLS files cannot be used; the former stay in force", "error", text)
		}
		return
	}
	f.fault = ""
	f.current.Store(f.config(m))
	f.logger.Info("changed TLS files are in use", "serial", m.pair.Leaf.SerialNumber.Text(16), "expires", m.pair.Leaf.NotAfter)
}
