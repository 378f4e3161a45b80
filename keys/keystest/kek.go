package keystest

import (
	"context"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Harness tells RunKEK how to get a provider's KEKs.
type Harness struct {
	// New returns a KEK with a key of its own, other than that of all before.
	New func(t *testing.T) keys.KEK
	// Reopen returns another client of the key that kek uses, as after a
	// restart. Nil when the provider has no such thing.
	Reopen func(t *testing.T, kek keys.KEK) keys.KEK
	// Deny makes the provider refuse kek from now on. Nil when it cannot be
	// made to.
	Deny func(t *testing.T, kek keys.KEK)
	// Away makes the provider unreachable for kek from now on. Nil when it
	// cannot be made to.
	Away func(t *testing.T, kek keys.KEK)
	// Hang makes the provider not answer kek until the context ends. Nil when
	// it cannot be made to.
	Hang func(t *testing.T, kek keys.KEK)
}

// RunKEK holds a provider to the contract of keys.KEK.
func RunKEK(t *testing.T, h Harness) {
	t.Run("blob", func(t *testing.T) {
		kek := h.New(t)
		runBlob(t, binding{
			wrap:   kek.Wrap,
			unwrap: kek.Unwrap,
		})
	})
	t.Run("name", func(t *testing.T) { checkName(t, h.New(t).Name()) })
	t.Run("wrong key", func(t *testing.T) {
		a, b := h.New(t), h.New(t)
		blob := must(a.Wrap(t.Context(), []byte("plain"), []byte("aad")))(t)
		wantErr(t, "another key", keys.ErrWrongKey)(b.Unwrap(t.Context(), blob, []byte("aad")))
	})
	if h.Reopen != nil {
		t.Run("reopen", func(t *testing.T) {
			kek := h.New(t)
			blob := must(kek.Wrap(t.Context(), []byte("plain"), []byte("aad")))(t)
			again := h.Reopen(t, kek)
			if got := must(again.Unwrap(t.Context(), blob, []byte("aad")))(t); string(got) != "plain" {
				t.Error("opened to something else after a restart")
			}
			if again.Name() != kek.Name() {
				t.Errorf("named %q, and %q after a restart", kek.Name(), again.Name())
			}
		})
	}
	trouble := func(name string, provoke func(*testing.T, keys.KEK), want error) {
		if provoke == nil {
			return
		}
		t.Run(name, func(t *testing.T) {
			kek := h.New(t)
			blob := must(kek.Wrap(t.Context(), []byte("plain"), nil))(t)
			provoke(t, kek)
			ctx, cancel := endingContext(t, want)
			defer cancel()
			wantErr(t, "Wrap", want)(kek.Wrap(ctx, []byte("plain"), nil))
			wantErr(t, "Unwrap", want)(kek.Unwrap(ctx, blob, nil))
		})
	}
	trouble("denied", h.Deny, keys.ErrDenied)
	trouble("away", h.Away, keys.ErrAway)
	trouble("hanging", h.Hang, context.Canceled)
}

func checkName(t *testing.T, name string) {
	if len(name) == 0 || len(name) > 255 {
		t.Errorf("a name of %d bytes, want 1 to 255", len(name))
	}
}

// endingContext returns a context that ends during the call, when that is
// what the test is about.
func endingContext(t *testing.T, want error) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	if errors.Is(want, context.Canceled) {
		go cancel()
	}
	return ctx, cancel
}
