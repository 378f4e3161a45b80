package main_test

import (
	"encoding/base64"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// TestKeyFiles: the keys that stand in files are for their owner alone, and
// their bytes are in no other file and in nothing that the daemon says at its
// loudest, not even about files that are damaged.
func TestKeyFiles(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	configure(t, dir, "level: info", "level: debug")
	sought, files := keysOf(t, dir)
	p := serve(t, dir)
	p.applyDemoPolicy()
	storeCard(t, p, "ada")
	p.cli("billing", "record", customers, "ada", "--purpose", "payment").want(t, 0)
	wantNoKeys(t, "while serving", p, sought, files)
	p.stop()
	for _, path := range files {
		whole, err := os.ReadFile(path)
		check(t, err)
		check(t, os.WriteFile(path, append(whole[:len(whole)-2:len(whole)-2], '#', '\n'), 0o600))
		r := run(t, nil, daemonPath, "serve", "--config", filepath.Join(dir, "cloakroom.yaml"))
		if r.code == 0 || sought.Find([]byte(r.out+r.errors)) != "" {
			t.Errorf("with %s damaged: exit code %d, and a word about it that holds the key or none\n", filepath.Base(path), r.code)
		}
		check(t, os.WriteFile(path, whole, 0o600))
	}
	p = serve(t, dir)
	p.cli("billing", "record", customers, "ada", "--purpose", "payment").want(t, 0)
	p.stop()
	wantNoKeys(t, "after a restart", p, sought, files)
}

// keysOf returns a canary of what stands in the key files of a vault, and the
// files.
func keysOf(t *testing.T, dir string) (*keystest.Canary, []string) {
	t.Helper()
	var files []string
	for _, place := range []string{"kek", "epochs"} {
		check(t, filepath.WalkDir(filepath.Join(dir, place), func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			if info, err := d.Info(); err != nil || info.Mode() != 0o600 {
				t.Errorf("%s: mode %v, %v, want 0600", filepath.Base(path), info.Mode(), err)
			}
			files = append(files, path)
			return nil
		}))
	}
	if len(files) < 2 {
		t.Fatalf("%d key files, want that of the KEK and that of the epoch", len(files))
	}
	sought := keystest.NewCanary()
	for _, path := range files {
		text, err := os.ReadFile(path)
		check(t, err)
		_, encoded, _ := strings.Cut(strings.TrimSpace(string(text)), ":") // the kind of the file stands before
		key, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || len(key) != keys.SecretSize {
			t.Fatalf("%s: %d bytes of a key, %v", filepath.Base(path), len(key), err)
		}
		sought.Add(key) // in base64, too
	}
	return sought, files
}

// wantNoKeys looks into every other file of the vault and all that the daemon
// said.
func wantNoKeys(t *testing.T, when string, p *process, sought *keystest.Canary, but []string) {
	t.Helper()
	looked := 0
	check(t, filepath.WalkDir(p.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() || strings.Contains(strings.Join(but, "\n"), path) {
			return err
		}
		content, err := os.ReadFile(path)
		looked++
		if found := sought.Find(content); found != "" {
			t.Errorf("%s: a key stands in %s (%s)", when, d.Name(), found)
		}
		return err
	}))
	if found := sought.Find([]byte(p.log.String())); found != "" || looked < 5 {
		t.Errorf("%s: a key is in the log (%s), or only %d files were looked into", when, found, looked)
	}
}
