package keys_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func newEpoch(t testing.TB, kek keys.EpochKEK, n uint32) (*keys.Epoch, []byte) {
	t.Helper()
	e, wrapped, err := keys.CreateEpoch(t.Context(), kek, n, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	return e, wrapped
}

func TestEpochReopens(t *testing.T) {
	kek := keystest.NewEpochKEK()
	e, wrapped := newEpoch(t, kek, 3)
	person := keys.NewSubjectKey()
	blob := e.WrapSubjectKey([]byte("kept"), 9, 2, person.Expose())
	if !bytes.HasPrefix(blob, []byte("kept")) || len(blob) != 4+keys.WrappedSubjectKeySize {
		t.Fatalf("%d bytes", len(blob))
	}
	blob = blob[4:]
	if n, g, err := keys.SubjectKeyEpoch(blob); err != nil || n != 3 || g != 2 {
		t.Errorf("names epoch %d, generation %d, %v", n, g, err)
	}
	again, err := keys.OpenEpoch(t.Context(), kek, 3, vaultA, wrapped)
	if err != nil || again.Number() != 3 {
		t.Fatal(err)
	}
	var got [32]byte
	if err := again.UnwrapSubjectKey(blob, 9, 2, &got); err != nil || got != *person.Expose() {
		t.Errorf("unwrapped to something else: %v", err)
	}
	if err := kek.Destroy(t.Context(), 3); err != nil {
		t.Fatal(err)
	}
	if _, err := keys.OpenEpoch(t.Context(), kek, 3, vaultA, wrapped); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("after the end of the epoch: %v", err)
	}
}

func TestOpenEpochRefuses(t *testing.T) {
	kek := keystest.NewEpochKEK()
	_, one := newEpoch(t, kek, 1)
	_, two := newEpoch(t, kek, 2)
	renamed := append(bytes.Clone(two[:5]), one[5:]...)
	tests := []struct {
		name    string
		number  uint32
		vault   [16]byte
		wrapped []byte
		want    error
	}{
		{"another epoch", 2, vaultA, one, keys.ErrWrongKey},
		{"another epoch, renamed", 2, vaultA, renamed, keys.ErrWrongKey},
		{"another vault", 1, vaultB, one, keys.ErrWrongKey},
		{"unknown epoch", 3, vaultA, append([]byte{1, 0, 0, 0, 3}, one[5:]...), keys.ErrNoKey},
		{"unknown format", 1, vaultA, append([]byte{2}, one[1:]...), keys.ErrFormat},
		{"too short", 1, vaultA, one[:4], keys.ErrFormat},
		{"header alone", 1, vaultA, one[:5], keys.ErrWrongKey},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := keys.OpenEpoch(t.Context(), kek, tt.number, tt.vault, tt.wrapped); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
	if _, _, err := keys.CreateEpoch(t.Context(), kek, 1, vaultA); !errors.Is(err, keys.ErrExists) {
		t.Errorf("CreateEpoch on one that is there: %v", err)
	}
}

func TestUnwrapSubjectKeyRefuses(t *testing.T) {
	kek := keystest.NewEpochKEK()
	e, _ := newEpoch(t, kek, 1)
	other, _ := newEpoch(t, kek, 2)
	foreign, _, err := keys.CreateEpoch(t.Context(), keystest.NewEpochKEK(), 1, vaultB)
	if err != nil {
		t.Fatal(err)
	}
	person := keys.NewSubjectKey()
	blob := e.WrapSubjectKey(nil, 9, 2, person.Expose())
	kept := [32]byte{1, 2, 3}
	refuse := func(what string, e *keys.Epoch, blob []byte, ref uint64, generation uint32) {
		t.Helper()
		got := kept
		err := e.UnwrapSubjectKey(blob, ref, generation, &got)
		if !errors.Is(err, keys.ErrWrongKey) && !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
		if got != kept {
			t.Errorf("%s: the key changed on error", what)
		}
	}
	refuse("another person", e, blob, 10, 2)
	refuse("another generation", e, blob, 9, 3)
	refuse("another epoch", other, blob, 9, 2)
	refuse("another vault", foreign, blob, 9, 2)
	for i := range blob {
		changed := bytes.Clone(blob)
		changed[i] ^= 1
		refuse("a byte changed", e, changed, 9, 2)
		refuse("cut off", e, blob[:i], 9, 2)
	}
	// The header is part of what is authenticated: naming another generation
	// in it does not make the key one of that generation.
	changed := bytes.Clone(blob)
	changed[8] = 3
	refuse("header rewritten", e, changed, 9, 3)
}

func TestEpochAllocatesNothing(t *testing.T) {
	e, _ := newEpoch(t, keystest.NewEpochKEK(), 1)
	person, dst := keys.NewSubjectKey(), make([]byte, 0, 128)
	var blob []byte
	var got [32]byte
	n := testing.AllocsPerRun(200, func() {
		blob = e.WrapSubjectKey(dst, 1, 1, person.Expose())
		if err := e.UnwrapSubjectKey(blob, 1, 1, &got); err != nil {
			t.Fatal(err)
		}
	})
	if n >= 1 { // a collection may empty the pool once
		t.Errorf("%v allocations", n)
	}
}
