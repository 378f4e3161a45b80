package keys_test

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func TestAEADRefuses(t *testing.T) {
	ring := keystest.NewRing(t, field7, keys.ID{Kind: keys.KindRows})
	a := ring.Snapshot().Field(7)
	sealed := a.Seal(nil, []byte("plain"), []byte("ad"))
	change := func(at int) []byte {
		c := bytes.Clone(sealed)
		c[at] ^= 1
		return c
	}
	tests := []struct {
		name       string
		ciphertext []byte
		ad         string
		want       error
	}{
		{"as sealed", sealed, "ad", nil},
		{"other associated data", sealed, "da", keys.ErrWrongKey},
		{"text changed", change(20), "ad", keys.ErrWrongKey},
		{"tag changed", change(len(sealed) - 1), "ad", keys.ErrWrongKey},
		{"nonce changed", change(5), "ad", keys.ErrWrongKey},
		{"key id changed", change(4), "ad", keys.ErrNoKey},
		{"prefix changed", change(0), "ad", keys.ErrFormat},
		{"too short", sealed[:keys.AEADOverhead-1], "ad", keys.ErrFormat},
		{"empty", nil, "ad", keys.ErrFormat},
		{"another keyset's", ring.Snapshot().Rows().Seal(nil, []byte("plain"), []byte("ad")), "ad", keys.ErrNoKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			out, err := a.Open([]byte("kept"), tt.ciphertext, []byte(tt.ad))
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if want := "kept"; err != nil && string(out) != want || err == nil && string(out) != want+"plain" {
				t.Error("dst is not as promised")
			}
		})
	}
}

func TestPRFLabelsAndVersions(t *testing.T) {
	p := keystest.NewRing(t, domain1).Snapshot().PRF(domain1)
	seen := map[[keys.PRFSize]byte]string{}
	// The pairs would be one if label and input were just joined.
	for _, in := range [][2]string{{"a", "bc"}, {"ab", "c"}, {"abc", ""}, {strings.Repeat("l", 255), "x"}, {strings.Repeat("l", 254), "lx"}} {
		out, err := p.Compute(1, in[0], []byte(in[1]))
		if err != nil {
			t.Fatal(err)
		}
		if other, twice := seen[out]; twice {
			t.Errorf("%q has the output of %q", in, other)
		}
		seen[out] = in[0]
	}
	for _, label := range []string{"", strings.Repeat("l", 256)} {
		if _, err := p.Compute(1, label, nil); !errors.Is(err, keys.ErrUsage) {
			t.Errorf("a label of %d bytes: %v", len(label), err)
		}
	}
	for _, v := range []uint16{0, 2} {
		if _, err := p.Compute(v, "l", nil); !errors.Is(err, keys.ErrNoKey) {
			t.Errorf("version %d: %v, want ErrNoKey", v, err)
		}
	}
}

func TestPRFConcurrent(t *testing.T) {
	p := keystest.NewRing(t, domain1).Snapshot().PRF(domain1)
	want, err := p.Compute(1, "label", []byte("input"))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 500 {
				if got, err := p.Compute(1, "label", []byte("input")); err != nil || got != want {
					t.Errorf("a concurrent call gave another output: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestStates(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek, field7, domain1)
	sealed := ring.Snapshot().Field(7).Seal(nil, []byte("plain"), nil)
	rotate(t, ring, field7)
	rotate(t, ring, domain1)
	steps := []struct {
		name    string
		version uint16
		to      keys.State
		want    error // of SetState
		open    error // of what version 1 sealed
	}{
		{"primary", 2, keys.Disabled, keys.ErrUsage, nil},
		{"unknown version", 9, keys.Disabled, keys.ErrNoKey, nil},
		{"unknown state", 1, 9, keys.ErrUsage, nil},
		{"destroy at once", 1, keys.Destroyed, keys.ErrUsage, nil},
		{"disable", 1, keys.Disabled, nil, keys.ErrDisabled},
		{"disable again", 1, keys.Disabled, nil, keys.ErrDisabled},
		{"enable", 1, keys.Enabled, nil, nil},
		{"disable anew", 1, keys.Disabled, nil, keys.ErrDisabled},
		{"destroy", 1, keys.Destroyed, nil, keys.ErrDestroyed},
		{"destroy again", 1, keys.Destroyed, nil, keys.ErrDestroyed},
		{"enable the destroyed", 1, keys.Enabled, keys.ErrDestroyed, keys.ErrDestroyed},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			for _, id := range []keys.ID{field7, domain1} {
				if err := ring.SetState(t.Context(), id, tt.version, tt.to); !errors.Is(err, tt.want) {
					t.Errorf("%s: got %v, want %v", id, err, tt.want)
				}
			}
			reopened, err := keys.Open(t.Context(), st, kek, vaultA)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range []*keys.Ring{ring, reopened} {
				s := r.Snapshot()
				if _, err := s.Field(7).Open(nil, sealed, nil); !errors.Is(err, tt.open) {
					t.Errorf("Open: got %v, want %v", err, tt.open)
				}
				if v, err := s.Field(7).KeyVersion(sealed); err != nil || v != 1 {
					t.Errorf("KeyVersion: %d, %v, want 1 in every state", v, err)
				}
				if _, err := s.PRF(domain1).Compute(1, "l", nil); !errors.Is(err, tt.open) {
					t.Errorf("Compute: got %v, want %v", err, tt.open)
				}
				want := []uint16{1, 2}
				if tt.open != nil {
					want = want[1:]
				}
				if got := s.PRF(domain1).Versions(); !slices.Equal(got, want) {
					t.Errorf("Versions: %v, want %v", got, want)
				}
			}
		})
	}
	v, err := ring.AddVersion(t.Context(), field7)
	if err != nil || v != 3 {
		t.Errorf("the version after a destroyed one is %d, %v, want 3", v, err)
	}
	for _, info := range ring.Snapshot().Info() {
		if info.ID == field7 && (info.Generation != 8 || info.Primary != 2 || len(info.Versions) != 3 || info.Versions[0].State != keys.Destroyed) {
			t.Errorf("Info: %+v", info)
		}
	}
}
