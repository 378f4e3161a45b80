package vault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// While some reveal without pause, one freezes and thaws: no reveal that starts
// after a freeze was answered, and ends before the thaw is asked for, gets a
// value, whatever was frozen and whichever node was asked.
func TestFreezeRacesWithReveals(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
		on := nodes(t, h)
		var frozen atomic.Int64 // counts up at each answer of a freeze and again before each thaw: odd is frozen
		stop, answers := make(chan struct{}), make(chan bool, 1)
		// answered waits until somebody got an answer with a value, or without.
		answered := func(value bool) {
			for <-answers != value {
			}
		}
		var all sync.WaitGroup
		for i := range 8 {
			all.Go(func() {
				var out vault.Revealed
				for {
					select {
					case <-stop:
						return
					default:
					}
					before := frozen.Load()
					value := false
					if i%4 < 2 {
						err := on[i%2].Detokenize(context.Background(), as("billing"), vault.DetokenizeRequest{Tokens: []string{card}, Purpose: "payment"}, &out)
						value = err == nil && out.Items[0].Err == nil
					} else {
						r, err := on[i%2].ReadRecord(context.Background(), as("billing"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "payment", Fields: []string{"card"}})
						value = err == nil && r.Fields[0].Err == nil
					}
					select {
					case answers <- value:
					default:
					}
					if value && before%2 == 1 && frozen.Load() == before {
						t.Error("a value was revealed while it was frozen")
					}
				}
			})
		}
		for round := range 10 {
			answered(true)
			q := []vault.FreezeRequest{
				{Kind: vault.FreezePrincipal, Target: as("billing").Principal}, {Kind: vault.FreezeRole, Target: "billing"},
				{Kind: vault.FreezeField, Target: "customers.card"}, {Kind: vault.FreezeCollection, Target: "customers"}, {Kind: vault.FreezeVault},
			}[round%5]
			q.Reason = "INC-1"
			f, err := on[round%2].Freeze(t.Context(), as("guard"), q)
			if err != nil {
				t.Error(err)
				break
			}
			frozen.Add(1)
			for _, v := range on { // on each node, a call of ours gets to see it
				if got := tryReveal(v, card); got != "FROZEN" {
					t.Errorf("%v: %s", q.Kind, got)
				}
			}
			answered(false)
			frozen.Add(1)
			if err := on[(round+1)%2].Thaw(t.Context(), as("relief"), f.ID, "INC-1"); err != nil {
				t.Error(err)
				break
			}
			for _, v := range on {
				_ = tryReveal(v, card) // may be refused without a read, which then makes the node look
				if got := tryReveal(v, card); got != "4111111111111111" {
					t.Errorf("thawed: %s", got)
				}
			}
			if t.Failed() {
				break
			}
		}
		close(stop)
		all.Wait()
	})
}

func tryReveal(v *vault.Vault, token string) string {
	var out vault.Revealed
	err := v.Detokenize(context.Background(), as("billing"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "payment"}, &out)
	switch {
	case err != nil:
		return err.(*vault.Error).Reason.String()
	case out.Items[0].Err != nil:
		return out.Items[0].Err.Reason.String()
	}
	return string(out.Value(0).Expose())
}

// Two nodes that freeze at the same time both succeed, each with a number of
// its own: nobody who handles an incident is told to try again.
func TestFreezesAtTheSameTime(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		on := nodes(t, h)
		numbers := make([]uint64, callers)
		at(func(caller int) {
			f, err := on[caller%2].Freeze(t.Context(), as("guard"), vault.FreezeRequest{
				Kind: vault.FreezePrincipal, Target: fmt.Sprintf("spiffe://cloakroom.example/p%d", caller), Reason: "INC-1",
			})
			if err != nil {
				t.Error(err)
				return
			}
			numbers[caller] = f.ID
		})
		seen := map[uint64]bool{}
		for _, n := range numbers {
			seen[n] = true
		}
		for _, v := range on {
			if all, err := v.Freezes(t.Context(), as("guard")); err != nil || len(all) != callers || len(seen) != callers {
				t.Errorf("%d freezes with %d numbers, %v", len(all), len(seen), err)
			}
		}
	})
}

// The entry of a freeze is committed with it: when the log cannot take it at
// that moment, the freeze stands, the caller hears of the log, and the entry is
// there before anything else is changed, or after the next start.
func TestFreezeWhoseEntryIsLate(t *testing.T) {
	for name, later := range map[string]func(t *testing.T, h *vaulttest.Harness){
		"next change": func(t *testing.T, h *vaulttest.Harness) { put(t, h, "c-2", "note", "tea") },
		"next start":  func(_ *testing.T, h *vaulttest.Harness) { h.Reopen() },
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
			var g *gate
			h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
			h.Reopen()
			g.set(nil, func(b *store.Batch) error {
				if writes(b, rows.Freezes) {
					h.Log.Fail(errors.New("no space"))
				}
				return nil
			})
			before := len(h.Log.Entries())
			f, err := h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: vault.FreezeField, Target: "customers.card", Reason: "INC-1"})
			wantReason(t, err, vault.AuditUnavailable)
			if f != nil {
				t.Error("an answer beside the error")
			}
			h.Log.Fail(nil)
			if got := shown(t, h, card); got[0] != "FROZEN" {
				t.Errorf("revealed %q", got)
			}
			later(t, h)
			found := 0
			for _, e := range entriesSince(h, before) {
				if e.Action == audit.ActionFreeze && e.Outcome == audit.Allowed && strings.HasPrefix(e.Object, "field customers.card, freeze ") {
					found++
				}
			}
			if found == 0 {
				t.Error("the freeze was never logged")
			}
		})
	}
}
