package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongUse(t *testing.T) {
	t.Parallel()
	for _, args := range []string{
		"serve", "serve --nope", "serve --config", "serve --config a b", "nope", "init", "init a b", "init a --nope",
		"check-config", "demo x", "demo --nope", "bench x", "bench --subjects 1", "bench --rounds 0", "bench --round 0s", "version x",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			run(t, nil, daemonPath, strings.Fields(args)...).want(t, 2, "cloakroomd: ", "--help")
		})
	}
}

func TestRightUse(t *testing.T) {
	t.Parallel()
	for _, args := range []string{"", "--help", "version", "serve --help"} {
		if r := run(t, nil, daemonPath, strings.Fields(args)...).want(t, 0); r.out == "" || r.errors != "" {
			t.Errorf("%q: %q, %q", args, r.out, r.errors)
		}
	}
}

// TestFilesThatAreRefused: serve and check-config say what is wrong, and serve
// does not start.
func TestFilesThatAreRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		spoil func(t *testing.T, dir string)
		says  []string
	}{
		{"no configuration", func(t *testing.T, dir string) { remove(t, dir, "cloakroom.yaml") }, []string{"cloakroom.yaml", "no such file"}},
		{"unknown key", func(t *testing.T, dir string) { configure(t, dir, "reflection:", "reflexion:") }, []string{"line ", "reflexion"}},
		{"all mistakes at once", func(t *testing.T, dir string) {
			configure(t, dir, "level: info", "level: loud")
			configure(t, dir, "reflection: false", "reflection: maybe")
		}, []string{"2 mistakes", "log.level", "reflection"}},
		{"KEK that others may read", func(t *testing.T, dir string) { chmod(t, dir, "kek/kek.key", 0o644) }, []string{"kek", "0600"}},
		{"KEK that is a symlink", func(t *testing.T, dir string) { link(t, dir, "kek/kek.key") }, []string{"kek", "link"}},
		{"no KEK", func(t *testing.T, dir string) { remove(t, dir, "kek/kek.key") }, []string{"kek.key"}},
		{"KEK that is cut off", func(t *testing.T, dir string) { truncate(t, dir, "kek/kek.key", 10) }, []string{"kek"}},
		{"no directory of epochs", func(t *testing.T, dir string) { remove(t, dir, "epochs") }, []string{"epochs"}},
		{"epochs inside the data", func(t *testing.T, dir string) { configure(t, dir, "directory: epochs", "directory: data/epochs") }, []string{"epochs.directory"}},
		{"key of the server that others may read", func(t *testing.T, dir string) { chmod(t, dir, "certs/server.key", 0o640) }, []string{"server.key", "0600"}},
		{"certificate of another key", func(t *testing.T, dir string) { rename(t, dir, "certs/shop.crt", "certs/server.crt") }, []string{"server.crt"}},
		{"no authority", func(t *testing.T, dir string) { truncate(t, dir, "certs/ca.crt", 0) }, []string{"ca.crt"}},
		{"no data", func(t *testing.T, dir string) { remove(t, dir, "data") }, []string{"data"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			dir := initVault(t)
			key, err := os.ReadFile(filepath.Join(dir, "kek", "kek.key"))
			if err != nil {
				t.Fatal(err)
			}
			c.spoil(t, dir)
			for _, args := range [][]string{{"serve", "--config"}, {"check-config"}} {
				r := run(t, nil, daemonPath, append(args, filepath.Join(dir, "cloakroom.yaml"))...).want(t, 1, c.says...)
				if strings.Contains(r.errors, strings.TrimSpace(string(key))) || strings.Contains(r.errors, "panic") {
					t.Errorf("%s says too much:\n%s", args[0], r.errors)
				}
			}
		})
	}
}

func in(dir, name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func remove(t *testing.T, dir, name string) {
	t.Helper()
	if _, err := os.Lstat(in(dir, name)); err != nil {
		t.Fatal(err)
	}
	check(t, os.RemoveAll(in(dir, name)))
}

func chmod(t *testing.T, dir, name string, mode os.FileMode) {
	t.Helper()
	check(t, os.Chmod(in(dir, name), mode))
}

func truncate(t *testing.T, dir, name string, size int64) {
	t.Helper()
	check(t, os.Truncate(in(dir, name), size))
}

func rename(t *testing.T, dir, from, to string) {
	t.Helper()
	check(t, os.Rename(in(dir, from), in(dir, to)))
}

// link puts a file elsewhere and a symlink in its place.
func link(t *testing.T, dir, name string) {
	t.Helper()
	elsewhere := filepath.Join(t.TempDir(), "elsewhere")
	check(t, os.Rename(in(dir, name), elsewhere))
	check(t, os.Symlink(elsewhere, in(dir, name)))
}
