package main_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// recovery runs a recovery command on the vault of a directory.
func recovery(t *testing.T, dir, command string, args ...string) result {
	t.Helper()
	return run(t, nil, daemonPath, append([]string{"recovery", command, "-c", filepath.Join(dir, "cloakroom.yaml")}, args...)...)
}

// shareFiles makes a set and returns its files.
func shareFiles(t *testing.T, dir string, args ...string) []string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "shares")
	r := recovery(t, dir, "create", append(args, "--out", out)...).want(t, 0)
	files, err := filepath.Glob(filepath.Join(out, "share-*.txt"))
	check(t, err)
	for _, path := range files {
		if !strings.Contains(r.out, path) {
			t.Errorf("%s is not named:\n%s", path, r.out)
		}
	}
	return files
}

// TestRecoveryOfALostKEK goes the way of a bad day with the programs as they
// are shipped: the KEK is lost, three people bring their shares, and the vault
// is served again.
func TestRecoveryOfALostKEK(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	p := serve(t, dir)
	p.applyDemoPolicy()
	token := storeCard(t, p, "ada")
	out := filepath.Join(t.TempDir(), "shares")
	for command, args := range map[string][]string{"create": {"--out", out}, "show": nil, "remove": nil, "use": {"share"}} {
		recovery(t, dir, command, args...).want(t, 1, "in use by another process", "stop it first")
	}
	p.stop()
	recovery(t, dir, "show").want(t, 1, "no recovery key is set", "recovery create")
	files := shareFiles(t, dir, "--shares", "5", "--threshold", "3")
	if len(files) != 5 {
		t.Fatalf("%d files", len(files))
	}
	sought := keystest.NewCanary()
	for _, path := range files {
		text, err := os.ReadFile(path)
		check(t, err)
		lines := strings.Fields(string(text))
		body := lines[len(lines)-1]
		sought.Add([]byte(body[len(body)-40:]))
	}
	silent := func(r result) result {
		t.Helper()
		if sought.Find([]byte(r.out+r.errors)) != "" {
			t.Error("a share was printed")
		}
		return r
	}
	remove(t, dir, "kek/kek.key")
	run(t, nil, daemonPath, "serve", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 1, "kek.key")
	shown := silent(recovery(t, dir, "show").want(t, 0))
	if !strings.Contains(shown.out, "Any 3 of 5 shares") || !regexp.MustCompile(`set +[0-9a-f]{16}\n`).MatchString(shown.out) {
		t.Errorf("show says:\n%s", shown.out)
	}
	silent(recovery(t, dir, "use", files[:3]...).want(t, 1, "kek.key", "hint: name a new KEK"))
	run(t, nil, daemonPath, "make-kek", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)
	run(t, nil, daemonPath, "serve", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 1, "hint: ")
	silent(recovery(t, dir, "use", files[:2]...).want(t, 1, "too few recovery shares: 2, want 3", "nothing was changed"))
	silent(recovery(t, dir, "use", files[1], files[1], files[2]).want(t, 1, files[1]+" and "+files[1], "given twice"))
	used := silent(recovery(t, dir, "use", files[4], files[0], files[3]).want(t, 0))
	if !strings.Contains(used.out, "is wrapped by file/") {
		t.Errorf("use says:\n%s", used.out)
	}

	p = serve(t, dir)
	got, err := p.as("billing").DetokenizeOne(t.Context(), token, "payment")
	if err != nil || got.Value.ExposeText() != card {
		t.Errorf("a value after the recovery: %v", err)
	}
	if r := p.cli("security", "audit", "list", "--action", "recovery").want(t, 0); !strings.Contains(r.out, "use 3 of 5 set") || !strings.Contains(r.out, "local:") {
		t.Errorf("the log says:\n%s", r.out)
	}
	p.stop()
	run(t, nil, daemonPath, "audit", "verify", "--deep", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)

	// A new set ends the old one.
	fresh := shareFiles(t, dir, "--shares", "2", "--threshold", "2")
	silent(recovery(t, dir, "use", files[:3]...).want(t, 1, files[0], "another set", "replaced, removed or never put in force"))
	recovery(t, dir, "use", fresh...).want(t, 0)
	recovery(t, dir, "remove").want(t, 0)
	recovery(t, dir, "use", fresh...).want(t, 1, "no recovery key is set")
}

func TestRecoveryWrongUse(t *testing.T) {
	t.Parallel()
	config := []string{"-c", filepath.Join(t.TempDir(), "none.yaml")}
	for args, says := range map[string]string{
		"nope":                              "unknown command",
		"shew":                              "did you mean show?",
		"create":                            "one of --out DIR and --print",
		"create x --out y":                  "takes no argument",
		"create --out x --print":            "one of --out DIR and --print",
		"create --print":                    "--print is for a terminal",
		"create --out x --threshold 6":      "--threshold",
		"create --out x --threshold 0":      "--threshold",
		"create --out x --shares 256":       "--threshold",
		"create --out x --shares many":      "--shares",
		"show x":                            "takes no argument",
		"remove x":                          "takes no argument",
		"use":                               "SHARE_FILE",
		"use --nope":                        "unknown flag",
		"create --shares 0 --threshold 0 -": "takes no argument",
	} {
		t.Run(args, func(t *testing.T) {
			t.Parallel()
			line := append([]string{"recovery"}, strings.Fields(args)...)
			if args != "nope" && args != "shew" {
				line = append(line, config...)
			}
			run(t, nil, daemonPath, line...).want(t, 2, says)
		})
	}
	for _, command := range []string{"show", "remove", "create --out x", "use x"} {
		run(t, nil, daemonPath, append([]string{"recovery"}, strings.Fields(command)...)...).want(t, 2, "config")
		run(t, nil, daemonPath, append(append([]string{"recovery"}, strings.Fields(command)...), config...)...).want(t, 1, "no such file")
	}
}
