package main_test

import (
	"fmt"
	"log/slog"
	"maps"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/server/config"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
)

// TestKilledUnderLoad kills the daemon ten times while sixteen callers store.
// After each restart every acknowledged record is there and reveals what was
// acknowledged, no record is there in part, and at the end both stores are
// consistent.
func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	dir := initVault(t)
	p := serve(t, dir)
	p.applyDemoPolicy()
	everything := make(map[string]string)
	for round := range 10 {
		load := startLoad(t, p, fmt.Sprintf("kill-%d", round), 16)
		load.waitFor(40 + 23*round) // at another moment each time
		p.kill()
		acknowledged := load.stop()
		maps.Copy(everything, acknowledged)
		p = serve(t, dir)
		wantAll(t, p, acknowledged)
	}
	wantAll(t, p, everything)
	wantWhole(t, p)
	p.stop()
	wantConsistent(t, dir)
}

// wantWhole wants every record that is there to have both of its values.
func wantWhole(t *testing.T, p *process) {
	t.Helper()
	for r, err := range p.as("shop").List(t.Context(), customers) {
		if err != nil {
			t.Fatal(err)
		}
		if r.Token("card_pan") == "" || r.Token("full_name") == "" {
			t.Errorf("%s is there in part", r.SubjectID)
		}
	}
}

// wantConsistent checks the stores of a directory that nobody serves.
func wantConsistent(t *testing.T, dir string) {
	t.Helper()
	c, err := config.Load(filepath.Join(dir, daemon.ConfigName))
	if err != nil {
		t.Fatal(err)
	}
	node, err := daemon.Open(t.Context(), c, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { check(t, node.Close()) }()
	check(t, node.Values.Check(t.Context()))
	check(t, node.Keys.Check(t.Context()))
}
