package main_test

import (
	"context"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"google.golang.org/grpc/metadata"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// TestKilledWhileRevealing kills the daemon a hundred times while sixteen
// callers reveal. What the callers got an answer to is in the log, all of it;
// and the log verifies afterwards.
func TestKilledWhileRevealing(t *testing.T) {
	t.Parallel()
	rounds := 100
	if testing.Short() {
		rounds = 10
	}
	dir := initVault(t)
	p := serve(t, dir)
	p.applyDemoPolicy()
	tokens := make([]string, 50)
	for i := range tokens {
		tokens[i] = storeCard(t, p, fmt.Sprintf("person-%d", i))
	}
	answered := make(map[string]bool)
	for round := range rounds {
		load := startReveals(t, p, tokens, fmt.Sprintf("r%d", round))
		load.waitFor(20 + 7*(round%20)) // at another moment each time
		p.kill()
		for id := range load.stop() {
			answered[id] = true
		}
		p = serve(t, dir)
	}
	p.stop()
	log := filepath.Join(dir, "data", "audit")
	if _, err := audit.Verify(t.Context(), log, audit.VerifyOptions{}); err != nil {
		t.Errorf("the log after %d kills: %v", rounds, err)
	}
	logged := make(map[string]bool)
	l, err := audit.Open(log, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { check(t, l.Close()) }()
	check(t, l.Read(0, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil && e.Action == audit.ActionReveal && e.Outcome == audit.Allowed {
			logged[e.Request] = true
		}
		return err
	}))
	missing := 0
	for id := range answered {
		if !logged[id] {
			missing++
		}
	}
	if missing > 0 || len(answered) < 20*rounds {
		t.Errorf("%d reveals were answered in %d rounds, %d of them are not in the log", len(answered), rounds, missing)
	}
	t.Logf("%d answered reveals, %d reveals in the log", len(answered), len(logged))
}

// startReveals begins to reveal, and remembers the ids of answered calls.
func startReveals(t *testing.T, p *process, tokens []string, prefix string) *load {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	l := &load{
		t: t, cancel: cancel, ended: make(chan struct{}),
		acknowledged: make(map[string]string), reached: make(chan struct{}), enough: -1,
	}
	t.Cleanup(func() { l.stop() })
	client := p.as("billing", cloakroom.WithTimeout(10*time.Second), cloakroom.WithRetry(1, time.Second))
	for caller := range 16 {
		l.all.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprintf("%s-%d-%d", prefix, caller, i)
				named := metadata.AppendToOutgoingContext(ctx, "cloakroom-request-id", id)
				got, err := client.DetokenizeOne(named, tokens[(caller+i)%len(tokens)], "payment")
				if err != nil {
					return
				}
				if got.Err == nil {
					l.acknowledge(id, "")
				}
			}
		})
	}
	go func() {
		l.all.Wait()
		close(l.ended)
	}()
	return l
}
