package recovery_test

import (
	"encoding/json"
	"flag"
	"os"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/recovery"
)

var update = flag.Bool("update", false, "write testdata anew; only for a new format, never to repair a failing test")

// TestMakeVector writes the vector when it is told to, and else wants it to be
// there.
func TestMakeVector(t *testing.T) {
	if !*update {
		if _, err := os.Stat(vectorFile); err != nil {
			t.Error(err)
		}
		return
	}
	public, shares := split(t, 5, 3)
	secret, err := recovery.Combine(vaultA, public, shares[:3])
	if err != nil {
		t.Fatal(err)
	}
	v := vector{Vault: vaultA[:], Set: public.Set[:], Key: public.Key[:], Scalar: secret.Scalar.Expose()[:]}
	for i := range public.Commitments {
		v.Commitments = append(v.Commitments, public.Commitments[i][:])
	}
	for _, s := range shares {
		v.Shares = append(v.Shares, s.Expose())
	}
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}
