package transitkek

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	// DefaultMount is where a transit engine usually is.
	DefaultMount = "transit"
	// DefaultTimeout is how long one attempt of a call may take.
	DefaultTimeout = 5 * time.Second
	// DefaultServiceAccount is where Kubernetes puts the token of a pod.
	DefaultServiceAccount = "/var/run/secrets/kubernetes.io/serviceaccount/token"

	maxNameSize = 64
)

// Options say where the engine is, which key to use, and who asks. They hold
// paths of secrets and no secret.
type Options struct {
	// Address is https://host:port. Plain http is taken for a loopback address
	// only, such as that of an agent beside the vault.
	Address string
	// Namespace of Vault Enterprise or OpenBao, such as "team/app". Empty: none.
	Namespace string
	// Mount is the path of the engine. Empty: DefaultMount.
	Mount string
	// Key is the name of the key that Open uses, 1 to 64 characters.
	Key string
	// Prefix begins the names of the keys that OpenEpochs uses, <Prefix>-epoch-<n>,
	// 1 to 64 characters.
	Prefix string
	// CAFile holds the certificates, in PEM, that the server's must lead to.
	// Empty: those of the system.
	CAFile string
	// Auth says who asks.
	Auth Auth
	// Timeout of one attempt; a call makes a few. Zero: DefaultTimeout.
	Timeout time.Duration
}

// Auth is how to get a token of Vault; exactly one field is set.
type Auth struct {
	// TokenFile is a file with a token, which is renewed as long as the server
	// allows and read again when it no longer does: an agent may keep it fresh.
	// Mode 0640 or less.
	TokenFile  string
	AppRole    *AppRole
	Kubernetes *Kubernetes
}

// AppRole logs in with the two halves of an AppRole.
type AppRole struct {
	RoleIDFile   string
	SecretIDFile string // mode 0640 or less
	Mount        string // empty: "approle"
}

// Kubernetes logs in with the service account of the pod.
type Kubernetes struct {
	Role      string
	TokenFile string // empty: DefaultServiceAccount
	Mount     string // empty: "kubernetes"
}

// name is what the engine takes as the name of a key. Such a name changes
// nothing of a path but its own place.
var name = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?$`)

func checkName(field, s string) error {
	if len(s) > maxNameSize || !name.MatchString(s) {
		return fmt.Errorf("%w: %s must be 1 to %d letters, digits, '_', '-' and '.', and begin and end with a letter, a digit or '_'",
			keys.ErrUsage, field, maxNameSize)
	}
	return nil
}

// checkPath is checkName for names with slashes between.
func checkPath(field, s string) error {
	if len(s) > maxNameSize {
		return checkName(field, s)
	}
	for part := range strings.SplitSeq(s, "/") {
		if err := checkName(field, part); err != nil {
			return err
		}
	}
	return nil
}

// filled returns the options with the defaults set, after checking all but
// Key and Prefix. The errors name the field and its rule.
func (o Options) filled() (Options, error) {
	o.Mount = orDefault(o.Mount, DefaultMount)
	if err := checkPath("Mount", o.Mount); err != nil {
		return o, err
	}
	if o.Namespace = strings.TrimSuffix(o.Namespace, "/"); o.Namespace != "" {
		if err := checkPath("Namespace", o.Namespace); err != nil {
			return o, err
		}
	}
	if o.Timeout == 0 {
		o.Timeout = DefaultTimeout
	}
	if o.Timeout < 0 {
		return o, fmt.Errorf("%w: Timeout must not be negative", keys.ErrUsage)
	}
	return o, nil
}

func orDefault(s, d string) string {
	if s == "" {
		return d
	}
	return s
}

// base returns the address that the paths of the API follow.
func (o Options) base() (string, error) {
	u, err := url.Parse(o.Address)
	// The error of Parse shows the whole address, which may hold a password.
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", fmt.Errorf("%w: Address must be https://host:port and no more", keys.ErrUsage)
	}
	if u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())) {
		return "", fmt.Errorf("%w: Address must be https, or http to a loopback address", keys.ErrUsage)
	}
	return u.Scheme + "://" + u.Host + "/v1/", nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// transport returns a transport that goes straight to the server. Calls are
// rare, so that connections are not kept: one that is kept goes stale. The
// environment's proxies are not used: they would see which key is asked for.
func (o Options) transport() (*http.Transport, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.CAFile != "" {
		pem, err := os.ReadFile(o.CAFile)
		if err != nil {
			return nil, fmt.Errorf("%w: CAFile: %w", keys.ErrUsage, err)
		}
		config.RootCAs = x509.NewCertPool()
		if !config.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%w: CAFile %s holds no certificate in PEM", keys.ErrUsage, o.CAFile)
		}
	}
	return &http.Transport{
		TLSClientConfig:        config,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		ForceAttemptHTTP2:      false,
		MaxResponseHeaderBytes: maxAnswer,
	}, nil
}
