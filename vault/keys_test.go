package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

var cardKey = vault.KeyRef{Kind: vault.KeyField, Name: "customers.card"}

func rotate(t *testing.T, h *vaulttest.Harness, key vault.KeyRef) uint32 {
	t.Helper()
	version, err := h.Vault.RotateKey(t.Context(), as("keeper"), vault.KeyChange{Key: key, Reason: "T-1"})
	if err != nil {
		t.Fatal(err)
	}
	return version
}

func disable(t *testing.T, h *vaulttest.Harness, key vault.KeyRef, version uint32) uint32 {
	t.Helper()
	fresh, err := h.Vault.DisableKey(t.Context(), as("keeper"), vault.KeyChange{Key: key, Version: version, Reason: "T-1"})
	if err != nil {
		t.Fatal(err)
	}
	return fresh
}

// idle waits until the work on keys is done, and returns it.
func idle(t *testing.T, h *vaulttest.Harness) []vault.KeyWork {
	t.Helper()
	var last []vault.KeyWork
	err := h.Vault.WatchKeyWork(t.Context(), as("keeper"), true, func(w []vault.KeyWork) error { last = w; return nil })
	if err != nil {
		t.Fatal(err)
	}
	return last
}

// keyOf finds a key in the list, everything counted anew.
func keyOf(t *testing.T, h *vaulttest.Harness, ref vault.KeyRef) vault.Key {
	t.Helper()
	list, err := h.Vault.Keys(t.Context(), as("keeper"), true)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(list.Keys, func(k vault.Key) bool { return k.Ref == ref })
	if i < 0 {
		t.Fatalf("%s is not in the list", ref)
	}
	return list.Keys[i]
}

// valuesOf are the numbers of values under each version.
func valuesOf(k vault.Key) []uint64 {
	out := make([]uint64, len(k.Versions))
	for i, v := range k.Versions {
		out[i] = v.Values
	}
	return out
}

// untilRewrapped waits until nothing of a key stands under an older version.
func untilRewrapped(t *testing.T, h *vaulttest.Harness, ref vault.KeyRef) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 30*time.Second)
	defer stop()
	err := h.Vault.WatchKeyWork(ctx, as("keeper"), false, func([]vault.KeyWork) error {
		k := keyOf(t, h, ref)
		for _, v := range k.Versions {
			if v.Version != k.Primary && v.Values > 0 {
				return nil
			}
		}
		return errDone
	})
	if !errors.Is(err, errDone) {
		t.Fatal(err)
	}
}

var errDone = errors.New("done")

// A rotation is in force at once, older values still open, the re-wrap takes
// them over without a plaintext, and then, and only then, the old version may
// be destroyed.
func TestRotateRewrapDestroy(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		var tokens []string
		for i := range 40 {
			r := put(t, h, fmt.Sprint("c-", i), "full_name", fmt.Sprint("Person ", i), "card", "4111111111111111")
			tokens = append(tokens, tokenOf(t, r, "card"), tokenOf(t, r, "full_name"))
		}
		opens := func(when string) {
			t.Helper()
			for i, token := range tokens {
				want := "4111111111111111"
				if i%2 == 1 {
					want = fmt.Sprint("Person ", i/2)
				}
				if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != want || refusal != 0 {
					t.Fatalf("%s: token %d opens to %q, %v", when, i, got, refusal)
				}
			}
		}
		if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), "T-1"); err != nil {
			t.Fatal(err)
		}
		if got := rotate(t, h, cardKey); got != 2 {
			t.Fatalf("the fresh version is %d", got)
		}
		opens("after the rotation")
		put(t, h, "new", "full_name", "New", "card", "4111111111111111")
		if got := valuesOf(keyOf(t, h, cardKey)); !slices.Equal(got, []uint64{40, 1}) {
			t.Errorf("values under the versions: %v", got)
		}
		destroy := func(want vault.Reason) {
			t.Helper()
			_, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "T-1"})
			if want == 0 && err != nil || want != 0 && !errors.Is(err, &vault.Error{Reason: want}) {
				t.Errorf("destroying: %v, want %v", err, want)
			}
		}
		destroy(vault.InvalidRequest) // it is enabled
		disable(t, h, cardKey, 1)
		if _, refusal := reveal(t, h, "billing", tokens[0], "payment", 0); refusal != vault.KeyDisabled {
			t.Errorf("a value under a disabled version: %v", refusal)
		}
		destroy(vault.KeyInUse)
		if err := h.Vault.EnableKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "T-1"}); err != nil {
			t.Fatal(err)
		}
		h.Reopen() // it stays paused
		opens("after a restart")
		if got := valuesOf(keyOf(t, h, cardKey)); !slices.Equal(got, []uint64{40, 1}) {
			t.Errorf("values under the versions while paused: %v", got)
		}
		if err := h.Vault.ResumeRewrap(t.Context(), as("keeper"), "T-1"); err != nil {
			t.Fatal(err)
		}
		untilRewrapped(t, h, cardKey)
		if got := valuesOf(keyOf(t, h, cardKey)); !slices.Equal(got, []uint64{0, 41}) {
			t.Errorf("values under the versions after the re-wrap: %v", got)
		}
		opens("after the re-wrap")
		destroy(vault.InvalidRequest)
		disable(t, h, cardKey, 1)
		opens("with the old version disabled")
		destroy(0)
		destroy(vault.KeyDestroyed)
		opens("with the old version destroyed")
		h.Reopen()
		opens("after another restart")
		if k := keyOf(t, h, cardKey); k.Versions[0].State != keys.Destroyed || k.Primary != 2 {
			t.Errorf("the keyset is %+v", k)
		}
	})
}

// The version in use is disabled and replaced in one step.
func TestDisableTheVersionInUse(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	if fresh := disable(t, h, cardKey, 1); fresh != 2 {
		t.Fatalf("the fresh version is %d", fresh)
	}
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDisabled {
		t.Errorf("a value under it: %v", refusal)
	}
	again := tokenOf(t, put(t, h, "c-2", "card", "5500005555555559"), "card")
	if got, refusal := reveal(t, h, "billing", again, "payment", 0); got != "5500005555555559" {
		t.Errorf("a value under the fresh one: %q, %v", got, refusal)
	}
}

// What a disabled version protects is refused to every call whose read starts
// after the answer, on calls that go on all the time.
func TestDisableBindsRunningCallers(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	var answered atomic.Bool
	var late atomic.Int64
	var callers sync.WaitGroup
	ctx, stop := context.WithCancel(t.Context())
	for range 8 {
		callers.Go(func() {
			var out vault.Revealed
			for ctx.Err() == nil {
				after := answered.Load()
				err := h.Vault.Detokenize(t.Context(), as("billing"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "payment"}, &out)
				if err == nil && out.Items[0].Err == nil && after {
					late.Add(1)
				}
			}
		})
	}
	disable(t, h, cardKey, 1)
	answered.Store(true)
	for range 200 {
		if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDisabled {
			t.Fatalf("after the answer: %v", refusal)
		}
	}
	stop()
	callers.Wait()
	if n := late.Load(); n > 0 {
		t.Errorf("%d reveals opened the value after the answer", n)
	}
}

// A forced destruction is carried out by the second approval of two principals
// other than who asked, and by nothing less; the loss is said before.
func TestForcedDestruction(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	disable(t, h, cardKey, 1)
	request := func() *vault.KeyRequest {
		t.Helper()
		r, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "INC-1", Force: true})
		if err != nil || r == nil {
			t.Fatal(r, err)
		}
		return r
	}
	approve := func(who string, id uint64) (bool, error) {
		return h.Vault.ApproveKeyRequest(t.Context(), as(who), id, "INC-1")
	}
	r := request()
	if r.Values != 1 || !strings.Contains(r.Loss, "1 stored value") {
		t.Errorf("the request says %+v", r)
	}
	for _, who := range []string{"keeper", "keeper2", "guard", "stranger"} {
		if done, err := approve(who, r.ID); done || err == nil {
			t.Errorf("%s approved: %t, %v", who, done, err)
		}
	}
	if done, err := approve("first", r.ID); done || err != nil {
		t.Fatal(done, err)
	}
	if done, err := approve("first", r.ID); done || err == nil {
		t.Errorf("one principal approved twice: %t, %v", done, err)
	}
	h.Reopen() // the first approval is durable
	list, err := h.Vault.KeyRequests(t.Context(), as("second"))
	if err != nil || len(list) != 1 || len(list[0].Approved) != 1 {
		t.Fatal(list, err)
	}
	if got, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDisabled {
		t.Fatalf("before the second approval: %q, %v", got, refusal)
	}
	if done, err := approve("second", r.ID); !done || err != nil {
		t.Fatal(done, err)
	}
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDestroyed {
		t.Errorf("a value under it: %v", refusal)
	}
	if _, err := approve("second", r.ID); !errors.Is(err, &vault.Error{Reason: vault.ApprovalNotFound}) {
		t.Errorf("once more: %v", err)
	}
}

// A request lapses, can be withdrawn, and falls when the keyset changes.
func TestRequestsEnd(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), "T-1"); err != nil { // or it would need nothing any more
		t.Fatal(err)
	}
	disable(t, h, cardKey, 1)
	request := func() uint64 {
		t.Helper()
		r, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "INC-1", Force: true})
		if err != nil {
			t.Fatal(err)
		}
		return r.ID
	}
	gone := func(name string, id uint64) {
		t.Helper()
		if _, err := h.Vault.ApproveKeyRequest(t.Context(), as("first"), id, "INC-1"); !errors.Is(err, &vault.Error{Reason: vault.ApprovalNotFound}) {
			t.Errorf("%s: %v", name, err)
		}
	}
	withdrawn := request()
	if err := h.Vault.WithdrawKeyRequest(t.Context(), as("keeper2"), withdrawn, "INC-1"); err == nil {
		t.Error("somebody else withdrew it")
	}
	if err := h.Vault.WithdrawKeyRequest(t.Context(), as("keeper"), withdrawn, "INC-1"); err != nil {
		t.Error(err)
	}
	gone("withdrawn", withdrawn)
	turned := request()
	if err := h.Vault.WithdrawKeyRequest(t.Context(), as("second"), turned, "INC-1"); err != nil {
		t.Error(err)
	}
	gone("turned down", turned)
	changed := request()
	if err := h.Vault.EnableKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "INC-1"}); err != nil {
		t.Fatal(err)
	}
	disable(t, h, cardKey, 1)
	gone("of a keyset that changed", changed)
	lapsed := request()
	h.Clock.Add(25 * time.Hour)
	gone("lapsed", lapsed)
}

// Tokens are outside: a version of a domain goes only by approval, forced or
// not.
func TestDomainVersionNeedsApproval(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	domain := vault.KeyRef{Kind: vault.KeyDomain, Name: "default"}
	rotate(t, h, domain)
	if got, refusal := reveal(t, h, "billing", token, "payment", 0); got == "" {
		t.Fatalf("a token of the version before: %v", refusal)
	}
	if k := keyOf(t, h, domain); k.Versions[0].LastSeen.IsZero() || !k.Versions[1].LastSeen.IsZero() {
		t.Errorf("last seen: %v", k.Versions)
	}
	disable(t, h, domain, 1)
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal == 0 {
		t.Error("a token of a disabled version opens")
	}
	r, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: domain, Version: 1, Reason: "T-1"})
	if err != nil || r == nil || !strings.Contains(r.Loss, "Every token") {
		t.Fatal(r, err)
	}
	h.Reopen()
	if k := keyOf(t, h, domain); k.Versions[0].LastSeen.IsZero() {
		t.Error("when a token was last seen is forgotten by a restart")
	}
}

// Every kind of key rotates while values open and persons are found.
func TestRotateEveryKind(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		token := tokenOf(t, put(t, h, "c-1", "full_name", "Ada", "card", "4111111111111111"), "card")
		for _, key := range []vault.KeyRef{
			cardKey, {Kind: vault.KeyDomain, Name: "default"}, {Kind: vault.KeyRows}, {Kind: vault.KeyLookup},
			{Kind: vault.KeyAuditRef}, {Kind: vault.KeyAuditSigner}, {Kind: vault.KeyRoot},
		} {
			t.Run(key.String(), func(t *testing.T) {
				if got := rotate(t, h, key); got != 2 {
					t.Errorf("the fresh version is %d", got)
				}
				idle(t, h)
				for _, when := range []string{"after the rotation", "after a restart"} {
					if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != "4111111111111111" {
						t.Errorf("%s: %v", when, refusal)
					}
					if _, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}}); err != nil {
						t.Errorf("%s: %v", when, err)
					}
					h.Reopen()
				}
				if !slices.ContainsFunc(h.Log.Entries(), func(e *audit.Entry) bool {
					return e.Action == audit.ActionKeyRotate && strings.HasPrefix(e.Object, key.String()) && e.Principal == as("keeper").Principal
				}) {
					t.Error("the rotation is not in the log")
				}
			})
		}
	})
}

// What is no right request is refused with the field and the rule, and who has
// no right learns nothing.
func TestRefusedKeyChanges(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	ctx, v := t.Context(), h.Vault
	change := func(key vault.KeyRef, version uint32, reason string) vault.KeyChange {
		return vault.KeyChange{Key: key, Version: version, Reason: reason}
	}
	second := func(_ any, err error) error { return err }
	for _, c := range []struct {
		name string
		err  error
		want vault.Reason
	}{
		{"rotate without a right", second(v.RotateKey(ctx, as("shop"), change(cardKey, 0, ""))), vault.ActionDenied},
		{"rotate a field that is not", second(v.RotateKey(ctx, as("keeper"), change(vault.KeyRef{Kind: vault.KeyField, Name: "customers.nope"}, 0, ""))), vault.KeyNotFound},
		{"rotate the KEK", second(v.RotateKey(ctx, as("keeper"), change(vault.KeyRef{Kind: vault.KeyKEK}, 0, ""))), vault.InvalidRequest},
		{"rotate a root with a name", second(v.RotateKey(ctx, as("keeper"), change(vault.KeyRef{Kind: vault.KeyRoot, Name: "x"}, 0, ""))), vault.InvalidRequest},
		{"rotate no kind", second(v.RotateKey(ctx, as("keeper"), change(vault.KeyRef{}, 0, ""))), vault.InvalidRequest},
		{"rotate for free text", second(v.RotateKey(ctx, as("keeper"), change(cardKey, 0, "because I say so"))), vault.InvalidRequest},
		{"promote nothing", v.PromoteKey(ctx, as("keeper"), change(cardKey, 0, "")), vault.InvalidRequest},
		{"promote what is not", v.PromoteKey(ctx, as("keeper"), change(cardKey, 9, "")), vault.KeyNotFound},
		{"promote what could not be", v.PromoteKey(ctx, as("keeper"), change(cardKey, 1<<16+1, "")), vault.KeyNotFound},
		{"disable without a reason", second(v.DisableKey(ctx, as("keeper"), change(cardKey, 1, ""))), vault.InvalidRequest},
		{"disable the root", second(v.DisableKey(ctx, as("keeper"), change(vault.KeyRef{Kind: vault.KeyRoot}, 1, "T-1"))), vault.InvalidRequest},
		{"disable the rows in use", second(v.DisableKey(ctx, as("keeper"), change(vault.KeyRef{Kind: vault.KeyRows}, 1, "T-1"))), vault.KeyInUse},
		{"disable the look-up in use", second(v.DisableKey(ctx, as("keeper"), change(vault.KeyRef{Kind: vault.KeyLookup}, 1, "T-1"))), vault.KeyInUse},
		{"disable without a right", second(v.DisableKey(ctx, as("first"), change(cardKey, 1, "T-1"))), vault.ActionDenied},
		{"destroy without a right", second(v.DestroyKey(ctx, as("first"), change(cardKey, 1, "T-1"))), vault.ActionDenied},
		{"destroy what is not", second(v.DestroyKey(ctx, as("keeper"), change(cardKey, 7, "T-1"))), vault.KeyNotFound},
		{"list without a right", second(v.Keys(ctx, as("shop"), false)), vault.ActionDenied},
		{"watch without a right", v.WatchKeyWork(ctx, as("shop"), true, nil), vault.ActionDenied},
		{"pause without a right", v.PauseRewrap(ctx, as("shop"), ""), vault.ActionDenied},
		{"requests without a right", second(v.KeyRequests(ctx, as("shop"))), vault.ActionDenied},
		{"approve nothing", second(v.ApproveKeyRequest(ctx, as("first"), 12, "T-1")), vault.ApprovalNotFound},
		{"withdraw nothing", v.WithdrawKeyRequest(ctx, as("first"), 12, "T-1"), vault.ApprovalNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !errors.Is(c.err, &vault.Error{Reason: c.want}) {
				t.Errorf("got %v, want %v", c.err, c.want)
			}
		})
	}
	if k := keyOf(t, h, cardKey); k.Generation != 1 {
		t.Errorf("a refused change changed the keyset: %+v", k)
	}
}
