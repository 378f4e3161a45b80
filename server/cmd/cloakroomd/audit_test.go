package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// run runs one command line.
func runLine(t *testing.T, args ...string) (exit int, out, errs string) {
	t.Helper()
	var o, e bytes.Buffer
	exit = execute(t.Context(), args, &o, &e)
	return exit, o.String(), e.String()
}

// written opens the vault as the daemon does, appends to its log, closes it,
// and returns the checkpoint.
func written(t *testing.T, dir string, entries int) []byte {
	t.Helper()
	c, err := config.Load(filepath.Join(dir, daemon.ConfigName))
	if err != nil {
		t.Fatal(err)
	}
	n, err := daemon.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for range entries {
		r := n.Log.Append(&audit.Entry{Action: audit.ActionRead, Outcome: audit.Refused, Principal: "spiffe://cloakroom.example/test"})
		if _, err := r.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := os.ReadFile(filepath.Join(c.Audit.Directory, audit.TreeDir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	return checkpoint
}

func TestAuditVerify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "vault")
	if exit, _, errs := runLine(t, "init", dir); exit != exitOK {
		t.Fatal(errs)
	}
	first := written(t, dir, 3)
	log := filepath.Join(dir, "data", "audit")
	old := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(old, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	last := written(t, dir, 300) // goes on under the same key

	save := func(name string, data []byte) string {
		path := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	earlier, later := save("earlier", first), save("later", last)
	vkey := filepath.Join(log, audit.TreeDir, "vkey")
	changed := filepath.Join(t.TempDir(), "audit")
	if err := os.CopyFS(changed, os.DirFS(log)); err != nil {
		t.Fatal(err)
	}
	segment := filepath.Join(changed, "00000000000000000000.wal")
	content, err := os.ReadFile(segment)
	if err != nil {
		t.Fatal(err)
	}
	content[60] ^= 1
	if err := os.WriteFile(segment, content, 0o600); err != nil {
		t.Fatal(err)
	}

	empty := t.TempDir()
	without := func(what string) string {
		dir := filepath.Join(t.TempDir(), "audit")
		if err := os.CopyFS(dir, os.DirFS(log)); err != nil {
			t.Fatal(err)
		}
		gone, err := filepath.Glob(filepath.Join(dir, what))
		if err != nil || len(gone) == 0 {
			t.Fatalf("no %s: %v", what, err)
		}
		for _, path := range gone {
			if err := os.RemoveAll(path); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	treeless, unsigned, entryless := without(audit.TreeDir), without(audit.TreeDir+"/checkpoint"), without("*.wal")
	other := filepath.Join(t.TempDir(), "vault")
	if exit, _, errs := runLine(t, "init", other); exit != exitOK {
		t.Fatal(errs)
	}
	foreign := save("foreign", written(t, other, 2))

	tests := []struct {
		name string
		args []string
		exit int
		want []string // in what is printed
	}{
		{"the log", []string{log}, exitOK, []string{"holds", "entries         303", "not covered yet 0", "bring a copy with --vkey", "without --checkpoint"}},
		{"with key and checkpoint", []string{log, "--vkey", vkey, "--checkpoint", earlier}, exitOK, []string{"seen earlier    3 entries"}},
		{"put back", []string{old, "--vkey", vkey, "--checkpoint", later}, exitError, []string{"put back to an older state", "hint:"}},
		{"put back and nothing to tell by", []string{old}, exitOK, []string{"entries         3"}},
		{"changed", []string{changed}, exitError, []string{"segment 00000000000000000000.wal, entry 0"}},
		{"not a log", []string{empty}, exitError, []string{"no audit log in " + empty, "hint: name the audit log's own directory"}},
		{"no such directory", []string{filepath.Join(empty, "none")}, exitError, []string{"none: no such directory"}},
		{"a file", []string{vkey}, exitError, []string{"not a directory"}},
		{"the tree is gone", []string{treeless}, exitError, []string{"the .wal files are there, and tlog/", "it is evidence"}},
		{"the checkpoint is gone", []string{unsigned}, exitError, []string{"the .wal files are there, and tlog/", "it is evidence"}},
		{"the entries are gone", []string{entryless}, exitError, []string{"it is evidence"}},
		{"a checkpoint that is none", []string{log, "--checkpoint", vkey}, exitError, []string{vkey + " is not a signed checkpoint of this log", "copy of the log's tlog/checkpoint"}},
		{"a checkpoint of another log", []string{log, "--checkpoint", foreign}, exitError, []string{foreign + " is not a signed checkpoint of this log", "another key signed it"}},
		{"a checkpoint that is none, deep", []string{"--deep", "--config", filepath.Join(dir, daemon.ConfigName), "--checkpoint", vkey}, exitError, []string{vkey + " is not a signed checkpoint of this log"}},
		{"a key that is none", []string{log, "--vkey", earlier}, exitError, []string{"not a usable key"}},
		{"an empty checkpoint", []string{log, "--checkpoint", save("empty", nil)}, exitError, []string{"empty is not a signed checkpoint of this log"}},
		{"an empty key", []string{log, "--vkey", save("empty", nil)}, exitError, []string{"empty"}},
		{"no directory", nil, exitUsage, []string{"usage"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			exit, out, errs := runLine(t, append([]string{"audit", "verify"}, test.args...)...)
			if exit != test.exit {
				t.Errorf("exit %d, want %d: %s%s", exit, test.exit, out, errs)
			}
			for _, want := range test.want {
				if !strings.Contains(out+errs, want) {
					t.Errorf("%q is not in %q", want, out+errs)
				}
			}
			if mistaken := strings.Contains(test.name, "that is none") || strings.Contains(test.name, "not a log"); mistaken && strings.Contains(errs, "evidence") {
				t.Errorf("a mistake is called evidence: %q", errs)
			}
		})
	}
}

// A mistyped command is the mistake, not the flag behind it.
func TestAuditUnknownCommand(t *testing.T) {
	for _, args := range [][]string{{"audit", "verfy"}, {"audit", "verfy", "--deep"}} {
		exit, _, errs := runLine(t, args...)
		if exit != exitUsage || !strings.Contains(errs, `unknown command "verfy"`) || !strings.Contains(errs, "did you mean verify?") {
			t.Errorf("%q: exit %d, %s", args, exit, errs)
		}
	}
	for _, args := range [][]string{{"audit", "--deep"}, {"audit", "verify", "x", "--deeep"}} {
		if exit, _, errs := runLine(t, args...); exit != exitUsage || !strings.Contains(errs, "unknown flag") {
			t.Errorf("%q: exit %d, %s", args, exit, errs)
		}
	}
}
