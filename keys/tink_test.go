package keys_test

import (
	"bytes"
	"crypto/fips140"
	"testing"

	"github.com/tink-crypto/tink-go/v2/aead"
	"github.com/tink-crypto/tink-go/v2/prf"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// What the AEAD seals Tink opens, and the other way, in every version. Tink's
// own AES-GCM is none that FIPS mode takes.
func TestAEADIsTinks(t *testing.T) {
	fips140.WithoutEnforcement(func() { aeadIsTinks(t) })
}

func aeadIsTinks(t *testing.T) {
	t.Helper()
	ring := keystest.NewRing(t, field7)
	for v := uint16(1); v <= 3; v++ {
		if v > 1 {
			rotate(t, ring, field7)
		}
		s := ring.Snapshot()
		theirs, err := aead.New(ring.Handle(t, field7))
		if err != nil {
			t.Fatal(err)
		}
		ours := s.Field(7)
		for _, n := range []int{0, 1, 16, 1000} {
			plaintext, ad := bytes.Repeat([]byte{byte(n)}, n), []byte("ad")
			got, err := theirs.Decrypt(ours.Seal(nil, plaintext, ad), ad)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("version %d, %d bytes: Tink does not open ours: %v", v, n, err)
			}
			sealed, err := theirs.Encrypt(plaintext, ad)
			if err != nil {
				t.Fatal(err)
			}
			got, err = ours.Open(nil, sealed, ad)
			if err != nil || !bytes.Equal(got, plaintext) {
				t.Errorf("version %d, %d bytes: we do not open Tink's: %v", v, n, err)
			}
			if kv, err := ours.KeyVersion(sealed); err != nil || kv != v {
				t.Errorf("Tink sealed under version %d (%v), want its primary %d", kv, err, v)
			}
		}
	}
}

func TestPRFIsTinks(t *testing.T) {
	ring := keystest.NewRing(t, domain1)
	rotate(t, ring, domain1)
	s := ring.Snapshot()
	theirs, err := prf.NewPRFSet(ring.Handle(t, domain1))
	if err != nil {
		t.Fatal(err)
	}
	ours := s.PRF(domain1)
	input := bytes.Repeat([]byte("x"), 10000)
	for _, n := range []int{0, 1, 54, 55, 64, 10000} {
		framed := append([]byte("\x05label"), input[:n]...)
		want, err := theirs.ComputePrimaryPRF(framed, keys.PRFSize)
		if err != nil {
			t.Fatal(err)
		}
		for range 3 { // pooled states are used again
			got, err := ours.Compute(ours.Primary(), "label", input[:n])
			if err != nil || !bytes.Equal(got[:], want) {
				t.Fatalf("%d bytes: differs from Tink's: %v", n, err)
			}
		}
		old, err := ours.Compute(1, "label", input[:n])
		if err != nil || bytes.Equal(old[:], want) {
			t.Errorf("%d bytes: two versions give the same output: %v", n, err)
		}
	}
}

func rotate(t *testing.T, ring *keys.Ring, id keys.ID) {
	t.Helper()
	v, err := ring.AddVersion(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Promote(t.Context(), id, v); err != nil {
		t.Fatal(err)
	}
}
