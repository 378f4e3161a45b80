package backup_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

var makeGolden = flag.Bool("make-golden", false, "write the golden artefact anew")

// goldenKEK is the KEK of the golden artefact: 32 bytes 0 to 31.
func goldenKEK(t testing.TB) *filekek.KEK {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek.key")
	if err := os.WriteFile(path, []byte("cloakroom-kek-v1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	k, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// An artefact of the first version opens for ever.
func TestGolden(t *testing.T) {
	const path, text = "testdata/keys-v1.cloak", "testdata/keys-v1.txt"
	if *makeGolden {
		if err := os.WriteFile(path, artefact(t, goldenKEK(t), manifest(backup.Keys), some(backup.ChunkSize+1000)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	m, rows, err := read(t, goldenKEK(t), b)
	if err != nil {
		t.Fatal(err)
	}
	var got strings.Builder
	line, err := json.MarshalIndent(m, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	h, err := backup.Peek(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&got, "%s %s %s %s %s %v\n%s\n", h.ID, h.Kind, h.Vault, h.Pair, h.Time, h.Epochs, line)
	sum := sha256.New()
	for _, r := range rows {
		fmt.Fprintf(sum, "%d %x %x\n", r.table, r.key, r.value)
	}
	fmt.Fprintf(&got, "%d rows %x\n", len(rows), sum.Sum(nil))
	if *makeGolden {
		if err := os.WriteFile(text, []byte(got.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	if got.String() != string(want) {
		t.Errorf("the golden artefact reads otherwise:\n%.2000s", got.String())
	}
}
