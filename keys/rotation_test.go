package keys_test

import (
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func TestRotation(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	a := create(t, st, kek, field7, domain1)
	b, err := keys.Open(t.Context(), st, kek, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	old := a.Snapshot()
	sealed1 := old.Field(7).Seal(nil, []byte("one"), nil)

	v, err := a.AddVersion(t.Context(), field7)
	if err != nil || v != 2 {
		t.Fatalf("AddVersion: %d, %v", v, err)
	}
	if p := a.Snapshot().Field(7).Primary(); p != 1 {
		t.Errorf("primary is %d before Promote, want 1", p)
	}
	// b knows nothing of version 2, so its save meets a changed row.
	if v, err = b.AddVersion(t.Context(), field7); err != nil || v != 3 {
		t.Fatalf("AddVersion on a Ring that is behind: %d, %v", v, err)
	}
	if err := a.Promote(t.Context(), field7, 3); err != nil {
		t.Fatal(err)
	}
	if err := a.Promote(t.Context(), field7, 9); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("Promote of an unknown version: %v", err)
	}
	s := a.Snapshot()
	sealed3 := s.Field(7).Seal(nil, []byte("three"), nil)
	if v, err := s.Field(7).KeyVersion(sealed3); err != nil || v != 3 {
		t.Errorf("KeyVersion: %d, %v, want 3", v, err)
	}
	for _, sealed := range [][]byte{sealed1, sealed3} {
		if _, err := s.Field(7).Open(nil, sealed, nil); err != nil {
			t.Error(err)
		}
	}
	if _, err := old.Field(7).Open(nil, sealed3, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("an old snapshot: got %v, want ErrNoKey", err)
	}
	if err := b.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if g := b.Snapshot().Generation(field7); g != 4 {
		t.Errorf("generation %d after one creation and three changes, want 4", g)
	}
}

func TestReloadNoticesOldRows(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	r := create(t, st, kek, field7)
	before, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.AddVersion(t.Context(), field7); err != nil {
		t.Fatal(err)
	}
	after, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var replace []keys.Replace
	for i := range before {
		if before[i].Name == "field/7" {
			replace = append(replace, keys.Replace{Name: "field/7", Old: after[i].Blob, New: before[i].Blob})
		}
	}
	if err := st.Save(t.Context(), nil, replace); err != nil {
		t.Fatal(err)
	}
	if err := r.Reload(t.Context()); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("got %v, want ErrWrongKey", err)
	}
	if g := r.Snapshot().Generation(field7); g != 2 {
		t.Errorf("a failed Reload changed the Ring: generation %d", g)
	}
}
