package filekek_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

const phrase = "four words that nobody guesses"

// typed is a Passphrase as a prompt would give it.
func typed(text string) filekek.Passphrase {
	return func(context.Context) ([]byte, error) { return []byte(text), nil }
}

// cheap makes a passphrase file that opens in no time.
func cheap(t *testing.T, p filekek.Passphrase) (path string) {
	t.Helper()
	path = filepath.Join(t.TempDir(), "kek")
	if err := filekek.GenerateCheap(t.Context(), path, p); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestPassphraseContract(t *testing.T) {
	file := func(t *testing.T) filekek.Passphrase {
		path := filepath.Join(t.TempDir(), "passphrase")
		if err := os.WriteFile(path, []byte(phrase+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		return filekek.PassphraseFile(path)
	}
	sources := map[string]func(t *testing.T) filekek.Passphrase{
		"file":   file,
		"prompt": func(*testing.T) filekek.Passphrase { return typed(phrase) },
		"credential": func(t *testing.T) filekek.Passphrase {
			credentials(t, "passphrase", []byte(phrase+"\n"))
			return filekek.PassphraseCredential("passphrase")
		},
	}
	for name, source := range sources {
		t.Run(name, func(t *testing.T) {
			paths := map[keys.KEK]string{}
			open := func(t *testing.T, path string, p filekek.Passphrase) keys.KEK {
				k, err := filekek.OpenPassphrase(t.Context(), path, p)
				if err != nil {
					t.Fatal(err)
				}
				paths[k] = path
				return k
			}
			keystest.RunKEK(t, keystest.Harness{
				New: func(t *testing.T) keys.KEK {
					p := source(t)
					return open(t, cheap(t, p), p)
				},
				Reopen: func(t *testing.T, k keys.KEK) keys.KEK { return open(t, paths[k], source(t)) },
			})
		})
	}
}

func TestWrongPassphrase(t *testing.T) {
	path := cheap(t, typed("Ökonomie und Wörter")) // with composed letters
	if _, err := filekek.OpenPassphrase(t.Context(), path, typed("O\u0308konomie und Wo\u0308rter")); err != nil {
		t.Errorf("with decomposed letters: %v", err)
	}
	for _, text := range []string{"", "x", phrase, "ökonomie und Wörter", "Ökonomie und Wörter ", "\xff\xfe", strings.Repeat("x", 5000)} {
		_, err := filekek.OpenPassphrase(t.Context(), path, typed(text))
		if !errors.Is(err, keys.ErrWrongKey) || text != "" && text != "x" && strings.Contains(err.Error(), text) {
			t.Errorf("a wrong passphrase of %d bytes: %v, want ErrWrongKey that does not show it", len(text), err)
		}
	}
}

// Whatever is changed in the file, nothing opens and nothing expensive is run.
func TestPassphraseFileChanged(t *testing.T) {
	good, err := os.ReadFile(cheap(t, typed(phrase)))
	if err != nil {
		t.Fatal(err)
	}
	replace := func(old, fresh string) string { return strings.Replace(string(good), old, fresh, 1) }
	part := strings.Split(strings.TrimSpace(string(good)), ":")
	tests := []struct {
		name, text string
		want       error
	}{
		{"as it was", string(good), nil},
		{"no line end", strings.TrimSuffix(string(good), "\n"), nil},
		{"cheaper", replace("m=64", "m=32"), keys.ErrWrongKey},
		{"more passes", replace("t=1", "t=2"), keys.ErrWrongKey},
		{"more lanes", replace("p=1", "p=2"), keys.ErrWrongKey},
		{"another salt", replace(part[2], "AAAAAAAAAAAAAAAAAAAAAA=="), keys.ErrWrongKey},
		{"another check", replace(part[3], "AAAAAAAAAAAAAAAAAAAAAA=="), keys.ErrWrongKey},
		{"loose bits in the salt", replace(part[2], "AAAAAAAAAAAAAAAAAAAAAB=="), keys.ErrFormat},
		{"memory without limit", replace("m=64", "m=2097153"), keys.ErrFormat},
		{"memory of 40 bits", replace("m=64", "m=1099511627776"), keys.ErrFormat},
		{"passes without limit", replace("t=1", "t=17"), keys.ErrFormat},
		{"lanes without limit", replace("m=64,t=1,p=1", "m=1024,t=1,p=17"), keys.ErrFormat},
		{"lanes that wrap around", replace("p=1", "p=257"), keys.ErrFormat},
		{"too little memory for the lanes", replace("p=1", "p=9"), keys.ErrFormat},
		{"no memory", replace("m=64", "m=0"), keys.ErrFormat},
		{"a leading zero", replace("m=64", "m=064"), keys.ErrFormat},
		{"another version", replace("-v1:", "-v2:"), keys.ErrFormat},
		{"a raw key", string(keyText(t)), keys.ErrFormat},
		{"cut", string(good[:len(good)-4]), keys.ErrFormat},
		{"longer", string(good) + "\n", keys.ErrFormat},
		{"empty", "", keys.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kek")
			if err := os.WriteFile(path, []byte(tt.text), 0o600); err != nil {
				t.Fatal(err)
			}
			if _, err := filekek.OpenPassphrase(t.Context(), path, typed(phrase)); !errors.Is(err, tt.want) || err != nil && !strings.Contains(err.Error(), path) {
				t.Errorf("got %v, want %v that names the path", err, tt.want)
			}
		})
	}
}

func TestGeneratePassphrase(t *testing.T) {
	stop := errors.New("the terminal was closed")
	tests := []struct {
		name string
		p    filekek.Passphrase
		want error
	}{
		{"12 characters", typed("äbcdefghijkl"), nil},
		{"11 characters in more bytes", typed("äöüßäöüßäöü"), keys.ErrUsage},
		{"1,024 bytes", typed(strings.Repeat("x", 1024)), nil},
		{"1,025 bytes", typed(strings.Repeat("x", 1025)), keys.ErrUsage},
		{"two lines", typed("first line\nsecond line"), keys.ErrUsage},
		{"not UTF-8", typed("\xff234567890123"), keys.ErrUsage},
		{"no answer", func(context.Context) ([]byte, error) { return nil, stop }, stop},
		{"no file", filekek.PassphraseFile("/nonexistent/passphrase"), keys.ErrNoKey},
		{"no credential", filekek.PassphraseCredential("a/b"), keys.ErrUsage},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "kek")
			err := filekek.GenerateCheap(t.Context(), path, tt.p)
			if !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
			info, statErr := os.Stat(path)
			if (statErr == nil) != (tt.want == nil) || statErr == nil && info.Mode() != 0o600 {
				t.Errorf("the file: %v", statErr)
			}
			if err == nil {
				if err := filekek.GenerateCheap(t.Context(), path, typed(phrase)); !errors.Is(err, keys.ErrExists) {
					t.Errorf("a second time: %v, want ErrExists", err)
				}
			}
		})
	}
}

// What a Passphrase returned is cleared, and a cancelled caller gets nothing.
func TestPassphraseIsCleared(t *testing.T) {
	given := [][]byte{[]byte(phrase), []byte(phrase), []byte("a wrong o\u0308ne of these")} // the last one is not normal
	ask := func(i int) filekek.Passphrase {
		return func(context.Context) ([]byte, error) { return given[i], nil }
	}
	path := cheap(t, ask(0))
	if _, err := filekek.OpenPassphrase(t.Context(), path, ask(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := filekek.OpenPassphrase(t.Context(), path, ask(2)); !errors.Is(err, keys.ErrWrongKey) {
		t.Fatal(err)
	}
	for i, b := range given {
		if !bytes.Equal(b, make([]byte, len(b))) {
			t.Errorf("passphrase %d was not cleared", i)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := filekek.OpenPassphrase(ctx, path, typed(phrase)); !errors.Is(err, context.Canceled) {
		t.Errorf("OpenPassphrase cancelled: %v", err)
	}
	if err := filekek.GenerateCheap(ctx, path+".2", typed(phrase)); !errors.Is(err, context.Canceled) {
		t.Errorf("GeneratePassphrase cancelled: %v", err)
	}
}

// vector is a file at the real cost, with a blob that must open for ever. The
// key was computed with another implementation of Argon2id as well.
type vector struct {
	File       string `json:"file"`
	Passphrase string `json:"passphrase"`
	Key        []byte `json:"key"`
	Data       []byte `json:"associated_data"`
	Plaintext  []byte `json:"plaintext"`
	Blob       []byte `json:"blob"`
}

func TestPassphraseVector(t *testing.T) {
	text, err := os.ReadFile("testdata/passphrase-v1.json")
	if err != nil {
		t.Fatal(err)
	}
	var v vector
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(v.File, ":m=262144,t=3,p=4:") {
		t.Error("the file is not of the real cost")
	}
	dir := t.TempDir()
	path, raw := filepath.Join(dir, "kek"), filepath.Join(dir, "raw")
	rawText := "cloakroom-kek-v1:" + base64.StdEncoding.EncodeToString(v.Key)
	if err := errors.Join(os.WriteFile(path, []byte(v.File), 0o600), os.WriteFile(raw, []byte(rawText), 0o600)); err != nil {
		t.Fatal(err)
	}
	k, err := filekek.OpenPassphrase(t.Context(), path, typed(v.Passphrase))
	if err != nil {
		t.Fatal(err)
	}
	same, err := filekek.Open(raw)
	if err != nil || same.Name() != k.Name() {
		t.Errorf("the passphrase gives another key than %x: %v", v.Key, err)
	}
	got, err := k.Unwrap(t.Context(), v.Blob, v.Data)
	if err != nil || !bytes.Equal(got, v.Plaintext) {
		t.Errorf("the blob opened to %d bytes: %v", len(got), err)
	}
	if _, err := filekek.OpenPassphrase(t.Context(), path, typed(v.Passphrase+".")); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("a wrong passphrase: %v", err)
	}
}

// New files are made at the real cost.
func TestGenerateAtTheRealCost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kek")
	if err := filekek.GeneratePassphrase(t.Context(), path, typed(phrase)); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil || !strings.HasPrefix(string(text), "cloakroom-passphrase-kek-v1:m=262144,t=3,p=4:") {
		t.Errorf("%v, or another cost than 256 MiB, 3 passes, 4 lanes", err)
	}
}

func BenchmarkOpenPassphrase(b *testing.B) {
	path := filepath.Join(b.TempDir(), "kek")
	if err := filekek.GeneratePassphrase(b.Context(), path, typed(phrase)); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := filekek.OpenPassphrase(b.Context(), path, typed(phrase)); err != nil {
			b.Fatal(err)
		}
	}
}
