package vault_test

import (
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// early calls a function once, before the first read after arming that asks for
// what when says; any read when that is nil.
type early struct {
	store.Store
	mu   sync.Mutex
	when func(rows.PersonKey) bool
	then func()
}

func (e *early) arm(when func(rows.PersonKey) bool, then func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.when, e.then = when, then
}

func (e *early) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	e.mu.Lock()
	then := e.then
	// Only what calls read: the work in the background looks at rows of its own.
	if !slices.ContainsFunc(keys, func(k store.Key) bool {
		person, err := rows.ParsePersonKey(k.Key)
		return k.Table == rows.People && err == nil && (e.when == nil || e.when(person))
	}) {
		then = nil
	}
	if then != nil {
		e.then = nil
	}
	e.mu.Unlock()
	if then != nil {
		then()
	}
	return e.Store.Get(ctx, keys, out)
}

// between opens the vault anew so that another node freezes q before the first
// read that asks for what when says.
func between(t *testing.T, h *vaulttest.Harness, when func(rows.PersonKey) bool, q vault.FreezeRequest) (frozen *bool) {
	t.Helper()
	other := node(t, h)
	e := &early{}
	h.Wrap = func(s store.Store) store.Store { e.Store = s; return e }
	h.Reopen()
	h.Vault.WaitSwept() // so that only calls of the test read
	frozen = new(bool)
	e.arm(when, func() {
		if _, err := other.Freeze(context.Background(), as("guard"), q); err != nil {
			t.Error(err)
		}
		*frozen = true
	})
	return frozen
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
			frozen := between(t, h, nil, c.q)
			err := c.call(h.Vault, card)
			if !*frozen {
				t.Fatal("the call read nothing")
			}
			wantReason(t, err, vault.Frozen)
		})
	}
}

// A repeated request has no change to store; what it reads for its answer is
// decided by what is in force all the same.
func TestRepeatedDuringAFreeze(t *testing.T) {
	h := open(t)
	q := vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1", "note", "tea")}, RequestID: "r-1"}
	if _, err := h.Vault.PutRecords(t.Context(), as("shop"), q); err != nil {
		t.Fatal(err)
	}
	frozen := between(t, h, func(k rows.PersonKey) bool { return k.Collection != 0 },
		vault.FreezeRequest{Kind: vault.FreezePrincipal, Target: as("shop").Principal, Reason: "INC-1"})
	_, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
	wantReason(t, err, vault.Contention)
	if _, err = h.Vault.PutRecords(t.Context(), as("shop"), q); !*frozen {
		t.Error("the answer was not read")
	}
	wantReason(t, err, vault.Frozen)
}

// A freeze of something else between the two reads of a Tokenize makes it read
// again, and leaves no key of a person who was made for the first attempt.
func TestTokenizeDuringAFreeze(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	frozen := between(t, h, func(k rows.PersonKey) bool { return k.Field != 0 },
		vault.FreezeRequest{Kind: vault.FreezeRole, Target: "lab", Reason: "INC-1"})
	r := tokenize(t, h, "note", "c-1", "tea", "c-2", "milk")
	if !*frozen || r[0].Err != nil || r[0].Stored || r[1].Err != nil || !r[1].Stored {
		t.Errorf("frozen %t, %+v", *frozen, r)
	}
	if n := len(scanAll(t, h.Keys, rows.Subjects)); n != 2 {
		t.Errorf("%d persons' keys for 2 persons", n)
	}
}

// A Tokenize that finds the value there stores nothing, so no commit would
// conflict: it is the read of the values that must be decided by what is in
// force.
func TestConfirmingDuringAFreeze(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	for _, value := range []string{"tea", "milk"} {
		t.Run(value, func(t *testing.T) {
			frozen := between(t, h, func(k rows.PersonKey) bool { return k.Field != 0 },
				vault.FreezeRequest{Kind: vault.FreezeField, Target: "customers.note", Reason: "INC-1"})
			_, err := h.Vault.Tokenize(t.Context(), as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "note",
				Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text(value)}}})
			wantReason(t, err, vault.Frozen)
			if !*frozen {
				t.Error("the values were not read")
			}
			all, err := h.Vault.Freezes(t.Context(), as("guard"))
			if err != nil || len(all) != 1 {
				t.Fatal(all, err)
			}
			thaw(t, h, all[0].ID)
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
