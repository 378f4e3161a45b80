//go:build cgo && !nopkcs11

package pkcs11kek_test

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
)

// The blob is what the package comment draws: the standard library opens it,
// and what it seals that way opens here.
func TestBlob(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	tok, a := open(t, cfg), newAdmin(t, cfg)
	raw := bytes.Repeat([]byte{9}, 32)
	a.put(t.Name(), raw)
	a.put(t.Name()+"epoch-0000000258", raw)
	kek, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: t.Name()})
	if err != nil {
		t.Fatal(err)
	}
	epochs, err := tok.Epochs(t.Context(), t.Name())
	if err != nil {
		t.Fatal(err)
	}
	block, err := aes.NewCipher(raw)
	if err != nil {
		t.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		t.Fatal(err)
	}
	const header = "\x01\x00\x00\x10\x87"
	tests := []struct {
		name   string
		aad    string
		wrap   func(plaintext, aad []byte) ([]byte, error)
		unwrap func(blob, aad []byte) ([]byte, error)
	}{
		{"KEK", "cloakroom/pkcs11kek/kek/v1place",
			func(p, a []byte) ([]byte, error) { return kek.Wrap(t.Context(), p, a) },
			func(b, a []byte) ([]byte, error) { return kek.Unwrap(t.Context(), b, a) }},
		{"epoch 258", "cloakroom/pkcs11kek/epoch/v1\x00\x00\x01\x02place",
			func(p, a []byte) ([]byte, error) { return epochs.Wrap(t.Context(), 258, p, a) },
			func(b, a []byte) ([]byte, error) { return epochs.Unwrap(t.Context(), 258, b, a) }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			blob, err := tt.wrap([]byte("plain"), []byte("place"))
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.HasPrefix(blob, []byte(header)) || len(blob) != 5+12+5+16 {
				t.Fatalf("a blob of %d bytes with another head", len(blob))
			}
			out, err := gcm.Open(nil, nil, blob[5:], []byte(tt.aad))
			if err != nil || string(out) != "plain" {
				t.Errorf("the standard library does not open it: %v", err)
			}
			own := gcm.Seal([]byte(header), nil, []byte("other"), []byte(tt.aad))
			if out, err := tt.unwrap(own, []byte("place")); err != nil || string(out) != "other" {
				t.Errorf("what the standard library sealed: %v", err)
			}
		})
	}
	// The same key used for both kinds keeps them apart.
	blob, err := kek.Wrap(t.Context(), []byte("plain"), []byte("place"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := epochs.Unwrap(t.Context(), 258, blob, []byte("place")); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("a KEK's blob as an epoch's: %v, want ErrWrongKey", err)
	}
}

// Some modules want to draw the IV, and others never do.
func TestModuleIV(t *testing.T) {
	cfg, ok := config(t, mainToken)
	if !ok {
		return
	}
	newKEK(t, open(t, cfg), t.Name())
	tests := []struct {
		name     string
		open     func(context.Context, pkcs11kek.Config) (*pkcs11kek.Token, error)
		moduleIV bool
		want     error
	}{
		{"module that draws, left to it", pkcs11kek.OpenIVMaker, true, nil},
		{"module that draws, not left to it", pkcs11kek.OpenIVMaker, false, keys.ErrAway},
		{"module that does not, left to it", pkcs11kek.Open, true, keys.ErrUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			cfg := cfg
			cfg.ModuleIV = tt.moduleIV
			tok, err := tt.open(t.Context(), cfg)
			if err != nil {
				t.Fatal(err)
			}
			defer tok.Close()
			kek, err := tok.KEK(t.Context(), pkcs11kek.KeyRef{Label: "TestModuleIV"})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := kek.Wrap(t.Context(), []byte("plain"), nil); !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if tt.want == nil {
				works(t, kek)
			}
		})
	}
}

func BenchmarkUnwrap(b *testing.B) {
	cfg, ok := config(b, mainToken)
	if !ok {
		return
	}
	kek := newKEK(b, open(b, cfg), b.Name())
	blob, err := kek.Wrap(context.Background(), make([]byte, 32), []byte("aad"))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := kek.Unwrap(context.Background(), blob, []byte("aad")); err != nil {
			b.Fatal(err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	cfg, ok := config(f, mainToken)
	if !ok {
		f.Fuzz(func(*testing.T, []byte) {}) // a fuzz target must have one
		return
	}
	kek := newKEK(f, open(f, cfg), f.Name())
	good, err := kek.Wrap(f.Context(), []byte("plain"), []byte("aad"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:17])
	f.Add(good[:33])
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, blob []byte) {
		_, err := kek.Unwrap(t.Context(), blob, []byte("aad"))
		if (err == nil) != bytes.Equal(blob, good) || err != nil && !errors.Is(err, keys.ErrWrongKey) && !errors.Is(err, keys.ErrFormat) {
			t.Errorf("a blob that Wrap did not make: %v", err)
		}
	})
}
