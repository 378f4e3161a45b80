package awskek_test

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/awskek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// access lets u call the service. Its limits of time never decide a test.
func (s *trent) access(u *user) awskek.Access {
	return awskek.Access{
		Region: region, Endpoint: s.url, Credentials: credentials.NewStaticCredentialsProvider(u.id, u.secret, ""),
		Timeout: time.Hour, MaxBackoff: time.Nanosecond,
	}
}

func (s *trent) kek(t *testing.T, u *user, arn string) *awskek.KEK {
	t.Helper()
	kek, err := awskek.Open(t.Context(), awskek.Options{KeyARN: arn, Access: s.access(u)})
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func (s *trent) epochs(t *testing.T, u *user, prefix string) *awskek.Epochs {
	t.Helper()
	epochs, err := awskek.OpenEpochs(t.Context(), awskek.EpochOptions{Prefix: prefix, Access: s.access(u)})
	if err != nil {
		t.Fatal(err)
	}
	return epochs
}

// refuse makes the service answer every call of u so; an empty code ends it.
func (s *trent) refuse(u *user, status int, code string) {
	s.set(func() { u.refuse = func(string) (int, string) { return status, code } })
}

// faults are those of a provider whose KEKs have a user each.
func faults[K comparable](s *trent, users map[K]*user) keystest.Faults[K] {
	fail := func(status int, code string) func(*testing.T, K) func() {
		return func(_ *testing.T, kek K) func() {
			s.refuse(users[kek], status, code)
			return func() { s.refuse(users[kek], 0, "") }
		}
	}
	return keystest.Faults[K]{
		Deny: fail(http.StatusBadRequest, "AccessDeniedException"),
		Away: fail(http.StatusServiceUnavailable, "UnknownError"),
		Slow: func(_ *testing.T, kek K) (<-chan struct{}, func()) {
			u, arrived, release := users[kek], make(chan struct{}, 16), make(chan struct{})
			s.set(func() { u.arrived, u.release = arrived, release })
			return arrived, func() {
				s.set(func() { u.arrived, u.release = nil, nil })
				close(release)
			}
		},
	}
}

func TestContract(t *testing.T) {
	s := newTrent(t)
	users, arns := map[keys.KEK]*user{}, map[keys.KEK]string{}
	open := func(t *testing.T, u *user, arn string) keys.KEK {
		kek := s.kek(t, u, arn)
		users[kek], arns[kek] = u, arn
		return kek
	}
	keystest.RunKEK(t, keystest.Harness{
		New:    func(t *testing.T) keys.KEK { return open(t, s.user(), s.key()) },
		Reopen: func(t *testing.T, kek keys.KEK) keys.KEK { return open(t, users[kek], arns[kek]) },
		Faults: faults(s, users),
	})
}

func TestEpochContract(t *testing.T) {
	s := newTrent(t)
	users := map[keys.EpochKEK]*user{}
	prefixes := map[keys.EpochKEK]string{}
	open := func(t *testing.T, u *user, prefix string) keys.EpochKEK {
		kek := s.epochs(t, u, prefix)
		users[kek], prefixes[kek] = u, prefix
		return kek
	}
	n := 0
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New: func(t *testing.T) keys.EpochKEK {
			n++
			return open(t, s.user(), fmt.Sprintf("vault-%d", n))
		},
		Reopen: func(t *testing.T, kek keys.EpochKEK) keys.EpochKEK { return open(t, users[kek], prefixes[kek]) },
		Faults: faults(s, users),
	})
}
