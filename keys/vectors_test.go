package keys_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

var update = flag.Bool("update", false, "write testdata/vectors anew; only for a new format, never to repair a failing test")

// vectorsFile is the file of a format; only the latest is ever written.
func vectorsFile(format string) string { return filepath.Join("testdata", "vectors", format+".json") }

const latestVectors = "v2"

// vectors is the keys of a small vault as they lie on disks: key files, rows
// of a Ring, an epoch key and a person's key, which must open, or fail, for
// ever as the cases say.
type vectors struct {
	Vault hexBytes `json:"vault"`
	// KEKFiles and EpochFiles are the texts of key files; a case names them by
	// position. Every text of EpochFiles serves as the key of any epoch.
	KEKFiles   []string    `json:"kek_files"`
	EpochFiles []string    `json:"epoch_files"`
	Rows       []vectorRow `json:"rows"`
	// RecoveryScalar is the private half of the key that the row "recovery" is
	// sealed to, where there is one.
	RecoveryScalar hexBytes      `json:"recovery_scalar,omitempty"`
	Rings          []ringCase    `json:"rings"`
	Sealed         []sealedCase  `json:"sealed"`
	Outputs        []outputCase  `json:"outputs"`
	EpochKey       hexBytes      `json:"epoch_key"` // the wrapped one that opens
	Epochs         []epochCase   `json:"epochs"`
	Subjects       []subjectCase `json:"subjects"`
}

type vectorRow struct {
	Name string   `json:"name"`
	Blob hexBytes `json:"blob"`
}

// ringCase opens the rows, one of them replaced when Replace is set.
type ringCase struct {
	Name    string     `json:"name"`
	KEK     int        `json:"kek"`
	Vault   hexBytes   `json:"vault"`
	Replace *vectorRow `json:"replace,omitempty"`
	Fails   string     `json:"fails,omitempty"` // empty, or the error
}

// sealedCase opens a ciphertext of field/7.
type sealedCase struct {
	Name       string   `json:"name"`
	Data       hexBytes `json:"associated_data"`
	Ciphertext hexBytes `json:"ciphertext"`
	Fails      string   `json:"fails,omitempty"`
	Plaintext  hexBytes `json:"plaintext"`
}

// outputCase computes with domain/1.
type outputCase struct {
	Version uint16   `json:"version"`
	Label   string   `json:"label"`
	Input   hexBytes `json:"input"`
	Fails   string   `json:"fails,omitempty"`
	Output  hexBytes `json:"output"`
}

type epochCase struct {
	Name   string   `json:"name"`
	File   int      `json:"file"`
	Number uint32   `json:"number"`
	Vault  hexBytes `json:"vault"`
	Blob   hexBytes `json:"blob"`
	Fails  string   `json:"fails,omitempty"`
}

// subjectCase opens a person's key with the epoch key of the vectors.
type subjectCase struct {
	Name       string   `json:"name"`
	Ref        uint64   `json:"ref"`
	Generation uint32   `json:"generation"`
	Blob       hexBytes `json:"blob"`
	Fails      string   `json:"fails,omitempty"`
	Key        hexBytes `json:"key,omitempty"`
}

const vectorEpoch = 5

var vectorErrors = map[string]error{
	"": nil, "format": keys.ErrFormat, "wrong key": keys.ErrWrongKey, "no key": keys.ErrNoKey,
	"disabled": keys.ErrDisabled, "destroyed": keys.ErrDestroyed,
}

type hexBytes []byte

func (h hexBytes) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func (v *vectors) kek(t *testing.T, i int) keys.KEK {
	t.Helper()
	path := filepath.Join(t.TempDir(), "kek")
	if err := os.WriteFile(path, []byte(v.KEKFiles[i]), 0o600); err != nil {
		t.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return kek
}

func (v *vectors) epochKEK(t *testing.T, i int, number uint32) keys.EpochKEK {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "epochs")
	kek, err := filekek.CreateEpochs(dir)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, fmt.Sprintf("epoch-%010d.key", number))
	if err := os.WriteFile(path, []byte(v.EpochFiles[i]), 0o600); err != nil {
		t.Fatal(err)
	}
	return kek
}

// storage returns the rows, with one of them replaced.
func (v *vectors) storage(replace *vectorRow) *keystest.Storage {
	rows := make([]keys.Row, 0, len(v.Rows))
	for _, r := range v.Rows {
		if replace != nil && replace.Name == r.Name {
			r = *replace
		}
		rows = append(rows, keys.Row{Name: r.Name, Blob: r.Blob})
	}
	return keystest.NewStorage(rows...)
}

func readVectors(t *testing.T, format string) *vectors {
	t.Helper()
	if *update && format == latestVectors {
		writeVectors(t)
	}
	text, err := os.ReadFile(vectorsFile(format))
	if err != nil {
		t.Fatal(err)
	}
	v := new(vectors)
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(v); err != nil {
		t.Fatal(err)
	}
	cases, failing := 0, 0
	count := func(fails string) {
		if _, known := vectorErrors[fails]; !known {
			t.Fatalf("unknown error %q in the vectors", fails)
		}
		if cases++; fails != "" {
			failing++
		}
	}
	for _, c := range v.Rings {
		count(c.Fails)
	}
	for _, c := range v.Sealed {
		count(c.Fails)
	}
	for _, c := range v.Outputs {
		count(c.Fails)
	}
	for _, c := range v.Epochs {
		count(c.Fails)
	}
	for _, c := range v.Subjects {
		count(c.Fails)
	}
	if cases < 40 || failing*2 < cases {
		t.Fatalf("%d vectors, %d of them failures: the file is not whole", cases, failing)
	}
	return v
}

// flips calls open with each byte of blob changed, but for those in keep.
func flips(t *testing.T, blob []byte, keep func(at int) bool, open func(changed []byte) error) {
	t.Helper()
	for at := range blob {
		changed := bytes.Clone(blob)
		changed[at] ^= 0x40
		if err := open(changed); (err == nil) != keep(at) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}
