package keystest

import (
	"context"
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
	// Faults are troubles that the test can provoke.
	Faults Faults[keys.KEK]
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
	blobs := map[keys.KEK][]byte{}
	h.Faults.run(t, h.New, func(t *testing.T, kek keys.KEK) []call {
		blob := must(kek.Wrap(t.Context(), []byte("plain"), []byte("aad")))(t)
		blobs[kek] = blob
		return []call{
			{"Wrap", func(ctx context.Context) ([]byte, error) { return kek.Wrap(ctx, []byte("plain"), nil) }},
			{"Unwrap", func(ctx context.Context) ([]byte, error) { return kek.Unwrap(ctx, blob, []byte("aad")) }},
		}
	}, func(t *testing.T, kek keys.KEK) {
		must(kek.Wrap(t.Context(), []byte("plain"), nil))(t)
		if got := must(kek.Unwrap(t.Context(), blobs[kek], []byte("aad")))(t); string(got) != "plain" {
			t.Error("opened to something else after the trouble")
		}
	})
}

func checkName(t *testing.T, name string) {
	if len(name) == 0 || len(name) > 255 {
		t.Errorf("a name of %d bytes, want 1 to 255", len(name))
	}
}
