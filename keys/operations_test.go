package keys_test

import (
	"crypto/ed25519"
	"errors"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// counting counts the Saves.
type counting struct {
	keys.Storage
	saves int
}

func (c *counting) Save(ctx ctx, create []keys.Row, replace []keys.Replace) error {
	c.saves++
	return c.Storage.Save(ctx, create, replace)
}

func TestRotateIsOneStep(t *testing.T) {
	st, kek := &counting{Storage: keystest.NewStorage()}, keystest.NewKEK()
	ring := create(t, st, kek, field7)
	sealed := ring.Snapshot().Field(7).Seal(nil, []byte("one"), nil)
	before := st.saves
	for want := uint16(2); want < 15; want++ { // past the number from which look-ups go another way
		if v, err := ring.Rotate(t.Context(), field7); err != nil || v != want {
			t.Fatalf("Rotate: %d, %v, want %d", v, err, want)
		}
		a := ring.Snapshot().Field(7)
		if a.Primary() != want {
			t.Errorf("primary %d, want %d", a.Primary(), want)
		}
		if out, err := a.Open(nil, sealed, nil); err != nil || string(out) != "one" {
			t.Errorf("version 1 with %d after it: %v", want-1, err)
		}
		if g := ring.Snapshot().Generation(field7); g != uint64(want) {
			t.Errorf("generation %d, want %d: one change", g, want)
		}
	}
	if n := st.saves - before; n != 13 {
		t.Errorf("13 rotations made %d Saves", n)
	}
	unknown := slices.Clone(sealed)
	unknown[1] ^= 1
	if _, err := ring.Snapshot().Field(7).Open(nil, unknown, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("an unknown id among many: %v", err)
	}
	if _, err := ring.Rotate(t.Context(), domain1); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("Rotate of what is not there: %v", err)
	}
}

func TestDisable(t *testing.T) {
	st, kek := &counting{Storage: keystest.NewStorage()}, keystest.NewKEK()
	ring := create(t, st, kek, field7, domain1, signer0)
	ids := []keys.ID{field7, domain1, signer0}
	steps := []struct {
		name           string
		version, fresh uint16
		want           error
		saves          int
	}{
		{"the primary", 1, 2, nil, 1},
		{"again", 1, 0, nil, 0},
		{"the next primary", 2, 3, nil, 1},
		{"unknown", 9, 0, keys.ErrNoKey, 0},
	}
	for _, tt := range steps {
		t.Run(tt.name, func(t *testing.T) {
			for _, id := range ids {
				before, generation := st.saves, ring.Snapshot().Generation(id)
				fresh, err := ring.Disable(t.Context(), id, tt.version)
				if fresh != tt.fresh || !errors.Is(err, tt.want) {
					t.Errorf("%s: fresh %d, %v, want %d, %v", id, fresh, err, tt.fresh, tt.want)
				}
				if n := st.saves - before; n != tt.saves {
					t.Errorf("%s: %d Saves, want %d", id, n, tt.saves)
				}
				if n := ring.Snapshot().Generation(id) - generation; n != uint64(tt.saves) {
					t.Errorf("%s: the generation rose by %d, want %d", id, n, tt.saves)
				}
			}
		})
	}
	again, err := keys.Open(t.Context(), st, kek, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	for _, info := range again.Snapshot().Info() {
		if info.Primary != 3 || info.Versions[0].State != keys.Disabled || info.Versions[1].State != keys.Disabled {
			t.Errorf("%+v", info)
		}
	}
	if err := ring.SetState(t.Context(), field7, 1, keys.Destroyed); err != nil {
		t.Fatal(err)
	}
	if _, err := ring.Disable(t.Context(), field7, 1); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("Disable of the destroyed: %v", err)
	}
}

func TestGenerationsAndIDs(t *testing.T) {
	rows, field2 := keys.ID{Kind: keys.KindRows}, keys.ID{Kind: keys.KindField, Number: 2}
	ring := keystest.NewRing(t, domain1, rows, field7, field2)
	if _, err := ring.Rotate(t.Context(), rows); err != nil {
		t.Fatal(err)
	}
	want := map[keys.ID]uint64{field2: 1, field7: 1, domain1: 1, rows: 2}
	for id, generation := range want {
		if got := ring.Snapshot().Generation(id); got != generation {
			t.Errorf("the generation of %s is %d, want %d", id, got, generation)
		}
	}
	if got := ring.Snapshot().IDs(); !slices.Equal(got, []keys.ID{field2, field7, domain1, rows}) {
		t.Errorf("IDs: %v", got)
	}
}

func TestSigners(t *testing.T) {
	ring := keystest.NewRing(t, signer0, field7)
	message := []byte("checkpoint")
	var signatures [][]byte
	for v := uint16(1); v <= 4; v++ {
		if v > 1 {
			if _, err := ring.Rotate(t.Context(), signer0); err != nil {
				t.Fatal(err)
			}
		}
		signatures = append(signatures, must(ring.Snapshot().Signer(signer0).Sign(message))(t))
	}
	if err := ring.SetState(t.Context(), signer0, 2, keys.Disabled); err != nil {
		t.Fatal(err)
	}
	if err := ring.Promote(t.Context(), signer0, 3); err != nil {
		t.Fatal(err)
	}
	var versions []uint16
	for _, s := range ring.Snapshot().Signers(signer0) {
		versions = append(versions, s.Version())
		if !ed25519.Verify(s.Public(), message, signatures[s.Version()-1]) {
			t.Errorf("version %d does not verify its own", s.Version())
		}
	}
	if !slices.Equal(versions, []uint16{3, 4, 1}) {
		t.Errorf("signers of versions %v, want the primary 3 first, then 4 and 1", versions)
	}
	if ring.Snapshot().Signer(signer0).Version() != 3 || len(ring.Snapshot().Signers(field7)) != 0 {
		t.Error("Signer is not the primary one, or a field signs")
	}
}

func TestUses(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek, field7, domain1, keys.ID{Kind: keys.KindRows})
	seal := func(s *keys.Snapshot, n int) {
		for range n {
			s.Field(7).Seal(nil, nil, nil)
		}
	}
	old := ring.Snapshot()
	seal(old, 3)
	if _, err := ring.Rotate(t.Context(), field7); err != nil {
		t.Fatal(err)
	}
	seal(ring.Snapshot(), 5)
	seal(old, 1) // who still holds an old Snapshot counts too
	if err := ring.Promote(t.Context(), field7, 1); err != nil {
		t.Fatal(err)
	}
	seal(ring.Snapshot(), 10)
	ring.Seal()
	if err := ring.Unseal(t.Context(), kek); err != nil {
		t.Fatal(err)
	}
	seal(ring.Snapshot(), 100)
	want := []keys.Use{{ID: field7, Version: 1, Count: 114}, {ID: field7, Version: 2, Count: 5}, {ID: keys.ID{Kind: keys.KindRows}, Version: 1}}
	if got := ring.Uses(); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	again := must(keys.Open(t.Context(), st, kek, vaultA))(t)
	if got := again.Uses(); slices.ContainsFunc(got, func(u keys.Use) bool { return u.Count != 0 }) {
		t.Errorf("a fresh Ring counts %v", got)
	}
}

func TestEpochUses(t *testing.T) {
	e, _ := newEpoch(t, keystest.NewEpochKEK(), 1)
	person := keys.NewSubjectKey()
	for range 3 {
		e.WrapSubjectKey(nil, 1, 1, person.Expose())
	}
	if e.Uses() != 3 {
		t.Errorf("%d uses after 3 wrappings", e.Uses())
	}
}
