package awskek_test

import (
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
)

func TestRetries(t *testing.T) {
	for _, test := range []struct {
		name  string
		times int
		want  error
	}{
		{"throttled twice", 2, nil},
		{"throttled for longer", 3, keys.ErrAway},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newTrent(t)
			u := s.user()
			kek, _, blob := wrapped(t, s, u)
			left := test.times
			s.set(func() {
				u.refuse = func(string) (int, string) {
					if left--; left >= 0 {
						return http.StatusBadRequest, "ThrottlingException"
					}
					return 0, ""
				}
			})
			got, err := kek.Unwrap(t.Context(), blob, []byte("aad"))
			if !errors.Is(err, test.want) || test.want == nil && string(got) != "plain" {
				t.Errorf("%q, %v, want %v", got, err, test.want)
			}
			if n := s.count(u, "Decrypt"); n != awskek.DefaultAttempts {
				t.Errorf("tried %d times, want %d", n, awskek.DefaultAttempts)
			}
		})
	}
	t.Run("a refusal is final", func(t *testing.T) {
		s := newTrent(t)
		u := s.user()
		kek, _, _ := wrapped(t, s, u)
		s.refuse(u, http.StatusBadRequest, "AccessDeniedException")
		_, err := kek.Wrap(t.Context(), nil, nil)
		if n := s.count(u, "Encrypt"); n != 2 || !errors.Is(err, keys.ErrDenied) {
			t.Errorf("tried %d times, %v", n-1, err)
		}
	})
}

func TestAttempts(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	access := s.access(u)
	access.Attempts = 5
	kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: s.key(), Access: access})
	if err != nil {
		t.Fatal(err)
	}
	s.refuse(u, http.StatusServiceUnavailable, "UnknownError")
	if _, err := kek.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrAway) || s.count(u, "Encrypt") != 5 {
		t.Errorf("tried %d times, %v", s.count(u, "Encrypt"), err)
	}
}

func TestAway(t *testing.T) {
	t.Run("hangs up", func(t *testing.T) {
		s := newTrent(t)
		u := s.user()
		kek, _, blob := wrapped(t, s, u)
		s.set(func() { u.lose = func(string) bool { return true } })
		both(t, kek, blob, keys.ErrAway)
	})
	t.Run("nobody there", func(t *testing.T) {
		s := newTrent(t)
		u := s.user()
		_, arn, blob := wrapped(t, s, u)
		access := s.access(u)
		access.Endpoint = "http://127.0.0.1:1"
		kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: arn, Access: access})
		if err != nil {
			t.Fatal(err)
		}
		both(t, kek, blob, keys.ErrAway)
	})
	t.Run("slower than Timeout", func(t *testing.T) {
		s := newTrent(t)
		u := s.user()
		_, arn, blob := wrapped(t, s, u)
		access := s.access(u)
		access.Timeout, access.Attempts = time.Millisecond, 1
		kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: arn, Access: access})
		if err != nil {
			t.Fatal(err)
		}
		release := make(chan struct{})
		defer close(release)
		s.set(func() { u.arrived, u.release = make(chan struct{}, 1), release })
		both(t, kek, blob, keys.ErrAway)
	})
}

// late is a context whose deadline has passed, and that has not noticed.
type late struct{ context.Context }

func (late) Deadline() (time.Time, bool) { return time.Unix(1, 0), true }

func TestDeadlinePassedUnnoticed(t *testing.T) {
	s := newTrent(t)
	u := s.user()
	kek, _, blob := wrapped(t, s, u)
	s.refuse(u, http.StatusServiceUnavailable, "UnknownError")
	ctx := late{t.Context()}
	if out, err := kek.Wrap(ctx, nil, nil); !errors.Is(err, context.DeadlineExceeded) || out != nil {
		t.Errorf("Wrap: %d bytes, %v", len(out), err)
	}
	if out, err := kek.Unwrap(ctx, blob, nil); !errors.Is(err, context.DeadlineExceeded) || out != nil {
		t.Errorf("Unwrap: %d bytes, %v", len(out), err)
	}
}
