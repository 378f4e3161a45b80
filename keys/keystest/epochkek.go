package keystest

import (
	"context"
	"errors"
	"math"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// EpochHarness tells RunEpochKEK how to get a provider's EpochKEKs.
type EpochHarness struct {
	// New returns an EpochKEK without epochs.
	New func(t *testing.T) keys.EpochKEK
	// Reopen returns another client of the keys that kek uses, as after a
	// restart. Nil when the provider has no such thing.
	Reopen func(t *testing.T, kek keys.EpochKEK) keys.EpochKEK
	// Faults are troubles that the test can provoke.
	Faults Faults[keys.EpochKEK]
}

// RunEpochKEK holds a provider to the contract of keys.EpochKEK.
func RunEpochKEK(t *testing.T, h EpochHarness) {
	withEpoch := func(t *testing.T, epochs ...uint32) keys.EpochKEK {
		t.Helper()
		kek := h.New(t)
		for _, n := range epochs {
			if err := kek.Create(t.Context(), n); err != nil {
				t.Fatal(err)
			}
		}
		return kek
	}
	t.Run("blob", func(t *testing.T) {
		kek := withEpoch(t, 3)
		runBlob(t, binding{
			wrap:   func(ctx context.Context, p, a []byte) ([]byte, error) { return kek.Wrap(ctx, 3, p, a) },
			unwrap: func(ctx context.Context, b, a []byte) ([]byte, error) { return kek.Unwrap(ctx, 3, b, a) },
		})
	})
	t.Run("name", func(t *testing.T) { checkName(t, h.New(t).Name()) })
	t.Run("destruction", func(t *testing.T) { checkDestruction(t, h.New(t)) })
	t.Run("epochs are apart", func(t *testing.T) {
		kek := withEpoch(t, 0, 1, math.MaxUint32)
		for _, n := range []uint32{0, 1, math.MaxUint32} {
			blob := must(kek.Wrap(t.Context(), n, []byte("plain"), nil))(t)
			for _, m := range []uint32{0, 1, math.MaxUint32} {
				if out, err := kek.Unwrap(t.Context(), m, blob, nil); n == m && err != nil || n != m && !errors.Is(err, keys.ErrWrongKey) {
					t.Errorf("wrapped in %d, unwrapped in %d: %d bytes, %v", n, m, len(out), err)
				}
			}
		}
	})
	t.Run("missing", func(t *testing.T) {
		kek := withEpoch(t, 1)
		blob := must(kek.Wrap(t.Context(), 1, []byte("plain"), nil))(t)
		wantErr(t, "Wrap", keys.ErrNoKey)(kek.Wrap(t.Context(), 2, []byte("plain"), nil))
		wantErr(t, "Unwrap", keys.ErrNoKey)(kek.Unwrap(t.Context(), 2, blob, nil))
		wantErr(t, "Destroy", keys.ErrNoKey)(nil, kek.Destroy(t.Context(), 2))
		if err := kek.Create(t.Context(), 2); err != nil {
			t.Errorf("Create of an epoch that was only asked for: %v", err)
		}
	})
	t.Run("create twice", func(t *testing.T) {
		kek := withEpoch(t, 1)
		blob := must(kek.Wrap(t.Context(), 1, []byte("plain"), nil))(t)
		wantErr(t, "Create", keys.ErrExists)(nil, kek.Create(t.Context(), 1))
		must(kek.Unwrap(t.Context(), 1, blob, nil))(t)
	})
	t.Run("create races", func(t *testing.T) {
		kek := h.New(t)
		var wg sync.WaitGroup
		var made atomic.Int32
		for range 8 {
			wg.Go(func() {
				switch err := kek.Create(t.Context(), 1); {
				case err == nil:
					made.Add(1)
				case !errors.Is(err, keys.ErrExists):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if made.Load() != 1 {
			t.Errorf("created %d times, want once", made.Load())
		}
	})
	t.Run("destroy", func(t *testing.T) {
		kek := withEpoch(t, 1, 2)
		blob := must(kek.Wrap(t.Context(), 1, []byte("plain"), nil))(t)
		other := must(kek.Wrap(t.Context(), 2, []byte("plain"), nil))(t)
		for range 2 { // it may be repeated
			if err := kek.Destroy(t.Context(), 1); err != nil {
				t.Fatal(err)
			}
			destroyed(t, kek, blob)
		}
		must(kek.Unwrap(t.Context(), 2, other, nil))(t)
		if h.Reopen != nil {
			kek = h.Reopen(t, kek)
			destroyed(t, kek, blob)
			must(kek.Unwrap(t.Context(), 2, other, nil))(t)
		}
	})
	t.Run("destroy cancelled", func(t *testing.T) {
		kek := withEpoch(t, 1)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "Destroy", context.Canceled)(nil, kek.Destroy(ctx, 1))
		wantErr(t, "Create", context.Canceled)(nil, kek.Create(ctx, 2))
		must(kek.Wrap(t.Context(), 1, []byte("plain"), nil))(t)
	})
	h.Faults.run(t, func(t *testing.T) keys.EpochKEK { return withEpoch(t, 1, 3) }, epochCalls, worksAgain)
}

// epochCalls uses epoch 1, makes epoch 2 and destroys epoch 3.
func epochCalls(t *testing.T, kek keys.EpochKEK) []call {
	blob := must(kek.Wrap(t.Context(), 1, []byte("plain"), nil))(t)
	return []call{
		{"Create", func(ctx context.Context) ([]byte, error) { return nil, kek.Create(ctx, 2) }},
		{"Wrap", func(ctx context.Context) ([]byte, error) { return kek.Wrap(ctx, 1, []byte("plain"), nil) }},
		{"Unwrap", func(ctx context.Context) ([]byte, error) { return kek.Unwrap(ctx, 1, blob, nil) }},
		{"Destroy", func(ctx context.Context) ([]byte, error) { return nil, kek.Destroy(ctx, 3) }},
	}
}

// worksAgain wants everything to work after the trouble, and what was cut off
// to be finished by the next try.
func worksAgain(t *testing.T, kek keys.EpochKEK) {
	t.Helper()
	blob := must(kek.Wrap(t.Context(), 1, []byte("plain"), nil))(t)
	must(kek.Unwrap(t.Context(), 1, blob, nil))(t)
	if err := kek.Create(t.Context(), 2); err != nil && !errors.Is(err, keys.ErrExists) {
		t.Errorf("Create after the trouble: %v", err)
	}
	must(kek.Wrap(t.Context(), 2, []byte("plain"), nil))(t)
	if err := kek.Destroy(t.Context(), 3); err != nil {
		t.Errorf("Destroy after the trouble: %v", err)
	}
	wantErr(t, "Wrap", keys.ErrDestroyed)(kek.Wrap(t.Context(), 3, []byte("plain"), nil))
}

// destroyed wants every call on epoch 1 to say so.
func destroyed(t *testing.T, kek keys.EpochKEK, blob []byte) {
	t.Helper()
	wantErr(t, "Wrap", keys.ErrDestroyed)(kek.Wrap(t.Context(), 1, []byte("plain"), nil))
	wantErr(t, "Unwrap", keys.ErrDestroyed)(kek.Unwrap(t.Context(), 1, blob, nil))
	wantErr(t, "Create", keys.ErrDestroyed)(nil, kek.Create(t.Context(), 1))
}

// maxDelay is longer than any service keeps a key that is to be destroyed.
const maxDelay = 366 * 24 * time.Hour

// checkDestruction wants one line for people, and a delay that the same
// provider always has.
func checkDestruction(t *testing.T, kek keys.EpochKEK) {
	t.Helper()
	d := kek.Destruction()
	if len(d.How) == 0 || len(d.How) > 255 || strings.ContainsFunc(d.How, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("How is not one line of 1 to 255 bytes: %q", d.How)
	}
	if d.Delay < 0 || d.Delay > maxDelay {
		t.Errorf("a delay of %v", d.Delay)
	}
	if err := kek.Create(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if err := kek.Destroy(t.Context(), 1); err != nil {
		t.Fatal(err)
	}
	if after := kek.Destruction(); after != d {
		t.Errorf("says %+v, and after a Destroy %+v", d, after)
	}
}
