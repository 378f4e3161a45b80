package keys_test

import (
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func FuzzHeader(f *testing.F) {
	st := keystest.NewStorage()
	ring, err := keys.Create(f.Context(), st, keystest.NewKEK(), vaultA)
	if err != nil {
		f.Fatal(err)
	}
	if err := ring.Ensure(f.Context(), field7, domain1); err != nil {
		f.Fatal(err)
	}
	if _, err := ring.AddVersion(f.Context(), field7); err != nil {
		f.Fatal(err)
	}
	rows, err := st.Load(f.Context())
	if err != nil {
		f.Fatal(err)
	}
	for _, row := range rows {
		f.Add(row.Blob)
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		same, err := keys.CheckHeader(blob)
		switch {
		case err != nil && !errors.Is(err, keys.ErrFormat):
			t.Errorf("another error: %v", err)
		case err == nil && !same:
			t.Error("what is read is not what is written")
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, name := range []string{"field/12", "audit-ref/0", "field/012", "field/4294967296", "/", "field/+1", "rows"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if id, err := keys.ParseID(name); err == nil && id.String() != name {
			t.Errorf("%q is read as %s", name, id)
		}
	})
}

func FuzzAEADOpen(f *testing.F) {
	ring := keystest.NewRing(f, field7)
	a := ring.Snapshot().Field(7)
	f.Add(a.Seal(nil, []byte("plain"), nil))
	f.Add([]byte{1, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, ciphertext []byte) {
		out, err := a.Open(nil, ciphertext, nil)
		if err != nil && len(out) > 0 {
			t.Error("an error and bytes")
		}
	})
}
