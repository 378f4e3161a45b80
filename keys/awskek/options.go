package awskek

import (
	"context"
	"crypto/tls"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/aws-sdk-go-v2/service/kms"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Limits of Access that are used where a field is zero.
const (
	DefaultTimeout    = 5 * time.Second
	DefaultAttempts   = 3
	DefaultMaxBackoff = time.Second
)

// Access says where the service is and who calls it.
type Access struct {
	// Region is the service's region, such as eu-central-1.
	Region string
	// Endpoint replaces the region's public endpoint, for a VPC endpoint or a
	// test: an https URL, or an http one of a loopback address.
	Endpoint string
	// Profile is a profile of the shared AWS configuration. Empty: the SDK's
	// own order (environment, web identity, default profile, container,
	// instance).
	Profile string
	// Credentials replaces all that; Profile must then be empty, and neither
	// the environment nor any file is read.
	Credentials aws.CredentialsProvider
	// Timeout bounds one attempt from its first to its last byte.
	Timeout time.Duration
	// Attempts is how often a call is tried at most, the first time included.
	// The context ends them all.
	Attempts int
	// MaxBackoff is the longest wait between two attempts.
	MaxBackoff time.Duration
}

// client makes a client of the service. ErrUsage when a field breaks its
// rule, ErrDenied or ErrAway when the SDK's configuration cannot be read.
func (a Access) client(ctx context.Context) (*kms.Client, error) {
	if err := a.check(); err != nil {
		return nil, err
	}
	cfg, err := a.load(ctx)
	if err != nil {
		return nil, err
	}
	client := kms.NewFromConfig(cfg, func(o *kms.Options) {
		if a.Endpoint != "" {
			o.BaseEndpoint = &a.Endpoint
		}
		o.RetryMaxAttempts = orDefault(a.Attempts, DefaultAttempts)
		o.Credentials = guarded(o.Credentials)
		o.ClientLogMode = 0 // whatever was configured: the log would hold plaintexts
	})
	// The SDK may have taken an endpoint from its configuration.
	if e := client.Options().BaseEndpoint; e != nil {
		if err := checkEndpoint(*e); err != nil {
			return nil, err
		}
	}
	return client, nil
}

func (a Access) load(ctx context.Context) (aws.Config, error) {
	client := awshttp.NewBuildableClient().
		WithTimeout(orDefault(a.Timeout, DefaultTimeout)).
		WithTransportOptions(func(t *http.Transport) {
			if t.TLSClientConfig == nil {
				t.TLSClientConfig = &tls.Config{MinVersion: tls.VersionTLS12}
			}
		})
	retryer := func() aws.Retryer {
		return retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxBackoff = orDefault(a.MaxBackoff, DefaultMaxBackoff)
		})
	}
	if a.Credentials != nil {
		return aws.Config{Region: a.Region, Credentials: aws.NewCredentialsCache(a.Credentials), HTTPClient: client, Retryer: retryer}, nil
	}
	cfg, err := config.LoadDefaultConfig(ctx, config.WithRegion(a.Region), config.WithHTTPClient(client),
		config.WithRetryer(retryer), config.WithSharedConfigProfile(a.Profile))
	switch {
	case ctx.Err() != nil:
		return aws.Config{}, ctx.Err()
	case err != nil:
		// The SDK's text may hold what stands in the files.
		return aws.Config{}, fmt.Errorf("%w: AWS KMS: the configuration of the SDK cannot be used, profile %q", keys.ErrUsage, a.Profile)
	}
	return cfg, nil
}

func (a Access) check() error {
	switch {
	case !isName(a.Region, 32):
		return usage("Region must be set: lower-case letters, digits and hyphens")
	case a.Profile != "" && a.Credentials != nil:
		return usage("Profile and Credentials exclude each other")
	case a.Timeout < 0 || a.Attempts < 0 || a.MaxBackoff < 0:
		return usage("Timeout, Attempts and MaxBackoff must not be negative")
	case a.Endpoint != "":
		return checkEndpoint(a.Endpoint)
	}
	return nil
}

// checkEndpoint refuses what would send a root key in clear.
func checkEndpoint(endpoint string) error {
	u, err := url.Parse(endpoint)
	if err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return usage("Endpoint must be a URL of scheme, host and path alone")
	}
	addr, err := netip.ParseAddr(u.Hostname())
	local := u.Hostname() == "localhost" || err == nil && addr.IsLoopback()
	if u.Scheme != "https" && (u.Scheme != "http" || !local) {
		return usage("Endpoint must be https, or http of a loopback address")
	}
	return nil
}

// isName reports whether s is of 1 to most lower-case letters, digits and
// hyphens.
func isName(s string, most int) bool {
	for _, c := range []byte(s) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return len(s) > 0 && len(s) <= most
}

func orDefault[T comparable](v, d T) T {
	var zero T
	if v == zero {
		return d
	}
	return v
}

func usage(rule string) error { return fmt.Errorf("%w: AWS KMS: %s", keys.ErrUsage, rule) }
