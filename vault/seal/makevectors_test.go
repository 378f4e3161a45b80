package seal_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

// writeVectors makes a vault and blobs in it, the failures by the primitives
// themselves, since the package cannot be made to write them.
func writeVectors(t *testing.T, format byte) {
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
	v.Cases = cases(t, format, old, ring.Snapshot())
	text, err := json.MarshalIndent(v, "", " ")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(vectorsFile(format)), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(vectorsFile(format), append(text, '\n'), 0o644); err != nil {
		t.Fatal(err)
	}
}

func cases(t *testing.T, format byte, old *keys.AEAD, now *keys.Snapshot) []sealCase {
	lock, person := now.Field(7), keys.NewSubjectKey().Expose()
	base := sealCase{
		FieldKey: 7, PersonKey: person[:], Collection: place.Collection, Ref: place.Ref,
		Field: place.Field, Item: place.Item, Generation: place.KeyGeneration,
	}
	var out []sealCase
	good := func(name string, outer *keys.AEAD, value []byte) sealCase {
		var hash [32]byte
		c := base
		blob, err := seal.SealAs(format, nil, outer, person, &place, value, &hash)
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
	fail("the other format", "outer", func(c *sealCase) { c.Blob[0] = chachaFormat + gcmFormat - format })
	fail("format 3", "format", func(c *sealCase) { c.Blob[0] = 3 })
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
		fail(name, want, func(c *sealCase) { c.Blob = byHand(t, format, lock, person, &innerPlace, innerLock, text) })
	}
	wrongRef := place
	wrongRef.Ref++
	made("inner lock of another person", "inner", append([]byte("value"), 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), wrongRef, lockInner)
	relocked := func(c *sealCase, from, to byte) {
		inner, err := lock.Open(nil, c.Blob[1:], associated(from, lockOuter, &place))
		if err != nil {
			t.Fatal(err)
		}
		c.Blob = lock.Seal([]byte{to}, inner, associated(to, lockOuter, &place))
	}
	fail("inner lock of the other format", "inner", func(c *sealCase) { relocked(c, format, chachaFormat+gcmFormat-format) })
	made("inner lock labelled outer", "inner", append([]byte("value"), 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), place, lockOuter)
	made("padding without its mark", "format", make([]byte, 16), place, lockInner)
	made("padding of another byte", "format", append([]byte("value"), 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1), place, lockInner)
	made("PKCS 7 padding", "format", append([]byte("value"), bytes.Repeat([]byte{11}, 11)...), place, lockInner)
	made("a block of padding too many", "format", append(append([]byte("value"), 0x80), make([]byte, 26)...), place, lockInner)
	made("not a multiple of the block", "format", []byte("value\x80"), place, lockInner)
	made("no padded text", "format", nil, place, lockInner)
	return out
}
