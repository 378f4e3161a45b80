package gcpkek_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"strings"
	"testing"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/gcpkek"
)

// wrapped is a KEK that works, and a blob of it.
func wrapped(t *testing.T, c *cloud, u *user) (kek *gcpkek.KEK, name string, blob []byte) {
	t.Helper()
	name = c.key()
	kek = c.kek(t, u, name)
	blob, err := kek.Wrap(t.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	return kek, name, blob
}

// both makes both calls of a KEK and wants these errors of them, without a
// byte, and without a word of the service's own text.
func both(t *testing.T, kek *gcpkek.KEK, blob []byte, wrap, unwrap error) {
	t.Helper()
	for _, call := range []struct {
		name string
		want error
		do   func() ([]byte, error)
	}{
		{"Wrap", wrap, func() ([]byte, error) { return kek.Wrap(t.Context(), []byte("plain"), []byte("aad")) }},
		{"Unwrap", unwrap, func() ([]byte, error) { return kek.Unwrap(t.Context(), blob, []byte("aad")) }},
	} {
		out, err := call.do()
		if !errors.Is(err, call.want) || err != nil && out != nil {
			t.Errorf("%s: %d bytes and %v, want %v", call.name, len(out), err, call.want)
		}
		for _, word := range []string{"secret-name", "plain", "127.0.0.1"} {
			if err != nil && strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error holds %q: %v", call.name, word, err)
			}
		}
	}
}

func TestCodes(t *testing.T) {
	for _, test := range []struct {
		code         codes.Code
		wrap, unwrap error
		tries        int
	}{
		{codes.PermissionDenied, keys.ErrDenied, keys.ErrDenied, 1},
		{codes.Unauthenticated, keys.ErrDenied, keys.ErrDenied, 1},
		{codes.NotFound, keys.ErrNoKey, keys.ErrNoKey, 1},
		{codes.FailedPrecondition, keys.ErrDisabled, keys.ErrDisabled, 1},
		{codes.InvalidArgument, keys.ErrUsage, keys.ErrWrongKey, 1},
		{codes.Unavailable, keys.ErrAway, keys.ErrAway, 3},
		{codes.DeadlineExceeded, keys.ErrAway, keys.ErrAway, 3},
		{codes.ResourceExhausted, keys.ErrAway, keys.ErrAway, 3},
		{codes.Internal, keys.ErrAway, keys.ErrAway, 3},
		{codes.Aborted, keys.ErrAway, keys.ErrAway, 3},
		{codes.Unknown, keys.ErrAway, keys.ErrAway, 1},
		{codes.Canceled, keys.ErrAway, keys.ErrAway, 1},
		{codes.Code(99), keys.ErrAway, keys.ErrAway, 1},
	} {
		t.Run(test.code.String(), func(t *testing.T) {
			c := newCloud(t)
			u := c.user()
			kek, _, blob := wrapped(t, c, u)
			c.set(func() {
				u.refuse = func(method string) error {
					if method == "GetCryptoKey" {
						return nil
					}
					return refusal(test.code, "user secret-name")
				}
			})
			both(t, kek, blob, test.wrap, test.unwrap)
			if n := c.count(u, "Decrypt"); n != test.tries {
				t.Errorf("tried %d times, want %d", n, test.tries)
			}
		})
	}
}

func TestVersionStates(t *testing.T) {
	for _, test := range []struct {
		state kmspb.CryptoKeyVersion_CryptoKeyVersionState
		want  error
	}{
		{kmspb.CryptoKeyVersion_DISABLED, keys.ErrDisabled},
		{kmspb.CryptoKeyVersion_DESTROY_SCHEDULED, keys.ErrDestroyed},
		{kmspb.CryptoKeyVersion_DESTROYED, keys.ErrDestroyed},
		{kmspb.CryptoKeyVersion_PENDING_IMPORT, keys.ErrNoKey},
		{kmspb.CryptoKeyVersion_PENDING_GENERATION, keys.ErrAway},
	} {
		t.Run(test.state.String(), func(t *testing.T) {
			c := newCloud(t)
			u := c.user()
			kek, name, blob := wrapped(t, c, u)
			c.set(func() { c.keys[name].versions[0].pb.State = test.state })
			both(t, kek, blob, test.want, test.want)
			// Where the service does not say which version it was.
			mute := func(method string) error {
				if method == "Encrypt" || method == "Decrypt" {
					return refusal(codes.FailedPrecondition, "secret-name")
				}
				return nil
			}
			c.set(func() { u.refuse = mute })
			both(t, kek, blob, test.want, test.want)
			// Without the right to ask.
			c.set(func() {
				u.refuse = func(method string) error {
					if err := mute(method); err != nil {
						return err
					}
					return refusal(codes.PermissionDenied, "secret-name")
				}
			})
			both(t, kek, blob, keys.ErrDisabled, keys.ErrDisabled)
			c.set(func() { u.refuse = nil })
			// An older version, whose state is not the primary's.
			c.set(func() { c.keys[name].add() })
			both(t, kek, blob, nil, test.want)
		})
	}
}

func TestLimits(t *testing.T) {
	c := newCloud(t)
	kek, _, blob := wrapped(t, c, c.user())
	plaintext, aad := make([]byte, 4096), make([]byte, 4090)
	full, err := kek.Wrap(t.Context(), plaintext, aad)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := kek.Unwrap(t.Context(), full, aad); err != nil || !bytes.Equal(got, plaintext) {
		t.Errorf("the largest: %v", err)
	}
	if _, err := kek.Wrap(t.Context(), append(plaintext, 0), nil); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("a larger plaintext: %v", err)
	}
	if _, err := kek.Wrap(t.Context(), nil, append(aad, 0)); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("Wrap, more associated data: %v", err)
	}
	if _, err := kek.Unwrap(t.Context(), blob, append(aad, 0)); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("Unwrap, more associated data: %v", err)
	}
	for _, bad := range [][]byte{nil, {1}, {1, 0}, {0, 0, 1}, {2, 0, 1}, {1, 2, 1}, make([]byte, 64<<10+3)} {
		if _, err := kek.Unwrap(t.Context(), bad, nil); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%d bytes: %v, want ErrFormat", len(bad), err)
		}
	}
}

// A value does not turn into an empty one, nor the other way round.
func TestKindIsBound(t *testing.T) {
	c := newCloud(t)
	kek, _, blob := wrapped(t, c, c.user())
	empty, err := kek.Wrap(t.Context(), nil, []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{blob, empty} {
		b[1] ^= 1
		if out, err := kek.Unwrap(t.Context(), b, []byte("aad")); !errors.Is(err, keys.ErrWrongKey) || out != nil {
			t.Errorf("%d bytes, %v, want ErrWrongKey", len(out), err)
		}
	}
}

// The SDK would log whole messages when the environment says so.
func TestNothingIsLogged(t *testing.T) {
	t.Setenv("GOOGLE_SDK_GO_LOGGING_LEVEL", "debug")
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, stdout := os.Stderr, os.Stdout
	os.Stderr, os.Stdout = w, w
	c := newCloud(t)
	kek, _, blob := wrapped(t, c, c.user())
	_, unwrap := kek.Unwrap(t.Context(), blob, []byte("aad"))
	os.Stderr, os.Stdout = stderr, stdout
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if out, err := io.ReadAll(r); err != nil || len(out) > 0 || unwrap != nil {
		t.Errorf("logged %d bytes, %v, %v", len(out), err, unwrap)
	}
}

func FuzzUnwrap(f *testing.F) {
	c := newCloud(f)
	kek := c.kek(f, c.user(), c.key())
	blob, err := kek.Wrap(f.Context(), []byte("plain"), nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 3, 12, len(blob) - 1} {
		f.Add(blob[:n])
	}
	f.Add(append(bytes.Clone(blob), 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Equal(b, blob) {
			return
		}
		out, err := kek.Unwrap(t.Context(), b, nil)
		if !errors.Is(err, keys.ErrWrongKey) && !errors.Is(err, keys.ErrFormat) || out != nil {
			t.Errorf("%d bytes, %v", len(out), err)
		}
	})
}
