package keystest_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// double is what both doubles can be told.
type double interface {
	Fail(err error)
	Slow() (arrived <-chan struct{}, restore func())
}

func faults[K any]() keystest.Faults[K] {
	fail := func(err error) func(*testing.T, K) func() {
		return func(_ *testing.T, kek K) func() {
			any(kek).(double).Fail(err)
			return func() { any(kek).(double).Fail(nil) }
		}
	}
	return keystest.Faults[K]{
		Deny: fail(keys.ErrDenied),
		Away: fail(keys.ErrAway),
		Slow: func(_ *testing.T, kek K) (<-chan struct{}, func()) { return any(kek).(double).Slow() },
	}
}

// The doubles keep the contracts that the suites hold providers to.
func TestKEK(t *testing.T) {
	keystest.RunKEK(t, keystest.Harness{
		New:    func(*testing.T) keys.KEK { return keystest.NewKEK() },
		Reopen: func(_ *testing.T, k keys.KEK) keys.KEK { return k },
		Faults: faults[keys.KEK](),
	})
}

func TestEpochKEK(t *testing.T) {
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New:    func(*testing.T) keys.EpochKEK { return keystest.NewEpochKEK() },
		Reopen: func(_ *testing.T, k keys.EpochKEK) keys.EpochKEK { return k },
		Faults: faults[keys.EpochKEK](),
	})
}
