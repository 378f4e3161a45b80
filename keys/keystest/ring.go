package keystest

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// NewRing returns a Ring in memory that has the given keysets, of a vault
// whose id is all zero. It is closed when the test ends.
func NewRing(t testing.TB, ids ...keys.ID) *keys.Ring {
	t.Helper()
	r, err := keys.Create(t.Context(), NewStorage(), NewKEK(), [16]byte{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.Ensure(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	return r
}
