package keys_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func none(int) bool { return false }

func TestVectors(t *testing.T) {
	for _, format := range []string{"v1", "v2"} {
		t.Run(format, func(t *testing.T) { testVectors(t, readVectors(t, format)) })
	}
}

// kekName returns where the name of the KEK stands in a root row. It helps a
// person and decides nothing.
func kekName(blob []byte) (from, to int) {
	at := map[byte]int{1: 1, 2: 25}[blob[0]]
	return at + 1, at + 1 + int(blob[at])
}

func testVectors(t *testing.T, v *vectors) {
	kek, vault := v.kek(t, 0), [16]byte(v.Vault)
	for _, c := range v.Rings {
		t.Run("ring/"+c.Name, func(t *testing.T) {
			_, err := keys.Open(t.Context(), v.storage(c.Replace), v.kek(t, c.KEK), [16]byte(c.Vault))
			if !errors.Is(err, vectorErrors[c.Fails]) {
				t.Errorf("got %v, want %q", err, c.Fails)
			}
		})
	}
	for _, row := range v.Rows {
		t.Run("ring/flips of "+row.Name, func(t *testing.T) {
			keep := none
			if row.Name == "root" {
				from, to := kekName(row.Blob)
				keep = func(at int) bool { return at >= from && at < to }
			}
			flips(t, row.Blob, keep, func(changed []byte) error {
				_, err := keys.Open(t.Context(), v.storage(&vectorRow{row.Name, changed}), kek, vault)
				return err
			})
		})
	}
	ring, err := keys.Open(t.Context(), v.storage(nil), kek, vault)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Sealed {
		t.Run("sealed/"+c.Name, func(t *testing.T) {
			got, err := ring.Snapshot().AEAD(field7).Open(nil, c.Ciphertext, c.Data)
			if !errors.Is(err, vectorErrors[c.Fails]) || !bytes.Equal(got, c.Plaintext) {
				t.Errorf("opened to %d bytes, %v, want %q", len(got), err, c.Fails)
			}
		})
	}
	for _, c := range v.Outputs {
		t.Run(fmt.Sprintf("output/%d %s", c.Version, c.Label), func(t *testing.T) {
			got, err := ring.Snapshot().PRF(domain1).Compute(c.Version, c.Label, c.Input)
			if !errors.Is(err, vectorErrors[c.Fails]) || c.Fails == "" && !bytes.Equal(got[:], c.Output) {
				t.Errorf("another output, %v, want %q", err, c.Fails)
			}
		})
	}
}

func TestEpochVectors(t *testing.T) {
	for _, format := range []string{"v1", "v2"} {
		t.Run(format, func(t *testing.T) { testEpochVectors(t, readVectors(t, format)) })
	}
}

// TestRecoveryVector opens the root by the recovery key, for ever.
func TestRecoveryVector(t *testing.T) {
	v := readVectors(t, "v2")
	st, kek := v.storage(nil), keystest.NewKEK()
	info := must(keys.RecoveryOf(t.Context(), st))(t)
	secret := keys.RecoverySecret{Set: info.Set, Scalar: keys.CopySecret((*[keys.SecretSize]byte)(v.RecoveryScalar))}
	check(t, keys.Recover(t.Context(), st, [16]byte(v.Vault), secret, kek))
	must(keys.Open(t.Context(), st, kek, [16]byte(v.Vault)))(t)
}

func testEpochVectors(t *testing.T, v *vectors) {
	for _, c := range v.Epochs {
		t.Run("epoch/"+c.Name, func(t *testing.T) {
			_, err := keys.OpenEpoch(t.Context(), v.epochKEK(t, c.File, c.Number), c.Number, [16]byte(c.Vault), c.Blob)
			if !errors.Is(err, vectorErrors[c.Fails]) {
				t.Errorf("got %v, want %q", err, c.Fails)
			}
		})
	}
	kek := v.epochKEK(t, 0, vectorEpoch)
	epoch, err := keys.OpenEpoch(t.Context(), kek, vectorEpoch, [16]byte(v.Vault), v.EpochKey)
	if err != nil {
		t.Fatal(err)
	}
	flips(t, v.EpochKey, none, func(changed []byte) error {
		_, err := keys.OpenEpoch(t.Context(), kek, vectorEpoch, [16]byte(v.Vault), changed)
		return err
	})
	for _, c := range v.Subjects {
		t.Run("subject/"+c.Name, func(t *testing.T) {
			var got [keys.SecretSize]byte
			err := epoch.UnwrapSubjectKey(c.Blob, c.Ref, c.Generation, &got)
			if c.Fails != "" {
				if !errors.Is(err, vectorErrors[c.Fails]) || got != [keys.SecretSize]byte{} {
					t.Errorf("got %v, want %q", err, c.Fails)
				}
				return
			}
			if err != nil || !bytes.Equal(got[:], c.Key) {
				t.Fatalf("opened to something else: %v", err)
			}
			flips(t, c.Blob, none, func(changed []byte) error {
				return epoch.UnwrapSubjectKey(changed, c.Ref, c.Generation, &got)
			})
		})
	}
}
