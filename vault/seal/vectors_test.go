package seal_test

import (
	"bytes"
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

var update = flag.Bool("update", false, "write testdata/vectors anew; only for a new format, never to repair a failing test")

const vectorsFile = "testdata/vectors/v1.json"

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
	if *update {
		writeVectors(t)
	}
	text, err := os.ReadFile(vectorsFile)
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

// writeVectors makes a vault and blobs in it, the failures by the primitives
// themselves, since the package cannot be made to write them.
func writeVectors(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "kek")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	kekFile, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	st := keystest.NewStorage()
	ring, err := keys.Create(t.Context(), st, kek, place.Vault)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Ensure(t.Context(), email, phone); err != nil {
		t.Fatal(err)
	}
	old := ring.Snapshot().Field(7)
	version, err := ring.AddVersion(t.Context(), email)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Promote(t.Context(), email, version); err != nil {
		t.Fatal(err)
	}
	rows, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := vectors{KEKFile: string(kekFile), Vault: place.Vault[:]}
	for _, r := range rows {
		v.Rows = append(v.Rows, keyRow{r.Name, r.Blob})
	}
	v.Cases = cases(t, old, ring.Snapshot())
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(vectorsFile), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile, append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cases(t *testing.T, old *keys.AEAD, now *keys.Snapshot) []sealCase {
	lock, person := now.Field(7), keys.NewSubjectKey().Expose()
	base := sealCase{
		FieldKey: 7, PersonKey: person[:], Collection: place.Collection, Ref: place.Ref,
		Field: place.Field, Item: place.Item, Generation: place.KeyGeneration,
	}
	var out []sealCase
	good := func(name string, outer *keys.AEAD, value []byte) sealCase {
		var hash [32]byte
		c := base
		blob, err := seal.SealHashed(nil, outer, person, &place, value, &hash)
		if err != nil {
			t.Fatal(err)
		}
		c.Name, c.Blob, c.Value, c.Hash = name, blob, value, hash[:]
		out = append(out, c)
		return c
	}
	for _, n := range []int{0, 1, 15, 16, 17, 100} {
		good(fmt.Sprintf("%d bytes", n), lock, bytes.Repeat([]byte{'v'}, n))
	}
	good("value that looks like padding", lock, []byte{0x80, 0, 0, 0})
	good("older version of the field's key", old, []byte("value"))
	c := good("for the failures", lock, []byte("value"))
	c.Value, c.Hash = nil, nil
	fail := func(name, want string, change func(c *sealCase)) {
		f := c
		f.Name, f.Fails, f.Blob = name, want, bytes.Clone(c.Blob)
		change(&f)
		out = append(out, f)
	}
	fail("another vault", "outer", func(c *sealCase) {
		c.Vault = bytes.Clone(place.Vault[:])
		c.Vault[15]++
	})
	fail("another collection", "outer", func(c *sealCase) { c.Collection++ })
	fail("another person", "outer", func(c *sealCase) { c.Ref++ })
	fail("another field", "outer", func(c *sealCase) { c.Field++ })
	fail("another item", "outer", func(c *sealCase) { c.Item++ })
	fail("another generation", "outer", func(c *sealCase) { c.Generation++ })
	fail("collection and item swapped", "outer", func(c *sealCase) { c.Collection, c.Item = c.Item, c.Collection })
	fail("person and field swapped", "outer", func(c *sealCase) { c.Ref, c.Field = uint64(c.Field), uint32(c.Ref) })
	fail("another field's key", "outer", func(c *sealCase) { c.FieldKey = 8 })
	fail("a field without a key", "outer", func(c *sealCase) { c.FieldKey = 9 })
	fail("another person's key", "inner", func(c *sealCase) { c.PersonKey = keys.NewSubjectKey().Expose()[:] })
	fail("a wiped person's key", "inner", func(c *sealCase) { c.PersonKey = make([]byte, 32) })
	fail("empty", "format", func(c *sealCase) { c.Blob = nil })
	fail("format 0", "format", func(c *sealCase) { c.Blob[0] = 0 })
	fail("format 2", "format", func(c *sealCase) { c.Blob[0] = 2 })
	fail("no outer prefix", "outer", func(c *sealCase) { c.Blob[1] = 0 })
	fail("unknown key id", "outer", func(c *sealCase) { c.Blob[5] ^= 1 })
	fail("outer nonce changed", "outer", func(c *sealCase) { c.Blob[6] ^= 1 })
	fail("text changed", "outer", func(c *sealCase) { c.Blob[40] ^= 1 })
	fail("tag changed", "outer", func(c *sealCase) { c.Blob[len(c.Blob)-1] ^= 1 })
	fail("a byte cut off", "format", func(c *sealCase) { c.Blob = c.Blob[:len(c.Blob)-1] })
	fail("a block cut off", "format", func(c *sealCase) { c.Blob = c.Blob[:len(c.Blob)-16] })
	fail("a block longer", "outer", func(c *sealCase) { c.Blob = append(c.Blob, make([]byte, 16)...) })
	fail("half of it", "format", func(c *sealCase) { c.Blob = c.Blob[:len(c.Blob)/2] })
	made := func(name, want string, text []byte, innerPlace seal.Place, innerLock byte) {
		fail(name, want, func(c *sealCase) { c.Blob = byHand(t, lock, person, &innerPlace, innerLock, text) })
	}
	wrongRef := place
	wrongRef.Ref++
	made("inner lock of another person", "inner", append([]byte("value"), 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), wrongRef, lockInner)
	made("inner lock labelled outer", "inner", append([]byte("value"), 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), place, lockOuter)
	made("padding without its mark", "format", make([]byte, 16), place, lockInner)
	made("padding of another byte", "format", append([]byte("value"), 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), place, lockInner)
	made("PKCS 7 padding", "format", append([]byte("value"), bytes.Repeat([]byte{11}, 11)...), place, lockInner)
	made("a block of padding too many", "format", append(append([]byte("value"), 0x80), make([]byte, 26)...), place, lockInner)
	made("not a multiple of the block", "format", []byte("value\x80"), place, lockInner)
	made("no padded text", "format", nil, place, lockInner)
	return out
}
