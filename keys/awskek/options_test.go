package awskek_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
)

const goodARN = "arn:aws:kms:eu-central-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

func TestOptions(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*awskek.Options)
		want   error
	}{
		{"good", func(*awskek.Options) {}, nil},
		{"the region of the key", func(o *awskek.Options) { o.Region = "eu-central-1" }, nil},
		{"another region", func(o *awskek.Options) { o.Region = "us-east-1" }, keys.ErrUsage},
		{"of China", func(o *awskek.Options) { o.KeyARN = strings.Replace(goodARN, "aws", "aws-cn", 1) }, nil},
		{"of several regions", func(o *awskek.Options) { o.KeyARN = strings.Replace(goodARN, "key/", "key/mrk-", 1) }, nil},
		{"no key", func(o *awskek.Options) { o.KeyARN = "" }, keys.ErrUsage},
		{"an id", func(o *awskek.Options) { o.KeyARN = "1234abcd-12ab-34cd-56ef-1234567890ab" }, keys.ErrUsage},
		{"an alias", func(o *awskek.Options) { o.KeyARN = "arn:aws:kms:eu-central-1:111122223333:alias/x" }, keys.ErrUsage},
		{"of another service", func(o *awskek.Options) { o.KeyARN = strings.Replace(goodARN, "kms", "s3", 1) }, keys.ErrUsage},
		{"no region in the key", func(o *awskek.Options) { o.KeyARN = strings.Replace(goodARN, "eu-central-1", "", 1) }, keys.ErrUsage},
		{"no id in the key", func(o *awskek.Options) { o.KeyARN = "arn:aws:kms:eu-central-1:111122223333:key/" }, keys.ErrUsage},
		{"a line too many", func(o *awskek.Options) { o.KeyARN += "\n" }, keys.ErrUsage},
		{"https", func(o *awskek.Options) { o.Endpoint = "https://vpce-1.kms.eu-central-1.vpce.amazonaws.com" }, nil},
		{"in clear", func(o *awskek.Options) { o.Endpoint = "http://kms.example" }, keys.ErrUsage},
		{"in clear on loopback", func(o *awskek.Options) { o.Endpoint = "http://[::1]:80" }, nil},
		{"of no scheme", func(o *awskek.Options) { o.Endpoint = "kms.example" }, keys.ErrUsage},
		{"with a password", func(o *awskek.Options) { o.Endpoint = "https://a:b@kms.example" }, keys.ErrUsage},
		{"profile and credentials", func(o *awskek.Options) { o.Profile = "x" }, keys.ErrUsage},
		{"a negative timeout", func(o *awskek.Options) { o.Timeout = -1 }, keys.ErrUsage},
		{"negative attempts", func(o *awskek.Options) { o.Attempts = -1 }, keys.ErrUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := awskek.Options{KeyARN: goodARN, Access: awskek.Access{Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}}
			test.change(&o)
			kek, err := awskek.Open(t.Context(), o)
			if !errors.Is(err, test.want) || (kek != nil) != (test.want == nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if kek != nil && kek.Name() != "aws-kms/"+o.KeyARN {
				t.Errorf("named %q", kek.Name())
			}
		})
	}
}

func TestEpochOptions(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*awskek.EpochOptions)
		want   error
	}{
		{"good", func(*awskek.EpochOptions) {}, nil},
		{"no region", func(o *awskek.EpochOptions) { o.Region = "" }, keys.ErrUsage},
		{"no prefix", func(o *awskek.EpochOptions) { o.Prefix = "" }, keys.ErrUsage},
		{"the service's prefix", func(o *awskek.EpochOptions) { o.Prefix = "aws/x" }, keys.ErrUsage},
		{"the service's prefix in disguise", func(o *awskek.EpochOptions) { o.Prefix = "aws-x" }, keys.ErrUsage},
		{"a path", func(o *awskek.EpochOptions) { o.Prefix = "a/b" }, keys.ErrUsage},
		{"64 letters", func(o *awskek.EpochOptions) { o.Prefix = strings.Repeat("a", 64) }, nil},
		{"65 letters", func(o *awskek.EpochOptions) { o.Prefix = strings.Repeat("a", 65) }, keys.ErrUsage},
		{"6 days", func(o *awskek.EpochOptions) { o.DestructionDelay = 6 * day }, keys.ErrUsage},
		{"31 days", func(o *awskek.EpochOptions) { o.DestructionDelay = 31 * day }, keys.ErrUsage},
		{"7 days and an hour", func(o *awskek.EpochOptions) { o.DestructionDelay = 7*day + time.Hour }, keys.ErrUsage},
		{"a tag of the package", func(o *awskek.EpochOptions) { o.Tags = map[string]string{"cloakroom-name": "x"} }, keys.ErrUsage},
	} {
		t.Run(test.name, func(t *testing.T) {
			o := awskek.EpochOptions{Prefix: "vault", Access: awskek.Access{Region: region, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")}}
			test.change(&o)
			if e, err := awskek.OpenEpochs(t.Context(), o); !errors.Is(err, test.want) || (e != nil) != (test.want == nil) {
				t.Errorf("%v, want %v", err, test.want)
			}
		})
	}
}

// configure gives the SDK files of its own, and nothing else to look at.
func configure(t *testing.T, profiles string) {
	path := filepath.Join(t.TempDir(), "credentials")
	if err := os.WriteFile(path, []byte(profiles), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, e := range os.Environ() {
		if name, value, _ := strings.Cut(e, "="); strings.HasPrefix(name, "AWS_") {
			t.Setenv(name, value) // puts it back
			if err := os.Unsetenv(name); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", path)
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
}

func TestProfile(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	configure(t, "[vault]\naws_access_key_id = "+u.id+"\naws_secret_access_key = "+u.secret+"\n")
	access := s.access(u)
	access.Credentials, access.Profile = nil, "vault"
	kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: s.key(), Access: access})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kek.Wrap(t.Context(), nil, nil); err != nil {
		t.Error(err)
	}
	access.Profile = "none"
	if _, err := awskek.Open(t.Context(), awskek.Options{KeyARN: goodARN, Access: access}); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("a profile that is not there: %v", err)
	}
}

func TestNoCredentials(t *testing.T) {
	s := newTrent(t)
	configure(t, "")
	access := s.access(s.user())
	access.Credentials = nil
	kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: goodARN, Access: access})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kek.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrAway) {
		t.Errorf("without credentials: %v, want ErrAway", err)
	}
}

// An endpoint of the SDK's own configuration is held to the same rule.
func TestEndpointOfTheEnvironment(t *testing.T) {
	configure(t, "")
	t.Setenv("AWS_ENDPOINT_URL_KMS", "http://kms.example")
	if _, err := awskek.Open(t.Context(), awskek.Options{KeyARN: goodARN}); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("an endpoint in clear: %v, want ErrUsage", err)
	}
}
