package gcpkek_test

import (
	"fmt"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// faults are those of a provider whose KEKs have a user each.
func faults[K comparable](c *cloud, users map[K]*user) keystest.Faults[K] {
	fail := func(code codes.Code) func(*testing.T, K) func() {
		return func(_ *testing.T, kek K) func() {
			c.refuse(users[kek], code)
			return func() { c.refuse(users[kek], codes.OK) }
		}
	}
	return keystest.Faults[K]{
		Deny: fail(codes.PermissionDenied),
		Away: fail(codes.Unavailable),
		Slow: func(_ *testing.T, kek K) (<-chan struct{}, func()) {
			u, arrived, release := users[kek], make(chan struct{}, 16), make(chan struct{})
			c.set(func() { u.arrived, u.release = arrived, release })
			return arrived, func() {
				c.set(func() { u.arrived, u.release = nil, nil })
				close(release)
			}
		},
	}
}

func TestContract(t *testing.T) {
	c := newCloud(t)
	users, names := map[keys.KEK]*user{}, map[keys.KEK]string{}
	open := func(t *testing.T, u *user, name string) keys.KEK {
		kek := c.kek(t, u, name)
		users[kek], names[kek] = u, name
		return kek
	}
	keystest.RunKEK(t, keystest.Harness{
		New:    func(t *testing.T) keys.KEK { return open(t, c.user(), c.key()) },
		Reopen: func(t *testing.T, kek keys.KEK) keys.KEK { return open(t, users[kek], names[kek]) },
		Faults: faults(c, users),
	})
}

func TestEpochContract(t *testing.T) {
	c := newCloud(t)
	users, rings := map[keys.EpochKEK]*user{}, map[keys.EpochKEK]string{}
	open := func(t *testing.T, u *user, ring string) keys.EpochKEK {
		kek := c.epochs(t, u, ring)
		users[kek], rings[kek] = u, ring
		return kek
	}
	n := 0
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New: func(t *testing.T) keys.EpochKEK {
			n++
			return open(t, c.user(), fmt.Sprintf("%s-%d", ring, n))
		},
		Reopen: func(t *testing.T, kek keys.EpochKEK) keys.EpochKEK { return open(t, users[kek], rings[kek]) },
		Faults: faults(c, users),
	})
}
