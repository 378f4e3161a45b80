package main_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// TestKilledWhileKeysChange kills the daemon while fields are rotated, values
// re-wrapped and epochs ended, at whatever moment of these. Every value opens
// all the time, the work goes on after each start and comes to its end, and then
// what is older can be destroyed.
func TestKilledWhileKeysChange(t *testing.T) {
	t.Parallel()
	rounds := 40
	if testing.Short() {
		rounds = 6
	}
	const people = 2000
	dir := initVault(t)
	configure(t, dir, "busy: 10", "busy: 100") // or the work waits longer than it works
	p := serve(t, dir)
	p.applyDemoPolicy()
	tokens := storePeople(t, p, people)
	cardKey := cloakroom.KeyName{Kind: cloakroom.KeyField, Name: "customers.card_pan"}
	random := rand.New(rand.NewPCG(1, 2))
	worked := 0
	for round := range rounds {
		keeper := p.as("security")
		key := cardKey
		if round%3 == 2 {
			key = cloakroom.KeyName{Kind: cloakroom.KeyEpoch}
		}
		before := random.IntN(3)
		done := make(chan error, 1)
		if before == 0 { // in the middle of the rotation itself
			go func() { _, err := keeper.RotateKey(t.Context(), key, "T-1"); done <- err }()
		} else {
			_, err := keeper.RotateKey(t.Context(), key, "T-1")
			done <- err
			check(t, err)
			// At some message of the work that follows.
			left := random.IntN(4)
			for work, err := range keeper.WatchKeyWork(t.Context()) {
				check(t, err)
				if left--; left < 0 {
					break
				}
				for _, w := range work {
					if w.State == cloakroom.WorkRunning {
						worked++
					}
				}
				if idle(work) {
					break
				}
			}
		}
		p.kill()
		<-done
		p = serve(t, dir)
		reveals := p.as("billing")
		for range 20 {
			i := random.IntN(people)
			got, err := reveals.DetokenizeOne(t.Context(), tokens[i], "payment")
			if err = errors.Join(err, got.Err); err != nil {
				t.Fatalf("round %d: a value does not open: %v", round, err)
			}
		}
	}
	if worked == 0 {
		t.Error("no kill came while work was running")
	}
	keeper := p.as("security")
	for work, err := range keeper.WatchKeyWork(t.Context(), cloakroom.UntilIdle()) {
		check(t, err)
		_ = work
	}
	list, err := keeper.Keys(t.Context(), cloakroom.CountValues())
	check(t, err)
	for _, k := range list.Keys {
		if k.Name != cardKey {
			continue
		}
		for _, v := range k.Versions {
			switch {
			case v.Version == k.Primary && v.Values != people, v.Version != k.Primary && v.Values != 0:
				t.Errorf("%d values under version %d, and version %d is in use", v.Values, v.Version, k.Primary)
			case v.Version != k.Primary:
				_, err := keeper.DisableKey(t.Context(), cardKey, v.Version, "T-1")
				check(t, err)
				_, err = keeper.DestroyKey(t.Context(), cardKey, v.Version, "T-1")
				check(t, err)
			}
		}
	}
	all, err := p.as("billing").Detokenize(t.Context(), tokens[:1000], "payment")
	check(t, err)
	for i := range all {
		if all[i].Err != nil {
			t.Fatalf("value %d after all: %v", i, all[i].Err)
		}
	}
	p.stop()
	if _, err := audit.Verify(t.Context(), filepath.Join(dir, "data", "audit"), audit.VerifyOptions{}); err != nil {
		t.Errorf("the log: %v", err)
	}
	run(t, nil, daemonPath, "audit", "verify", "--deep", "--config", filepath.Join(dir, "cloakroom.yaml")).want(t, 0)
}

// idle reports whether no work runs or waits.
func idle(work []cloakroom.KeyWork) bool {
	for _, w := range work {
		if w.State == cloakroom.WorkRunning || w.State == cloakroom.WorkWaiting {
			return false
		}
	}
	return true
}

// storePeople stores people with a card each and returns the tokens.
func storePeople(t *testing.T, p *process, n int) []string {
	t.Helper()
	shop := p.as("shop")
	var tokens []string
	for from := 0; from < n; from += 1000 {
		var records []cloakroom.RecordInput
		for i := from; i < min(n, from+1000); i++ {
			records = append(records, cloakroom.RecordInput{
				SubjectID: fmt.Sprint("person-", i), Fields: cloakroom.Fields{"card_pan": cloakroom.Texts(card)},
			})
		}
		stored, err := shop.PutMany(t.Context(), customers, records)
		check(t, err)
		for i := range stored {
			check(t, stored[i].Err)
			tokens = append(tokens, stored[i].Record.Token("card_pan"))
		}
	}
	return tokens
}
