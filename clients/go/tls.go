package cloakroom

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc/credentials"
)

// recheck is how often the files are looked at, at most.
const recheck = time.Second

// tlsFiles names the PEM files of WithTLSFiles.
type tlsFiles struct{ ca, cert, key string }

// stamp is the state of the files, to see a change without reading them.
type stamp [3]fileStamp

type fileStamp struct {
	changed time.Time
	size    int64
}

// configCredentials prepares a config that the caller made.
func configCredentials(config *tls.Config, serverName string) (credentials.TransportCredentials, error) {
	if config.InsecureSkipVerify && config.VerifyConnection == nil {
		return nil, errors.New("WithTLSConfig: InsecureSkipVerify without VerifyConnection accepts any server")
	}
	config.MinVersion = max(config.MinVersion, tls.VersionTLS13)
	if serverName != "" {
		config.ServerName = serverName
	}
	return credentials.NewTLS(config), nil
}

// reloadingCredentials makes each handshake with the newest files that can be
// used. A fresh config for each handshake, rather than callbacks in one, is
// what lets the CA change without switching Go's own verification off.
type reloadingCredentials struct {
	files      tlsFiles
	serverName string
	onError    func(error)
	now        func() time.Time

	mu      sync.Mutex // guards what follows
	current credentials.TransportCredentials
	loaded  stamp
	looked  time.Time
}

func newReloadingCredentials(
	files tlsFiles, serverName string, onError func(error), now func() time.Time,
) (*reloadingCredentials, error) {
	r := &reloadingCredentials{files: files, serverName: serverName, onError: onError, now: now}
	if r.onError == nil {
		r.onError = func(error) {}
	}
	// The stamp is taken before the files are read: a change in between is seen
	// at the next look.
	loaded, err := files.stamp()
	if err != nil {
		return nil, err
	}
	if r.current, err = files.load(serverName); err != nil {
		return nil, err
	}
	r.loaded, r.looked = loaded, now()
	return r, nil
}

// latest looks at the files and returns the credentials to use.
func (r *reloadingCredentials) latest() credentials.TransportCredentials {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.now()
	if now.Sub(r.looked) < recheck {
		return r.current
	}
	r.looked = now
	found, err := r.files.stamp()
	if err == nil && found == r.loaded {
		return r.current
	}
	var fresh credentials.TransportCredentials
	if err == nil {
		fresh, err = r.files.load(r.serverName)
	}
	if err != nil {
		r.onError(fmt.Errorf("the former TLS files stay in force: %w", err))
		return r.current
	}
	r.current, r.loaded = fresh, found
	return r.current
}

// stamp looks at the files without reading them.
func (f tlsFiles) stamp() (stamp, error) {
	var s stamp
	for i, file := range []struct{ what, name string }{
		{"CA", f.ca}, {"certificate", f.cert}, {"key", f.key},
	} {
		if file.what == "CA" && file.name == "" {
			continue
		}
		info, err := os.Stat(file.name)
		if err != nil {
			return stamp{}, &TLSFileError{What: file.what, File: file.name, Err: err}
		}
		s[i] = fileStamp{info.ModTime(), info.Size()}
	}
	return s, nil
}

// load reads the files. An empty ca leaves the CAs of the system.
func (f tlsFiles) load(serverName string) (credentials.TransportCredentials, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS13, ServerName: serverName}
	if f.ca != "" {
		pem, err := os.ReadFile(f.ca)
		if err != nil {
			return nil, &TLSFileError{What: "CA", File: f.ca, Err: err}
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, &TLSFileError{What: "CA", File: f.ca, Err: errors.New("no PEM certificate in it")}
		}
	}
	cert, err := os.ReadFile(f.cert)
	if err != nil {
		return nil, &TLSFileError{What: "certificate", File: f.cert, Err: err}
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return nil, &TLSFileError{What: "key", File: f.key, Err: err}
	}
	defer clear(key)
	pair, err := tls.X509KeyPair(cert, key)
	if err != nil {
		// The texts of crypto/tls name what is wrong and quote no key bytes.
		return nil, &TLSFileError{What: "certificate and key", File: f.cert, Err: err}
	}
	config.Certificates = []tls.Certificate{pair}
	return credentials.NewTLS(config), nil
}

// TLSFileError says which of the files of WithTLSFiles cannot be used.
type TLSFileError struct {
	// What is "CA", "certificate", "key" or "certificate and key".
	What string
	// File is its path (of the certificate, when it is both).
	File string
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *TLSFileError) Error() string { return fmt.Sprintf("%s file %q: %v", e.What, e.File, e.Err) }

// Unwrap returns the cause.
func (e *TLSFileError) Unwrap() error { return e.Err }

// ClientHandshake implements credentials.TransportCredentials.
func (r *reloadingCredentials) ClientHandshake(ctx context.Context, authority string, conn net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return r.latest().ClientHandshake(ctx, authority, conn)
}

// ServerHandshake implements credentials.TransportCredentials; it always fails.
func (r *reloadingCredentials) ServerHandshake(net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these are credentials of a client")
}

// Info implements credentials.TransportCredentials.
func (r *reloadingCredentials) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "tls", ServerName: r.serverName} //nolint:staticcheck // deprecated, and still where gRPC takes the authority from
}

// Clone implements credentials.TransportCredentials. Sharing is safe: all state
// that changes is guarded.
func (r *reloadingCredentials) Clone() credentials.TransportCredentials { return r }

// OverrideServerName implements credentials.TransportCredentials; it always
// fails, because gRPC has it for old callers only.
func (r *reloadingCredentials) OverrideServerName(string) error {
	return errors.New("use WithServerName")
}
