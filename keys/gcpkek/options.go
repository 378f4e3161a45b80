package gcpkek

import (
	"context"
	"fmt"
	"log/slog"
	"regexp"
	"time"

	kms "cloud.google.com/go/kms/apiv1"
	"google.golang.org/api/option"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Limits of Access that are used where a field is zero.
const (
	DefaultTimeout    = 5 * time.Second
	DefaultAttempts   = 3
	DefaultMaxBackoff = time.Second
)

// Access says how to reach the service.
type Access struct {
	// Endpoint replaces the service's public endpoint: host:port, over TLS.
	Endpoint string
	// CredentialsFile is the path of a credentials file of Google Cloud, in
	// JSON, of mode 0640 or less. Empty: what Client says.
	CredentialsFile string
	// Client says how the SDK finds its credentials, where the application
	// default credentials are not meant.
	Client []option.ClientOption
	// Timeout bounds one attempt.
	Timeout time.Duration
	// Attempts is how often a call is tried at most, the first time included.
	// The context ends them all.
	Attempts int
	// MaxBackoff is the longest wait between two attempts.
	MaxBackoff time.Duration
}

// open makes a client. ErrUsage when a field breaks its rule, or when the SDK
// cannot use its configuration.
func (a Access) open(ctx context.Context) (*service, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	a.Timeout = orDefault(a.Timeout, DefaultTimeout)
	a.Attempts = orDefault(a.Attempts, DefaultAttempts)
	a.MaxBackoff = orDefault(a.MaxBackoff, DefaultMaxBackoff)
	// The SDK logs whole messages, plaintexts included, when an environment
	// variable says so. It is given nowhere to log to.
	o := []option.ClientOption{option.WithLogger(slog.New(slog.DiscardHandler)), option.WithTelemetryDisabled()}
	if a.Endpoint != "" {
		o = append(o, option.WithEndpoint(a.Endpoint))
	}
	if a.CredentialsFile != "" {
		kind, err := readCredentials(a.CredentialsFile)
		if err != nil {
			return nil, err
		}
		o = append(o, option.WithAuthCredentialsFile(kind, a.CredentialsFile))
	}
	client, err := kms.NewKeyManagementClient(ctx, append(o, a.Client...)...)
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, ctx.Err()
	case err != nil:
		// The SDK's text may hold what stands in a credentials file.
		return nil, usage("the client's configuration or its credentials cannot be used")
	}
	return &service{client, a}, nil
}

func (a Access) check() error {
	if a.Timeout < 0 || a.Attempts < 0 || a.MaxBackoff < 0 {
		return usage("Timeout, Attempts and MaxBackoff must not be negative")
	}
	return nil
}

// The service's own rules for the parts of a name.
const (
	ringPattern = `projects/[a-z0-9][a-z0-9.:-]{0,62}/locations/[a-z0-9-]{1,32}/keyRings/[a-zA-Z0-9_-]{1,63}`
	keyPattern  = ringPattern + `/cryptoKeys/[a-zA-Z0-9_-]{1,63}`
)

// matches reports whether the whole of name has the form of pattern, and is
// short enough to be named.
func matches(pattern, name string) bool {
	return len(name) <= 240 && regexp.MustCompile(`\A`+pattern+`\z`).MatchString(name)
}

func orDefault[T int | time.Duration](v, d T) T {
	if v == 0 {
		return d
	}
	return v
}

func usage(rule string) error { return fmt.Errorf("%w: Google Cloud KMS: %s", keys.ErrUsage, rule) }
