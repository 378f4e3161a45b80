package token_test

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"flag"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

var update = flag.Bool("update", false, "write testdata/vectors anew; only for a new format, never to repair a failing test")

const vectorsFile = "testdata/vectors/v1.json"

// vectors is the keys of a small vault, and texts that must parse, or fail,
// for ever as they say.
type vectors struct {
	KEKFile string            `json:"kek_file"`
	Vault   string            `json:"vault"`
	Rows    map[string]string `json:"rows"`
	Cases   []tokenCase       `json:"cases"`
}

type tokenCase struct {
	Name  string `json:"name"`
	Text  string `json:"text"`
	Fails string `json:"fails,omitempty"`
	// ID is what the text stands for, when it stands for something.
	ID *token.ID `json:"id,omitempty"`
}

var tokenErrors = map[string]error{"malformed": token.ErrMalformed, "unknown": token.ErrUnknown}

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
	c := vectorCodec(t, &v)
	failing := 0
	for _, tc := range v.Cases {
		if tc.Fails != "" {
			failing++
		}
		t.Run(tc.Name, func(t *testing.T) {
			id, err := c.Parse(tc.Text)
			if tc.Fails != "" {
				if !errors.Is(err, tokenErrors[tc.Fails]) {
					t.Errorf("got %v, want %q", err, tc.Fails)
				}
				return
			}
			if err != nil || id != *tc.ID {
				t.Fatalf("parsed to %+v, %v, want %+v", id, err, *tc.ID)
			}
			if again := mint(t, c, id); again != tc.Text {
				t.Errorf("minted as %s, was %s", again, tc.Text)
			}
		})
	}
	if len(v.Cases) < 20 || failing*2 < len(v.Cases) {
		t.Errorf("%d vectors, %d of them failures: the file is not whole", len(v.Cases), failing)
	}
}

func vectorCodec(t *testing.T, v *vectors) *token.Codec {
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(v.KEKFile), 0o600); err != nil {
		t.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	var rows []keys.Row
	for name, text := range v.Rows {
		rows = append(rows, keys.Row{Name: name, Blob: unhex(t, text)})
	}
	ring, err := keys.Open(t.Context(), keystest.NewStorage(rows...), kek, [16]byte(unhex(t, v.Vault)))
	if err != nil {
		t.Fatal(err)
	}
	c, err := token.NewCodec([]token.Domain{
		{Number: 1, PRF: ring.Snapshot().PRF(domainID(1))},
		{Number: math.MaxUint16, PRF: ring.Snapshot().PRF(domainID(math.MaxUint16))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func unhex(t *testing.T, text string) []byte {
	b, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeVectors(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
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
	vault := [16]byte{0xc1, 0x0a}
	st := keystest.NewStorage()
	ring, err := keys.Create(t.Context(), st, kek, vault)
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Ensure(t.Context(), domainID(1), domainID(math.MaxUint16)); err != nil {
		t.Fatal(err)
	}
	version, err := ring.AddVersion(t.Context(), domainID(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Promote(t.Context(), domainID(1), version); err != nil {
		t.Fatal(err)
	}
	rows, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	v := vectors{KEKFile: string(kekFile), Vault: hex.EncodeToString(vault[:]), Rows: map[string]string{}}
	for _, r := range rows {
		v.Rows[r.Name] = hex.EncodeToString(r.Blob)
	}
	v.Cases = vectorCases(t, vectorCodec(t, &v), ring.Snapshot().PRF(domainID(1)))
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

func vectorCases(t *testing.T, c *token.Codec, prf *keys.PRF) []tokenCase {
	var out []tokenCase
	for _, g := range []struct {
		name string
		id   token.ID
	}{
		{"plain", some},
		{"older version", token.ID{Domain: 1, Version: 1, Ref: 9, Field: 8, Item: 7, Generation: 6}},
		{"all small", token.ID{Domain: 1, Version: 2, Ref: 1, Field: 1}},
		{"all large", token.ID{Domain: math.MaxUint16, Version: 1, Ref: math.MaxUint64, Field: token.MaxField, Item: math.MaxUint16, Generation: math.MaxUint8}},
		{"lane in the ref", token.ID{Domain: 1, Version: 2, Ref: 0xfffe<<48 | 12345, Field: 100, Item: 1}},
		{"item past a byte", token.ID{Domain: 1, Version: 2, Ref: 5, Field: 6, Item: 0x0102, Generation: 3}},
		{"another generation", token.ID{Domain: 1, Version: 2, Ref: 5, Field: 6, Item: 0x0102, Generation: 4}},
	} {
		out = append(out, tokenCase{Name: g.name, Text: mint(t, c, g.id), ID: &g.id})
	}
	good := mint(t, c, some)
	body := unspell(good)
	block := [16]byte(body[5:21])
	changed := block
	changed[15] ^= 1
	return append(out, []tokenCase{
		{Name: "empty", Fails: "malformed"},
		{Name: "short", Text: good[:36], Fails: "malformed"},
		{Name: "long", Text: good + "0", Fails: "malformed"},
		{Name: "prefix in capitals", Text: "TOK_" + good[4:], Fails: "malformed"},
		{Name: "no digit", Text: good[:36] + "_", Fails: "malformed"},
		{Name: "mistyped", Text: good[:36] + string(alphabet[(body[23]+1)%62]), Fails: "malformed"},
		{Name: "more than 24 bytes", Text: spellOver(body), Fails: "malformed"},
		{Name: "format 0", Text: spell(around(0, 1, 2, block)), Fails: "malformed"},
		{Name: "format 2", Text: spell(around(2, 1, 2, block)), Fails: "malformed"},
		{Name: "no such domain", Text: spell(around(1, 2, 1, block)), Fails: "unknown"},
		{Name: "no such version", Text: spell(around(1, 1, 3, block)), Fails: "unknown"},
		{Name: "block of another version", Text: spell(around(1, 1, 1, block)), Fails: "unknown"},
		{Name: "block of another domain", Text: spell(around(1, math.MaxUint16, 1, block)), Fails: "unknown"},
		{Name: "block changed", Text: spell(around(1, 1, 2, changed)), Fails: "unknown"},
		{Name: "check not zero", Text: byHand(t, prf, some, 1), Fails: "unknown"},
		{Name: "ref zero", Text: byHand(t, prf, token.ID{Domain: 1, Version: 2, Field: 1}, 0), Fails: "unknown"},
		{Name: "field zero", Text: byHand(t, prf, token.ID{Domain: 1, Version: 2, Ref: 1}, 0), Fails: "unknown"},
	}...)
}
