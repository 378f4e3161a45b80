package vault_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
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
		var frozen, values atomic.Int64 // frozen counts up at each answer of a freeze and again before each thaw: odd is frozen
		stop := make(chan struct{})
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
					if value {
						values.Add(1)
					}
					if value && before%2 == 1 && frozen.Load() == before {
						t.Error("a value was revealed while it was frozen")
						return
					}
				}
			})
		}
		for round := range 15 {
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
			frozen.Add(1)
			if err := on[(round+1)%2].Thaw(t.Context(), as("relief"), f.ID, "INC-1"); err != nil {
				t.Error(err)
				break
			}
			// A principal that is refused before anything is read does not look
			// whether the other node has thawed; somebody else's call does.
			for _, v := range on {
				if err := v.Login(t.Context(), as("guard")); err != nil {
					t.Error(err)
				}
				if got := tryReveal(v, card); got != "4111111111111111" {
					t.Errorf("thawed: %s", got)
				}
			}
		}
		close(stop)
		all.Wait()
		if values.Load() == 0 {
			t.Error("nothing was ever revealed")
		}
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

// early calls a function once, before the first read that follows arming.
type early struct {
	store.Store
	mu   sync.Mutex
	then func()
}

func (e *early) arm(then func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.then = then
}

func (e *early) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	e.mu.Lock()
	then := e.then
	e.then = nil
	e.mu.Unlock()
	if then != nil {
		then()
	}
	return e.Store.Get(ctx, keys, out)
}

// A call that was decided before a freeze and reads after its answer obeys: on
// the same node, and on another that heard nothing of it.
func TestDecidedBeforeTheFreeze(t *testing.T) {
	principal := func(who string) vault.FreezeRequest {
		return vault.FreezeRequest{Kind: vault.FreezePrincipal, Target: as(who).Principal, Reason: "INC-1"}
	}
	whole := vault.FreezeRequest{Kind: vault.FreezeVault, Reason: "INC-1"}
	for name, c := range map[string]struct {
		q    vault.FreezeRequest
		call func(v *vault.Vault, card string) error
	}{
		"detokenize":                    {principal("billing"), detokenizeCard},
		"a chunk of a stream that runs": {vault.FreezeRequest{Kind: vault.FreezeRole, Target: "billing", Reason: "INC-1"}, detokenizeCard},
		"detokenize, frozen field":      {vault.FreezeRequest{Kind: vault.FreezeField, Target: "customers.card", Reason: "INC-1"}, detokenizeCard},
		"detokenize, frozen vault":      {whole, detokenizeCard},
		"read": {whole, func(v *vault.Vault, _ string) error {
			_, err := v.ReadRecord(context.Background(), as("billing"), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: "payment"})
			return err
		}},
		"get": {principal("shop"), func(v *vault.Vault, _ string) error {
			_, err := v.GetRecords(context.Background(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}})
			return err
		}},
		"list": {principal("shop"), func(v *vault.Vault, _ string) error {
			_, _, err := v.ListRecords(context.Background(), as("shop"), vault.ListRequest{Collection: "customers"})
			return err
		}},
		"describe": {principal("shop"), func(v *vault.Vault, card string) error {
			_, err := v.DescribeTokens(context.Background(), as("shop"), []string{card})
			return err
		}},
		"tokenize what is there": {whole, func(v *vault.Vault, _ string) error {
			_, err := v.Tokenize(context.Background(), as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "card", Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("4111111111111111")}}})
			return err
		}},
		"put": {principal("shop"), func(v *vault.Vault, _ string) error {
			_, err := v.PutRecords(context.Background(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-2", "note", "tea")}})
			return err
		}},
		"update": {principal("shop"), func(v *vault.Vault, _ string) error {
			_, err := v.UpdateRecord(context.Background(), as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("c-1", "note", "tea")})
			return err
		}},
		"delete": {principal("shop"), func(v *vault.Vault, _ string) error {
			_, err := v.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
			return err
		}},
		"apply": {principal("admin"), func(v *vault.Vault, _ string) error {
			_, _, err := v.ApplyPolicy(context.Background(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy + "\n# changed\n")})
			return err
		}},
		"log in": {principal("admin"), func(v *vault.Vault, _ string) error { return v.Login(context.Background(), as("admin")) }},
		"thaw": {principal("relief"), func(v *vault.Vault, _ string) error {
			return v.Thaw(context.Background(), as("relief"), 1, "INC-1")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			h := open(t)
			card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
			other := node(t, h)
			e := &early{}
			h.Wrap = func(s store.Store) store.Store { e.Store = s; return e }
			h.Reopen()
			h.Vault.WaitSwept() // so that only the call reads
			frozen := false
			e.arm(func() {
				if _, err := other.Freeze(context.Background(), as("guard"), c.q); err != nil {
					t.Error(err)
				}
				frozen = true
			})
			err := c.call(h.Vault, card)
			if !frozen {
				t.Fatal("the call read nothing")
			}
			wantReason(t, err, vault.Frozen)
		})
	}
}

func detokenizeCard(v *vault.Vault, card string) error {
	var out vault.Revealed
	if err := v.Detokenize(context.Background(), as("billing"), vault.DetokenizeRequest{Tokens: []string{card}, Purpose: "payment"}, &out); err != nil {
		return err
	}
	if out.Items[0].Err != nil {
		return out.Items[0].Err
	}
	return nil
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
