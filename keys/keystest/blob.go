package keystest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// binding is one key of a provider, of whichever kind.
type binding struct {
	wrap   func(ctx context.Context, plaintext, aad []byte) ([]byte, error)
	unwrap func(ctx context.Context, blob, aad []byte) ([]byte, error)
}

// runBlob checks what Wrap and Unwrap of both kinds of provider promise.
func runBlob(t *testing.T, b binding) {
	t.Run("round trip", func(t *testing.T) {
		for _, size := range []int{0, 1, 15, 16, 17, 32, 255, 256, 4095, 4096} {
			for _, aadSize := range []int{0, 1, 33, 1024} {
				plaintext, aad := pattern(size), pattern(aadSize)
				blob := must(b.wrap(t.Context(), plaintext, aad))(t)
				if !bytes.Equal(plaintext, pattern(size)) || !bytes.Equal(aad, pattern(aadSize)) {
					t.Fatalf("%d bytes: Wrap changed its arguments", size)
				}
				if size >= 15 && bytes.Contains(blob, plaintext) {
					t.Fatalf("%d bytes: the blob shows the plaintext", size)
				}
				kept := bytes.Clone(blob)
				got := must(b.unwrap(t.Context(), blob, aad))(t)
				if !bytes.Equal(got, plaintext) {
					t.Fatalf("%d bytes with %d of associated data: opened to something else", size, aadSize)
				}
				if !bytes.Equal(blob, kept) || !bytes.Equal(aad, pattern(aadSize)) {
					t.Fatalf("%d bytes: Unwrap changed its arguments", size)
				}
				clear(got) // belongs to the caller: must not reach the provider's state
				if got := must(b.unwrap(t.Context(), blob, aad))(t); !bytes.Equal(got, plaintext) {
					t.Fatalf("%d bytes: clearing the result changed the next", size)
				}
			}
		}
	})
	t.Run("too large", func(t *testing.T) {
		// A provider may take more than the contract's 4,096 bytes, and must not
		// cut off what it takes.
		plaintext := pattern(64 << 10)
		blob, err := b.wrap(t.Context(), plaintext, nil)
		if err == nil {
			if got := must(b.unwrap(t.Context(), blob, nil))(t); !bytes.Equal(got, plaintext) {
				t.Error("a large plaintext came back changed")
			}
		}
	})
	t.Run("fresh", func(t *testing.T) {
		x := must(b.wrap(t.Context(), []byte("plain"), nil))(t)
		y := must(b.wrap(t.Context(), []byte("plain"), nil))(t)
		if bytes.Equal(x, y) {
			t.Error("wrapping twice gives the same blob")
		}
	})
	t.Run("wrong associated data", func(t *testing.T) {
		blob := must(b.wrap(t.Context(), []byte("plain"), []byte("aad")))(t)
		for _, aad := range [][]byte{nil, []byte("aae"), []byte("aa"), []byte("aada"), []byte("Aad")} {
			wantErr(t, fmt.Sprintf("aad %q", aad), keys.ErrWrongKey)(b.unwrap(t.Context(), blob, aad))
		}
	})
	t.Run("tampered", func(t *testing.T) {
		blob := must(b.wrap(t.Context(), []byte("0123456789abcdef0123456789abcdef"), []byte("aad")))(t)
		for i := range blob {
			changed := bytes.Clone(blob)
			changed[i] ^= 1 << (i % 8)
			refused(t, fmt.Sprintf("byte %d changed", i))(b.unwrap(t.Context(), changed, []byte("aad")))
		}
		for n := range blob {
			refused(t, fmt.Sprintf("cut to %d bytes", n))(b.unwrap(t.Context(), blob[:n:n], []byte("aad")))
		}
		refused(t, "a byte longer")(b.unwrap(t.Context(), append(bytes.Clone(blob), 0), []byte("aad")))
	})
	t.Run("cancelled", func(t *testing.T) {
		blob := must(b.wrap(t.Context(), []byte("plain"), nil))(t)
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantErr(t, "Wrap", context.Canceled)(b.wrap(ctx, []byte("plain"), nil))
		wantErr(t, "Unwrap", context.Canceled)(b.unwrap(ctx, blob, nil))
	})
	t.Run("concurrent", func(t *testing.T) {
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				for j := range 8 {
					want := fmt.Appendf(nil, "plain %d.%d", i, j)
					blob, err := b.wrap(t.Context(), want, []byte{byte(i)})
					if err != nil {
						t.Error(err)
						return
					}
					if got, err := b.unwrap(t.Context(), blob, []byte{byte(i)}); err != nil || !bytes.Equal(got, want) {
						t.Errorf("a concurrent call opened to something else, error %v", err)
					}
				}
			})
		}
		wg.Wait()
	})
}

// pattern returns n bytes that depend on their place.
func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + i>>8)
	}
	return b
}

func must(out []byte, err error) func(*testing.T) []byte {
	return func(t *testing.T) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out
	}
}

func wantErr(t *testing.T, what string, want error) func([]byte, error) {
	return func(out []byte, err error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", what, err, want)
		}
		if err != nil && len(out) > 0 {
			t.Errorf("%s: an error and %d bytes", what, len(out))
		}
	}
}

// refused wants one of the two errors that changed bytes may give.
func refused(t *testing.T, what string) func([]byte, error) {
	return func(out []byte, err error) {
		t.Helper()
		if !errors.Is(err, keys.ErrWrongKey) && !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%s: got %v, want ErrWrongKey or ErrFormat", what, err)
		}
		if len(out) > 0 {
			t.Errorf("%s: an error and %d bytes", what, len(out))
		}
	}
}
