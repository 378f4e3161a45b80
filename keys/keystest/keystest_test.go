package keystest_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// The doubles keep the contracts that the suites hold providers to.
func TestKEK(t *testing.T) {
	keystest.RunKEK(t, keystest.Harness{
		New:    func(*testing.T) keys.KEK { return keystest.NewKEK() },
		Reopen: func(_ *testing.T, k keys.KEK) keys.KEK { return k },
		Deny:   func(_ *testing.T, k keys.KEK) { k.(*keystest.KEK).Fail(keys.ErrDenied) },
		Away:   func(_ *testing.T, k keys.KEK) { k.(*keystest.KEK).Fail(keys.ErrAway) },
		Hang:   func(_ *testing.T, k keys.KEK) { k.(*keystest.KEK).Hang(true) },
	})
}

func TestEpochKEK(t *testing.T) {
	keystest.RunEpochKEK(t, keystest.EpochHarness{
		New:    func(*testing.T) keys.EpochKEK { return keystest.NewEpochKEK() },
		Reopen: func(_ *testing.T, k keys.EpochKEK) keys.EpochKEK { return k },
		Deny:   func(_ *testing.T, k keys.EpochKEK) { k.(*keystest.EpochKEK).Fail(keys.ErrDenied) },
		Away:   func(_ *testing.T, k keys.EpochKEK) { k.(*keystest.EpochKEK).Fail(keys.ErrAway) },
		Hang:   func(_ *testing.T, k keys.EpochKEK) { k.(*keystest.EpochKEK).Hang(true) },
	})
}
