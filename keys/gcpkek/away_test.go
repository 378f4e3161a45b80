package gcpkek_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/api/option"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
)

// Every request says what the service must find in it.
func TestRequestsHaveSums(t *testing.T) {
	c := newCloud(t)
	u := c.user()
	kek, _, blob := wrapped(t, c, u)
	seen := 0
	c.set(func() {
		u.change = func(_ string, in any) any {
			seen++
			switch in := in.(type) {
			case *kmspb.EncryptRequest:
				if in.GetPlaintextCrc32C() == nil || in.GetAdditionalAuthenticatedDataCrc32C() == nil {
					t.Error("Encrypt without a sum")
				}
			case *kmspb.DecryptRequest:
				if in.GetCiphertextCrc32C() == nil || in.GetAdditionalAuthenticatedDataCrc32C() == nil {
					t.Error("Decrypt without a sum")
				}
			}
			return in
		}
	})
	both(t, kek, blob, nil, nil)
	if seen != 2 {
		t.Errorf("%d requests", seen)
	}
}

// What a broken wire changes on the way there, the service refuses.
func TestSumsOfRequests(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(in any)
	}{
		{"payload", func(in any) {
			switch in := in.(type) {
			case *kmspb.EncryptRequest:
				in.Plaintext[0] ^= 1
			case *kmspb.DecryptRequest:
				in.Ciphertext[0] ^= 1
			}
		}},
		{"associated data", func(in any) {
			switch in := in.(type) {
			case *kmspb.EncryptRequest:
				in.AdditionalAuthenticatedData[0] ^= 1
			case *kmspb.DecryptRequest:
				in.AdditionalAuthenticatedData[0] ^= 1
			}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCloud(t)
			u := c.user()
			kek, _, blob := wrapped(t, c, u)
			c.set(func() {
				u.change = func(_ string, in any) any { test.change(in); return in }
			})
			both(t, kek, blob, keys.ErrUsage, keys.ErrWrongKey)
		})
	}
}

// What does not fit its sum, or does not come from the key that was asked, is
// not believed.
func TestAnswers(t *testing.T) {
	for _, test := range []struct {
		name         string
		encrypt      func(*kmspb.EncryptResponse)
		decrypt      func(*kmspb.DecryptResponse)
		wrap, unwrap error
		tries        int
	}{
		{"changed", func(a *kmspb.EncryptResponse) { a.Ciphertext[9] ^= 1 }, func(a *kmspb.DecryptResponse) { a.Plaintext[0] ^= 1 }, keys.ErrAway, keys.ErrAway, 3},
		{"without sums", func(a *kmspb.EncryptResponse) { a.CiphertextCrc32C = nil }, func(a *kmspb.DecryptResponse) { a.PlaintextCrc32C = nil }, keys.ErrAway, keys.ErrAway, 3},
		{"plaintext not verified", func(a *kmspb.EncryptResponse) { a.VerifiedPlaintextCrc32C = false }, nil, keys.ErrAway, nil, 3},
		{"associated data not verified", func(a *kmspb.EncryptResponse) { a.VerifiedAdditionalAuthenticatedDataCrc32C = false }, nil, keys.ErrAway, nil, 3},
		{"of another key", func(a *kmspb.EncryptResponse) { a.Name = ring + "/cryptoKeys/other/cryptoKeyVersions/1" }, nil, keys.ErrAway, nil, 1},
		{"empty", func(a *kmspb.EncryptResponse) { a.Ciphertext, a.CiphertextCrc32C = nil, sum(nil) },
			func(a *kmspb.DecryptResponse) { a.Plaintext, a.PlaintextCrc32C = nil, sum(nil) }, keys.ErrAway, keys.ErrAway, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newCloud(t)
			u := c.user()
			kek, _, blob := wrapped(t, c, u)
			left := -1
			tamper := func(_ string, a any) {
				if left--; left == -1 {
					return
				}
				switch a := a.(type) {
				case *kmspb.EncryptResponse:
					test.encrypt(a)
				case *kmspb.DecryptResponse:
					if test.decrypt != nil {
						test.decrypt(a)
					}
				}
			}
			c.set(func() { u.tamper = tamper })
			both(t, kek, blob, test.wrap, test.unwrap)
			if n := c.count(u, "Encrypt"); n != 1+test.tries {
				t.Errorf("tried %d times, want %d", n-1, test.tries)
			}
			if test.tries > 1 {
				// Once is nothing.
				for _, do := range []func() ([]byte, error){
					func() ([]byte, error) { return kek.Wrap(t.Context(), []byte("plain"), nil) },
					func() ([]byte, error) { return kek.Unwrap(t.Context(), blob, []byte("aad")) },
				} {
					c.set(func() { left = 1 })
					if _, err := do(); err != nil {
						t.Errorf("after one bad answer: %v", err)
					}
				}
			}
		})
	}
}

func TestThrottled(t *testing.T) {
	c := newCloud(t)
	u := c.user()
	kek, _, blob := wrapped(t, c, u)
	left := 2
	c.set(func() {
		u.refuse = func(string) error {
			if left--; left >= 0 {
				return refusal(codes.ResourceExhausted, "quota")
			}
			return nil
		}
	})
	if got, err := kek.Unwrap(t.Context(), blob, []byte("aad")); err != nil || string(got) != "plain" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestAway(t *testing.T) {
	t.Run("nobody there", func(t *testing.T) {
		c := newCloud(t)
		u := c.user()
		_, name, blob := wrapped(t, c, u)
		access := c.access(u)
		access.Endpoint = "127.0.0.1:1"
		kek := open(t, gcpkek.Options{KeyName: name, Access: access})
		both(t, kek, blob, keys.ErrAway, keys.ErrAway)
	})
	t.Run("slower than Timeout", func(t *testing.T) {
		c := newCloud(t)
		u := c.user()
		_, name, blob := wrapped(t, c, u)
		access := c.access(u)
		access.Timeout, access.Attempts = time.Millisecond, 1
		kek := open(t, gcpkek.Options{KeyName: name, Access: access})
		release := make(chan struct{})
		defer close(release)
		c.set(func() { u.arrived, u.release = make(chan struct{}, 1), release })
		both(t, kek, blob, keys.ErrAway, keys.ErrAway)
	})
	t.Run("no credentials to be had", func(t *testing.T) {
		c := newCloud(t)
		u := c.user()
		_, name, blob := wrapped(t, c, u)
		access := c.access(u)
		access.Client = []option.ClientOption{option.WithoutAuthentication(),
			option.WithGRPCDialOption(grpc.WithTransportCredentials(insecure.NewCredentials())),
			option.WithGRPCDialOption(grpc.WithPerRPCCredentials(noToken{}))}
		kek := open(t, gcpkek.Options{KeyName: name, Access: access})
		both(t, kek, blob, keys.ErrAway, keys.ErrAway)
	})
}

// noToken is a metadata server that does not answer.
type noToken struct{ token }

func (noToken) GetRequestMetadata(context.Context, ...string) (map[string]string, error) {
	return nil, errors.New("secret-name")
}

// late is a context whose deadline has passed, and that has not noticed.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

func TestDeadlinePassedUnnoticed(t *testing.T) {
	c := newCloud(t)
	kek, _, blob := wrapped(t, c, c.user())
	ctx := late{t.Context()}
	if out, err := kek.Wrap(ctx, nil, nil); !errors.Is(err, context.DeadlineExceeded) || out != nil {
		t.Errorf("Wrap: %d bytes, %v", len(out), err)
	}
	if out, err := kek.Unwrap(ctx, blob, nil); !errors.Is(err, context.DeadlineExceeded) || out != nil {
		t.Errorf("Unwrap: %d bytes, %v", len(out), err)
	}
}
