package seal_test

import (
	"bytes"
	"crypto/fips140"
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

var update = flag.Int("update", 0, "write the vectors of this format anew; only for a new format, never to repair a failing test")

func vectorsFile(format byte) string { return fmt.Sprintf("testdata/vectors/v%d.json", format) }

// vectors is a whole small vault: a key file, the rows of its Ring, and blobs
// that must open, or fail, for ever as they say.
type vectors struct {
	KEKFile string     `json:"kek_file"`
	Vault   hexBytes   `json:"vault"`
	Rows    []keyRow   `json:"rows"`
	Cases   []sealCase `json:"cases"`
}

type keyRow struct {
	Name string   `json:"name"`
	Blob hexBytes `json:"blob"`
}

type sealCase struct {
	Name string `json:"name"`
	// Vault is that of the file when it is left out.
	Vault      hexBytes `json:"vault,omitempty"`
	FieldKey   uint32   `json:"field_key"`
	PersonKey  hexBytes `json:"person_key"`
	Collection uint16   `json:"collection"`
	Ref        uint64   `json:"ref"`
	Field      uint32   `json:"field"`
	Item       uint16   `json:"item"`
	Generation uint32   `json:"key_generation"`
	Blob       hexBytes `json:"blob"`
	// Fails is empty, or the error that opening must give.
	Fails string   `json:"fails,omitempty"`
	Value hexBytes `json:"value"`
	Hash  hexBytes `json:"inner_hash,omitempty"`
}

var sealErrors = map[string]error{"format": seal.ErrFormat, "outer": seal.ErrOuter, "inner": seal.ErrInner}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (c *sealCase) place(vault []byte) *seal.Place {
	if c.Vault != nil {
		vault = c.Vault
	}
	return &seal.Place{
		Vault: [16]byte(vault), Collection: c.Collection, Ref: c.Ref, Field: c.Field, Item: c.Item, KeyGeneration: c.Generation,
	}
}

func TestVectors(t *testing.T) {
	if *update != 0 {
		writeVectors(t, byte(*update))
	}
	for _, format := range []byte{chachaFormat, gcmFormat} {
		t.Run(fmt.Sprintf("format %d", format), func(t *testing.T) { checkVectors(t, format) })
	}
}

func checkVectors(t *testing.T, format byte) {
	text, err := os.ReadFile(vectorsFile(format))
	if err != nil {
		t.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(v.KEKFile), 0o600); err != nil {
		t.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	st := keystest.NewStorage()
	for _, r := range v.Rows {
		if err := st.Save(t.Context(), []keys.Row{{Name: r.Name, Blob: r.Blob}}, nil); err != nil {
			t.Fatal(err)
		}
	}
	ring, err := keys.Open(t.Context(), st, kek, [16]byte(v.Vault))
	if err != nil {
		t.Fatal(err)
	}
	failing := 0
	for _, c := range v.Cases {
		if c.Fails != "" {
			failing++
		}
		t.Run(c.Name, func(t *testing.T) {
			lock, person, p := ring.Snapshot().Field(c.FieldKey), (*[32]byte)(c.PersonKey), c.place(v.Vault)
			got, err := seal.Open(nil, lock, person, p, c.Blob)
			if errors.Is(err, seal.ErrNotFIPS) {
				refusedByMode(t, &c, lock, p, got, err)
				return
			}
			if c.Fails != "" {
				if !errors.Is(err, sealErrors[c.Fails]) || len(got) > 0 {
					t.Errorf("opened to %d bytes, %v, want error %q", len(got), err, c.Fails)
				}
				return
			}
			if err != nil || !bytes.Equal(got, c.Value) {
				t.Fatalf("opened to something else: %v", err)
			}
			if hash, err := seal.InnerHash(lock, p, c.Blob); err != nil || !bytes.Equal(hash[:], c.Hash) {
				t.Errorf("another inner hash: %v", err)
			}
			for i := range c.Blob {
				changed := bytes.Clone(c.Blob)
				changed[i] ^= 0x40
				if _, err := seal.Open(nil, lock, person, p, changed); err == nil {
					t.Errorf("opens with byte %d changed", i)
				}
			}
		})
	}
	if len(v.Cases) < 30 || failing*2 < len(v.Cases) {
		t.Errorf("%d vectors, %d of them failures: the file is not whole", len(v.Cases), failing)
	}
}

// refusedByMode checks what is said of a blob whose inner lock may not be
// opened in this mode: the right error, never a panic, and the work on the
// outer lock goes on.
func refusedByMode(t *testing.T, c *sealCase, lock *keys.AEAD, p *seal.Place, got []byte, err error) {
	t.Helper()
	if !fips140.Enforced() || c.Blob[0] != chachaFormat || c.Fails == "outer" {
		t.Errorf("%v, in a mode or at a lock that is not its", err)
	}
	if !errors.Is(err, seal.ErrInner) || len(got) > 0 {
		t.Errorf("%d bytes and %v, want none and ErrInner", len(got), err)
	}
	if hash, err := seal.InnerHash(lock, p, c.Blob); err != nil || c.Hash != nil && !bytes.Equal(hash[:], c.Hash) {
		t.Errorf("another inner hash: %v", err)
	}
	if moved, err := seal.Rewrap(nil, lock, lock, p, c.Blob); err != nil || moved[0] != c.Blob[0] {
		t.Errorf("Rewrap: %v", err)
	}
}
