package main_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuditKeyChanges follows a change of the key that signs the log the way an
// auditor sees it: with the old key before, with either between, with the new one
// alone after.
func TestAuditKeyChanges(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	p := serve(t, dir)
	p.applyDemoPolicy()
	log, mine := filepath.Join(dir, "data", "audit"), t.TempDir()
	state := filepath.Join(mine, "kept.json")
	// vkey is a copy of the log's key as it is now.
	vkey := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(log, "tlog", "vkey"))
		check(t, err)
		path := filepath.Join(mine, name)
		check(t, os.WriteFile(path, text, 0o600))
		return path
	}
	verify := func(code int, texts []string, args ...string) result {
		t.Helper()
		return p.cli("security", append([]string{"audit", "verify", "--state", state}, args...)...).want(t, code, texts...)
	}
	shown := func(r result, text string, want bool) {
		t.Helper()
		if strings.Contains(r.out, text) != want {
			t.Errorf("%q is %s", text, r.out)
		}
	}

	before := vkey("before")
	shown(verify(0, nil, "--vkey", before), "NEW KEY", false)
	p.cli("security", "keys", "rotate", "audit-signer", "--reason", "T-1").want(t, 0)
	after := vkey("after")
	shown(verify(0, []string{"the log is signed by a new key, too"}), "NEW KEY", true)
	run(t, nil, daemonPath, "audit", "verify", log, "--vkey", before).want(t, 0)
	run(t, nil, daemonPath, "audit", "verify", log, "--vkey", after).want(t, 0)
	shown(verify(0, []string{"the key of --vkey is another than the one kept"}, "--vkey", after), "and the log goes on from them", true)
	shown(verify(0, nil), "NEW KEY", false)

	p.cli("security", "keys", "disable", "audit-signer", "1", "--reason", "T-1").want(t, 0)
	shown(verify(0, nil), "and the log goes on from them", true)
	verify(1, []string{"no good signature of the key", "hint: if the key of the log was changed on purpose"}, "--vkey", before)
	run(t, nil, daemonPath, "audit", "verify", log, "--vkey", before).want(t, 1)
	p.stop()
	p = serve(t, dir)
	shown(verify(0, nil), "and the log goes on from them", true)
}
