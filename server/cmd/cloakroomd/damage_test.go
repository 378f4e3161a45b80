package main_test

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// storedVault is a vault with a policy and a few hundred cards, stopped.
func storedVault(t *testing.T) (dir string, tokens []string) {
	t.Helper()
	p := serve(t, initVault(t))
	p.applyDemoPolicy()
	var records []cloakroom.RecordInput
	for i := range 300 {
		records = append(records, cloakroom.RecordInput{
			SubjectID: fmt.Sprintf("person-%d", i),
			Fields:    cloakroom.Fields{"card_pan": cloakroom.Texts(cardNumber(i))},
		})
	}
	results, err := p.as("shop").PutMany(t.Context(), customers, records)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range results {
		tokens = append(tokens, r.Record.Token("card_pan"))
	}
	p.stop()
	return p.dir, tokens
}

// copyVault copies a vault directory, with its modes.
func copyVault(t *testing.T, dir string) string {
	t.Helper()
	to := filepath.Join(t.TempDir(), "vault")
	check(t, os.CopyFS(to, os.DirFS(dir)))
	check(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		return os.Chmod(filepath.Join(to, name), info.Mode().Perm())
	}))
	return to
}

// copyFile puts a copy of a file in the place of another.
func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	check(t, err)
	check(t, os.WriteFile(to, content, 0o600))
}

// newerVersion makes a store look as if a later version had written it. The
// version stands behind its name in a page that bbolt does not checksum.
func newerVersion(name string) func(t *testing.T, dir string) {
	return func(t *testing.T, dir string) {
		t.Helper()
		path := in(dir, "data/"+name)
		content, err := os.ReadFile(path)
		check(t, err)
		newer := bytes.ReplaceAll(content, []byte("format\x01"), []byte("format\x02"))
		if bytes.Equal(newer, content) {
			t.Fatal("the file has no format version")
		}
		check(t, os.WriteFile(path, newer, 0o600))
	}
}

// TestDirectoriesThatDoNotOpen: each says what is wrong and what to do, and no
// file comes or goes.
func TestDirectoriesThatDoNotOpen(t *testing.T) {
	t.Parallel()
	dir, _ := storedVault(t)
	other := initVault(t)
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		says  []string
	}{
		{"KEK of another vault", func(t *testing.T, dir string) {
			copyFile(t, in(other, "kek/kek.key"), in(dir, "kek/kek.key"))
		}, []string{"open the root key", "hint: this KEK or epoch key belongs to another vault"}},
		{"no epoch key", func(t *testing.T, dir string) {
			remove(t, dir, "epochs/epoch-0000000001.key")
		}, []string{"epoch 1", "hint: an epoch key is missing"}},
		{"epoch key of another vault", func(t *testing.T, dir string) {
			copyFile(t, in(other, "epochs/epoch-0000000001.key"), in(dir, "epochs/epoch-0000000001.key"))
		}, []string{"epoch 1", "hint: this KEK or epoch key belongs to another vault"}},
		{"keys of another vault", func(t *testing.T, dir string) {
			for _, name := range []string{"data/keys.db", "kek/kek.key", "epochs/epoch-0000000001.key"} {
				copyFile(t, in(other, name), in(dir, name))
			}
		}, []string{"values.db", "hint: a file is damaged, or keys.db and values.db come from different vaults"}},
		{"values of another vault", func(t *testing.T, dir string) {
			copyFile(t, in(other, "data/values.db"), in(dir, "data/values.db"))
		}, []string{"different vaults", "hint: keys.db and values.db must come from the same vault"}},
		{"no key store", func(t *testing.T, dir string) { remove(t, dir, "data/keys.db") }, []string{"keys.db is missing", "hint: bring it back"}},
		{"no value store", func(t *testing.T, dir string) { remove(t, dir, "data/values.db") }, []string{"values.db is missing", "hint: bring it back"}},
		{"no store", func(t *testing.T, dir string) {
			remove(t, dir, "data/keys.db")
			remove(t, dir, "data/values.db")
		}, []string{"holds no vault", "hint: make a vault with"}},
		{"key store of a newer version", newerVersion("keys.db"), []string{"keys.db", "hint: the directory was written by another version"}},
		{"value store of a newer version", newerVersion("values.db"), []string{"values.db", "hint: the directory was written by another version"}},
		{"key store that is no store", func(t *testing.T, dir string) {
			check(t, os.WriteFile(in(dir, "data/keys.db"), bytes.Repeat([]byte("garbage "), 8192), 0o600))
		}, []string{"keys.db", "hint: a file is damaged"}},
		{"value store that is cut off", func(t *testing.T, dir string) { truncate(t, dir, "data/values.db", 20_000) }, []string{"values.db", "hint: a file is damaged"}},
		{"value store that is empty", func(t *testing.T, dir string) { truncate(t, dir, "data/values.db", 0) }, []string{"values.db", "hint: a file is damaged"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			spoiled := copyVault(t, dir)
			c.spoil(t, spoiled)
			before := names(t, spoiled)
			r := run(t, nil, daemonPath, "serve", "--config", filepath.Join(spoiled, "cloakroom.yaml")).want(t, 1, c.says...)
			for _, word := range []string{"panic", "goroutine ", "fatal error", "msg=serving"} {
				if strings.Contains(r.errors, word) {
					t.Errorf("standard error says %q:\n%s", word, r.errors)
				}
			}
			after := slices.DeleteFunc(names(t, spoiled), func(name string) bool {
				return strings.HasSuffix(name, ".lost") // set aside, and made anew from the values
			})
			if !slices.Equal(before, after) {
				t.Errorf("the files were %v and are %v", before, after)
			}
		})
	}
}

// names are the files of a vault directory.
func names(t *testing.T, dir string) []string {
	t.Helper()
	var out []string
	check(t, fs.WalkDir(os.DirFS(dir), ".", func(path string, _ fs.DirEntry, err error) error {
		out = append(out, path)
		return err
	}))
	return out
}
