package awskek_test

import (
	"bytes"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
)

// wrapped is a KEK that works, and a blob of it.
func wrapped(t *testing.T, s *trent, u *user) (kek *awskek.KEK, arn string, blob []byte) {
	t.Helper()
	arn = s.key()
	kek = s.kek(t, u, arn)
	blob, err := kek.Wrap(t.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	return kek, arn, blob
}

// both makes both calls of a KEK and wants the same error of each, without a
// byte, and without a word of the service's own text.
func both(t *testing.T, kek *awskek.KEK, blob []byte, want error) {
	t.Helper()
	for _, c := range []struct {
		name string
		do   func() ([]byte, error)
	}{
		{"Wrap", func() ([]byte, error) { return kek.Wrap(t.Context(), []byte("plain"), []byte("aad")) }},
		{"Unwrap", func() ([]byte, error) { return kek.Unwrap(t.Context(), blob, []byte("aad")) }},
	} {
		out, err := c.do()
		if !errors.Is(err, want) || out != nil {
			t.Errorf("%s: %d bytes and %v, want %v", c.name, len(out), err, want)
		}
		for _, word := range []string{"secret-name", "plain", "127.0.0.1"} {
			if err != nil && strings.Contains(err.Error(), word) {
				t.Errorf("%s: the error holds %q: %v", c.name, word, err)
			}
		}
	}
}

func TestCodes(t *testing.T) {
	for _, test := range []struct {
		code   string
		status int
		want   error
	}{
		{"AccessDeniedException", 400, keys.ErrDenied},
		{"UnrecognizedClientException", 400, keys.ErrDenied},
		{"ExpiredTokenException", 400, keys.ErrDenied},
		{"DisabledException", 400, keys.ErrDisabled},
		{"NotFoundException", 400, keys.ErrNoKey},
		{"InvalidCiphertextException", 400, keys.ErrWrongKey},
		{"IncorrectKeyException", 400, keys.ErrWrongKey},
		{"InvalidKeyUsageException", 400, keys.ErrUsage},
		{"ThrottlingException", 400, keys.ErrAway},
		{"LimitExceededException", 400, keys.ErrAway},
		{"KMSInternalException", 500, keys.ErrAway},
		{"DependencyTimeoutException", 500, keys.ErrAway},
		{"KeyUnavailableException", 500, keys.ErrAway},
		{"UnknownError", 503, keys.ErrAway},
		{"UnknownError", 403, keys.ErrAway}, // a proxy, not the service
		{"<html>plain", 502, keys.ErrAway},
		{"NeverHeardOfException", 400, keys.ErrAway},
	} {
		t.Run(test.code, func(t *testing.T) {
			s := newTrent(t)
			u := s.user()
			kek, _, blob := wrapped(t, s, u)
			s.refuse(u, test.status, test.code)
			both(t, kek, blob, test.want)
		})
	}
}

func TestKeyStates(t *testing.T) {
	for _, test := range []struct {
		state string
		want  error
	}{
		{"Disabled", keys.ErrDisabled},
		{"PendingDeletion", keys.ErrDestroyed},
		{"PendingReplicaDeletion", keys.ErrDestroyed},
		{"PendingImport", keys.ErrNoKey},
		{"Unavailable", keys.ErrAway},
		{"Updating", keys.ErrAway},
	} {
		t.Run(test.state, func(t *testing.T) {
			s := newTrent(t)
			u := s.user()
			kek, arn, blob := wrapped(t, s, u)
			s.set(func() { s.keys[arn].state = test.state })
			both(t, kek, blob, test.want)
			if test.state == "Disabled" {
				return
			}
			// Without the right to ask for the state, the code must do.
			s.set(func() {
				u.refuse = func(op string) (int, string) {
					if op == "DescribeKey" {
						return http.StatusBadRequest, "AccessDeniedException"
					}
					return 0, ""
				}
			})
			both(t, kek, blob, keys.ErrDisabled)
		})
	}
	t.Run("deleted", func(t *testing.T) {
		s := newTrent(t)
		kek, arn, blob := wrapped(t, s, s.user())
		s.set(func() { s.keys[arn].state = "PendingDeletion" })
		s.finish()
		both(t, kek, blob, keys.ErrNoKey)
	})
}

// What does not come from the key that was asked is not believed.
func TestAnswers(t *testing.T) {
	const other = "arn:aws:kms:" + region + ":" + account + ":key/other"
	for _, test := range []struct {
		name   string
		change func(answer map[string]any)
		wrap   error
		unwrap error
	}{
		{"of another key", func(a map[string]any) { a["KeyId"] = other }, keys.ErrAway, keys.ErrWrongKey},
		{"of no key", func(a map[string]any) { delete(a, "KeyId") }, keys.ErrAway, keys.ErrAway},
		{"empty", func(a map[string]any) { delete(a, "CiphertextBlob"); delete(a, "Plaintext") }, keys.ErrAway, keys.ErrAway},
		{"not base64", func(a map[string]any) { a["CiphertextBlob"], a["Plaintext"] = "*", "*" }, keys.ErrAway, keys.ErrAway},
		{"too long", func(a map[string]any) { a["CiphertextBlob"] = make([]byte, 6145) }, keys.ErrAway, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTrent(t)
			u := s.user()
			kek, _, blob := wrapped(t, s, u)
			s.set(func() { u.tamper = func(_ string, a map[string]any) { test.change(a) } })
			if out, err := kek.Wrap(t.Context(), []byte("plain"), nil); !errors.Is(err, test.wrap) || out != nil {
				t.Errorf("Wrap: %d bytes, %v, want %v", len(out), err, test.wrap)
			}
			if out, err := kek.Unwrap(t.Context(), blob, []byte("aad")); !errors.Is(err, test.unwrap) || out != nil && test.unwrap != nil {
				t.Errorf("Unwrap: %d bytes, %v, want %v", len(out), err, test.unwrap)
			}
		})
	}
}

// The service sees the associated data under one name, and the header of the
// blob with it.
func TestEncryptionContext(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	_, _, blob := wrapped(t, s, u)
	want := `"EncryptionContext":{"cloakroom-kek":"` + base64.StdEncoding.EncodeToString([]byte("\x01\x00aad")) + `"}`
	if len(u.bodies) != 1 || !strings.Contains(u.bodies[0], want) {
		t.Errorf("no %s in %s", want, u.bodies)
	}
	if !bytes.HasPrefix(blob, []byte{1, 0}) {
		t.Errorf("the blob begins with %x", blob[:2])
	}
}

// A value does not turn into an empty one, nor the other way round.
func TestKindIsBound(t *testing.T) {
	s := newTrent(t)
	kek, _, blob := wrapped(t, s, s.user())
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

func TestLimits(t *testing.T) {
	s := newTrent(t)
	kek, _, blob := wrapped(t, s, s.user())
	most := make([]byte, 4096)
	full, err := kek.Wrap(t.Context(), most, most)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := kek.Unwrap(t.Context(), full, most); err != nil || !bytes.Equal(got, most) {
		t.Errorf("the largest: %v", err)
	}
	if _, err := kek.Wrap(t.Context(), append(most, 0), nil); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("a larger plaintext: %v", err)
	}
	if _, err := kek.Wrap(t.Context(), nil, append(most, 0)); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("Wrap, more associated data: %v", err)
	}
	if _, err := kek.Unwrap(t.Context(), blob, append(most, 0)); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("Unwrap, more associated data: %v", err)
	}
	for _, bad := range [][]byte{nil, {1}, {1, 0}, {0, 0, 1}, {2, 0, 1}, {1, 2, 1}, make([]byte, 6147)} {
		if _, err := kek.Unwrap(t.Context(), bad, nil); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%d bytes: %v, want ErrFormat", len(bad), err)
		}
	}
}

func TestWrongSecret(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	_, arn, blob := wrapped(t, s, u)
	for _, test := range []struct{ name, id, secret string }{
		{"a short secret", u.id, "x"}, // in FIPS mode the SDK would panic
		{"another secret", u.id, "not the secret of this user"},
		{"another user", "AKIAX", u.secret},
	} {
		t.Run(test.name, func(t *testing.T) {
			access := s.access(u)
			access.Credentials = credentials.NewStaticCredentialsProvider(test.id, test.secret, "")
			kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: arn, Access: access})
			if err != nil {
				t.Fatal(err)
			}
			both(t, kek, blob, keys.ErrDenied)
		})
	}
}

func FuzzUnwrap(f *testing.F) {
	s := newTrent(f)
	kek, err := awskek.Open(f.Context(), awskek.Options{KeyARN: s.key(), Access: s.access(s.user())})
	if err != nil {
		f.Fatal(err)
	}
	blob, err := kek.Wrap(f.Context(), []byte("plain"), nil)
	if err != nil {
		f.Fatal(err)
	}
	for _, n := range []int{0, 1, 2, 3, 18, len(blob) - 1} {
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
