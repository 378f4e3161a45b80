package main_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestAuditCommandLine: what the command line says of the log and of mistyped
// names, of a vault that runs.
func TestAuditCommandLine(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	p := serve(t, dir)
	p.applyDemoPolicy()
	token := storeCard(t, p, "C1")
	if _, err := p.as("billing").DetokenizeOne(t.Context(), token, "payment"); err != nil {
		t.Fatal(err)
	}
	says := func(r result, text string) {
		t.Helper()
		if !strings.Contains(r.errors, text) {
			t.Errorf("%q is not in %q", text, r.errors)
		}
	}

	// Whom nobody knows is not told to have seen nothing.
	mistyped := "spiffe://cloakroom.example/biling"
	says(p.cli("security", "incident", "exposure", "--principal", mistyped).want(t, 3), "neither the policy nor the log knows")
	says(p.cli("security", "incident", "exposure", "--principal", "billing").want(t, 3), "hint: a principal looks like spiffe://")
	says(p.cli("security", "incident", "exposure", "--role", "biling").want(t, 3), "hint: 'cloakroom policy get' shows the roles")
	frozen := p.cli("security", "incident", "freeze", "principal", mistyped, "--reason", "T-1").want(t, 0)
	says(frozen, "WARNING: the policy names no such principal")
	if list := p.cli("security", "incident", "freezes").want(t, 0); !strings.Contains(list.out, "not in the policy") {
		t.Errorf("the list of freezes says %q", list.out)
	}

	says(p.cli("security", "audit", "list", "--subject", "nobody").want(t, 0), "use --handle")
	var list struct{ Entries []json.RawMessage }
	found := p.cli("security", "audit", "list", "--subject", "C1", "--action", "reveal", "-o", "json").want(t, 0)
	check(t, json.Unmarshal([]byte(found.out), &list))
	if len(list.Entries) != 1 {
		t.Fatalf("%d reveals in %s", len(list.Entries), found.out)
	}
	type entry struct {
		Index                               json.Number
		ID, Principal, Action, Time, Reason string
		Items                               []struct{ Subject, Field string }
	}
	var listed, offline entry
	check(t, json.Unmarshal(list.Entries[0], &listed))
	shown := p.cli("security", "audit", "show", listed.Index.String(), "-o", "json").want(t, 0)
	var show struct{ Entries []json.RawMessage }
	check(t, json.Unmarshal([]byte(shown.out), &show))
	if len(show.Entries) != 1 || string(show.Entries[0]) != string(list.Entries[0]) {
		t.Errorf("show says %s, list %s", shown.out, list.Entries[0])
	}
	says(p.cli("security", "audit", "show", "999999").want(t, 1), "there is no such entry")

	// The proof says offline what the vault said. A checkpoint covers everything
	// when the daemon has stopped.
	p.stop()
	p = serve(t, dir)
	vkey, proof := filepath.Join(dir, "data", "audit", "tlog", "vkey"), filepath.Join(t.TempDir(), "proof")
	p.cli("security", "audit", "proof", listed.Index.String(), "--vkey", vkey, "-o", proof).want(t, 0)
	p.stop()
	checked := p.cli("security", "audit", "check-proof", proof, "--vkey", vkey, "-o", "json").want(t, 0)
	var proven struct{ Says json.RawMessage }
	check(t, json.Unmarshal([]byte(checked.out), &proven))
	check(t, json.Unmarshal(proven.Says, &offline))
	if offline.ID != listed.ID || offline.Principal != listed.Principal || offline.Action != "reveal" || offline.Time != listed.Time ||
		len(offline.Items) != 1 || offline.Items[0].Subject != listed.Items[0].Subject {
		t.Errorf("the proof says %s, the vault %s", proven.Says, list.Entries[0])
	}
	content, err := os.ReadFile(proof)
	check(t, err)
	check(t, os.WriteFile(proof, []byte(strings.Replace(string(content), "\nindex ", "\nindex 1", 1)), 0o600))
	p.cli("security", "audit", "check-proof", proof, "--vkey", vkey).want(t, 1)
}
