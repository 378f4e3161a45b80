package vault_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// usesOf returns how often the version in use of a key sealed something.
func usesOf(t *testing.T, h *vaulttest.Harness, ref vault.KeyRef) uint64 {
	t.Helper()
	k := keyOf(t, h, ref)
	return k.Versions[k.Primary-1].Uses
}

// Uses are counted, over restarts too; a stop costs less than a block, and what
// is stored is never below what was used, so that a crash forgets nothing.
func TestUsesAreCounted(t *testing.T) {
	h := open(t)
	for i := range 10 {
		put(t, h, fmt.Sprint("c-", i), "card", "4111111111111111")
	}
	if n := usesOf(t, h, cardKey); n != 10 {
		t.Errorf("after 10 values: %d uses", n)
	}
	h.Reopen()
	clean := usesOf(t, h, cardKey)
	if clean < 10 || clean >= vault.UseBlock {
		t.Errorf("after a clean stop: %d uses", clean)
	}
	put(t, h, "more", "card", "4111111111111111")
	if err := h.Vault.LookAtUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	// A crash: what was written stays, and nothing is written at the close.
	stored := uint64(0)
	for _, r := range scanAll(t, h.Values, rows.KeyUses) {
		if r.Key[0] == byte(vault.KeyField) {
			n, err := store.Counter(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			stored = max(stored, uint64(n))
		}
	}
	if stored <= clean {
		t.Errorf("stored %d, used %d: a crash would forget uses", stored, clean+1)
	}
}

// A keyset rotates by itself when it was used as often as it may; and should it
// not, its version seals no more.
func TestWornKeys(t *testing.T) {
	h := open(t)
	h.Vault.SetUseLimits(5, 1<<40)
	for i := range 6 {
		put(t, h, fmt.Sprint("c-", i), "card", "4111111111111111")
	}
	if err := h.Vault.LookAtUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	if k := keyOf(t, h, cardKey); k.Primary != 2 {
		t.Errorf("the key in use is version %d", k.Primary)
	}
	if !slices.ContainsFunc(h.Log.Entries(), func(e *audit.Entry) bool {
		return e.Action == audit.ActionKeyRotate && e.Principal == vault.Self && e.Reason == "uses" && strings.Contains(e.Object, "customers.card")
	}) {
		t.Error("the rotation is not in the log")
	}
	h.Vault.SetUseLimits(1<<40, 4)
	for i := range 4 {
		put(t, h, fmt.Sprint("d-", i), "note", "tea")
	}
	if err := h.Vault.LookAtUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{
		{SubjectID: "d-9", Fields: fields("note", "tea")}}})
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Err == nil || r[0].Err.Reason != vault.KeysUnavailable || r[0].Err.Field != "note" {
		t.Errorf("a value under a key that was used up: %v", r[0].Err)
	}
	// The re-wrap uses the new version as often as there are values.
	if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), "T-1"); err != nil {
		t.Fatal(err)
	}
	rotate(t, h, vault.KeyRef{Kind: vault.KeyField, Name: "customers.note"})
	if err := h.Vault.LookAtUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	put(t, h, "d-9", "note", "tea")
}

// Keys rotate by themselves when they are as old as the options say, and the
// log says so before.
func TestAges(t *testing.T) {
	const day = 24 * time.Hour
	h := open(t)
	h.Ages, h.AgeWarning = vault.KeyAges{Fields: 100 * day, Root: 200 * day}, 10*day
	h.Reopen()
	put(t, h, "c-1", "card", "4111111111111111")
	h.Vault.WaitSwept()
	warned := make(map[vault.KeyRef]time.Time)
	look := func() (due, rotated []string) {
		t.Helper()
		before := len(h.Log.Entries())
		h.Vault.LookAtAges(t.Context(), warned)
		for _, e := range h.Log.Entries()[before:] {
			switch {
			case e.Action == audit.ActionKeyDue:
				due = append(due, strings.Fields(e.Object)[0])
			case e.Action == audit.ActionKeyRotate && e.Reason == "age":
				rotated = append(rotated, strings.Fields(e.Object)[0])
			}
		}
		return due, rotated
	}
	if due, rotated := look(); len(due)+len(rotated) != 0 {
		t.Errorf("new keys are due: %v %v", due, rotated)
	}
	h.Clock.Add(95 * day)
	if due, rotated := look(); !slices.Contains(due, "field") || len(rotated) != 0 {
		t.Errorf("before the time: %v %v", due, rotated)
	}
	if due, _ := look(); len(due) != 0 {
		t.Errorf("it is said twice: %v", due)
	}
	h.Clock.Add(6 * day)
	if _, rotated := look(); !slices.Contains(rotated, "field") || slices.Contains(rotated, "root") {
		t.Errorf("at the time: %v", rotated)
	}
	h.Clock.Add(100 * day)
	if _, rotated := look(); !slices.Contains(rotated, "root") || slices.Contains(rotated, "domain") {
		t.Errorf("at the root's time: %v", rotated)
	}
	if k := keyOf(t, h, vault.KeyRef{Kind: vault.KeyDomain, Name: "default"}); k.Primary != 1 || !k.Due.IsZero() {
		t.Errorf("a key that never rotates by itself: %+v", k)
	}
}

// How many persons' keys an epoch wrapped is counted too, over restarts, and an
// epoch that wrapped as many as it may ends by itself.
func TestEpochUses(t *testing.T) {
	h := open(t)
	for i := range 10 {
		put(t, h, fmt.Sprint("c-", i), "note", "tea")
	}
	if err := h.Vault.LookAtUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	epoch := vault.KeyRef{Kind: vault.KeyEpoch}
	if k := keyOf(t, h, epoch); k.Versions[0].Uses < 10 {
		t.Errorf("after 10 persons: %d uses", k.Versions[0].Uses)
	}
	h.Reopen()
	if k := keyOf(t, h, epoch); k.Versions[0].Uses < 10 {
		t.Errorf("after a restart: %d uses", k.Versions[0].Uses)
	}
	h.Vault.SetUseLimits(5, 1<<40)
	if err := h.Vault.LookAtUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	idle(t, h)
	if k := keyOf(t, h, epoch); k.Primary < 2 {
		t.Errorf("the epoch is %d", k.Primary)
	}
}
