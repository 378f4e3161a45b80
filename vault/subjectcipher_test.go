package vault_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

var auditRef = vault.KeyRef{Kind: vault.KeyAuditRef}

// handles are the texts that stand for persons in reveals of the log.
func handles(h *vaulttest.Harness) (out [][16]byte) {
	for _, e := range h.Log.Entries() {
		if e.Action != audit.ActionReveal {
			continue
		}
		for _, it := range e.Items {
			if !slices.Contains(out, it.Subject) {
				out = append(out, it.Subject)
			}
		}
	}
	return out
}

// listed asks for the history of somebody and returns how many entries there
// are, all pages.
func listed(t *testing.T, h *vaulttest.Harness, f vault.HistoryFilter) int {
	t.Helper()
	f.Actions = []string{"reveal"}
	n, token := 0, ""
	for {
		page, err := h.Vault.ListAudit(t.Context(), as("auditor"), vault.ListAuditRequest{Filter: f, PageSize: 3, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		n += len(page.Entries)
		if token = page.Next; token == "" {
			return n
		}
	}
}

// A person goes by another text after a rotation, and everything that asks the
// log about persons still finds all entries of each, once.
func TestHistoryOverRotation(t *testing.T) {
	withHistory(t, func(t *testing.T, h *vaulttest.Harness) {
		have, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}})
		if err != nil || have[0].Err != nil {
			t.Fatal(err, have[0].Err)
		}
		card := tokenOf(t, have[0].Record, "card")
		mark(t, h, "c-2", false)
		before := handles(h)
		rotate(t, h, auditRef)
		reveal(t, h, "billing", card, "payment", 0)
		after := handles(h)
		if len(before) != 2 || len(after) != 3 {
			t.Fatalf("%d texts before the rotation and %d after", len(before), len(after))
		}
		if h.Index != nil {
			awaitIndex(t, h)
		}
		check := func(when string, first, second int) {
			t.Helper()
			if got := listed(t, h, vault.HistoryFilter{SubjectIDs: []string{"c-1"}}); got != first {
				t.Errorf("%s: %d entries by id, want %d", when, got, first)
			}
			if got := listed(t, h, vault.HistoryFilter{SubjectIDs: []string{"c-2"}}); got != second {
				t.Errorf("%s: %d entries of another person by id, want %d", when, got, second)
			}
			if got := listed(t, h, vault.HistoryFilter{Subjects: []string{hex.EncodeToString(after[2][:])}}); got != first {
				t.Errorf("%s: %d entries by the new text, want %d", when, got, first)
			}
		}
		check("after the rotation", 10, 9)
		if got := listed(t, h, vault.HistoryFilter{Subjects: []string{hex.EncodeToString(before[0][:])}}); got != 10 {
			t.Errorf("%d entries by the old text, want 10", got)
		}
		sum, rows := exposed(t, h, vault.ExposureRequest{})
		if sum.Subjects != 1 || sum.Reveals != 7 || len(rows) != 1 || rows[0].SubjectID != "c-1" || sum.HoneyReveals != 6 {
			t.Errorf("exposed: %+v, rows %+v", sum, rows)
		}
		if !h.Vault.IsHoney(before[1]) {
			t.Error("the old text of a honey record is not known")
		}
		h.Reopen()
		check("after a restart", 10, 9)

		// What was entered under a version that is out of use is about nobody any
		// more. Nothing fails.
		disable(t, h, auditRef, 1)
		check("with the old version disabled", 1, 0)
		if got := listed(t, h, vault.HistoryFilter{Subjects: []string{hex.EncodeToString(before[0][:])}}); got != 9 {
			t.Errorf("%d entries by the old text, want the 9 that hold it", got)
		}
		if h.Vault.IsHoney(before[1]) {
			t.Error("a text under a disabled version still tells who it is")
		}
		if sum, rows := exposed(t, h, vault.ExposureRequest{}); sum.Subjects != 3 || len(rows) != 3 {
			t.Errorf("exposed with the old version disabled: %+v", sum)
		}
		if err := h.Vault.EnableKey(t.Context(), as("keeper"), vault.KeyChange{Key: auditRef, Version: 1, Reason: "T-1"}); err != nil {
			t.Fatal(err)
		}
		check("with the old version enabled again", 10, 9)
		disable(t, h, auditRef, 1)
		if _, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: auditRef, Version: 1, Reason: "T-1"}); err != nil {
			t.Logf("destroying: %v", err)
		}
		check("with the old version destroyed", 1, 0)
		h.Reopen()
		check("after another restart", 1, 0)
	})
}

// A watch that began before a rotation misses nothing that comes after it.
func TestWatchOverRotation(t *testing.T) {
	h := open(t)
	card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	other := tokenOf(t, put(t, h, "c-2", "card", "4111111111111111"), "card")
	const rounds = 4
	seen, ready := 0, make(chan struct{})
	var watching sync.WaitGroup
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second) // only a watch that misses something waits so long
	defer stop()
	watching.Go(func() {
		var begun sync.Once
		err := h.Vault.WatchAudit(ctx, as("auditor"), vault.WatchAuditRequest{
			Filter: vault.HistoryFilter{SubjectIDs: []string{"c-1"}, Actions: []string{"reveal"}},
		}, func(e *vault.HistoryEntry, _ uint64) error {
			begun.Do(func() { close(ready) })
			if e != nil {
				seen++
			}
			if seen == rounds {
				return errDone
			}
			return nil
		})
		if !errors.Is(err, errDone) {
			t.Error(err)
		}
	})
	<-ready
	for range rounds {
		reveal(t, h, "billing", other, "payment", 0)
		reveal(t, h, "billing", card, "payment", 0)
		rotate(t, h, auditRef)
	}
	watching.Wait()
}

// Rotations between reads and writes of many callers: every entry names a
// person whom a version tells, and who it is about.
func TestRotateAuditRefUnderLoad(t *testing.T) {
	h := open(t)
	const persons = 6
	var tokens [persons]string
	for i := range tokens {
		tokens[i] = tokenOf(t, put(t, h, fmt.Sprint("c-", i), "card", "4111111111111111"), "card")
	}
	reveals := [persons]int{}
	var mu sync.Mutex
	var busy sync.WaitGroup
	for i := range persons {
		busy.Go(func() {
			for range 60 {
				if _, refusal := reveal(t, h, "billing", tokens[i], "payment", 0); refusal != 0 {
					t.Errorf("refused: %v", refusal)
				}
				mu.Lock()
				reveals[i]++
				mu.Unlock()
			}
		})
	}
	for range 5 {
		rotate(t, h, auditRef)
	}
	busy.Wait()
	for i, want := range reveals {
		if got := listed(t, h, vault.HistoryFilter{SubjectIDs: []string{fmt.Sprint("c-", i)}}); got != want {
			t.Errorf("person %d: %d entries of %d reveals", i, got, want)
		}
	}
	if sum, rows := exposed(t, h, vault.ExposureRequest{}); sum.Subjects != persons || len(rows) != persons {
		t.Errorf("exposed: %d persons in %d rows", sum.Subjects, len(rows))
	}
	wantFound(t, deepMemory(t, h, h.Log))
}

// The deep check goes on over a rotation as if there had been none; entries
// under a version out of use are counted and say nothing; and an entry that was
// made up is found as before.
func TestDeepOverAuditRefRotation(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	put(t, h, "c-2", "note", "milk")
	rotate(t, h, auditRef)
	put(t, h, "c-3", "note", "water")
	_, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{
		Collection: "customers", Record: record("c-1", "note", "juice"),
	})
	if err != nil {
		t.Fatal(err)
	}
	c := deepMemory(t, h, h.Log)
	wantFound(t, c)
	if c.report.Untold != 0 || c.report.Older != 0 {
		t.Errorf("counted %+v", *c.report)
	}
	h.Reopen()
	disable(t, h, auditRef, 1)
	h.Clock.Add(time.Second)
	put(t, h, "c-4", "note", "beer")
	c = deepMemory(t, h, h.Log)
	wantFound(t, c)
	if c.report.Untold == 0 || c.report.Older == 0 {
		t.Errorf("with the old version disabled: %+v", *c.report)
	}
	// An entry that no version ever made, dated after the old one went out of use.
	h.Reopen()
	forged := edit(t, h.Log, func(all []*audit.Entry) []*audit.Entry {
		last := *all[len(all)-1]
		for _, e := range all {
			if e.Action == audit.ActionCreate {
				last = *e
			}
		}
		last.ID[15] ^= 1
		return append(all, &last)
	})
	c = deepMemory(t, h, forged)
	if len(c.found) != 1 || c.found[0].Kind != vault.EntryForeign {
		t.Errorf("a made-up entry: %v", c.found)
	}
	h.Reopen()
	if err := h.Vault.Ring().SetState(t.Context(), keys.ID{Kind: keys.KindAuditRef}, 1, keys.Destroyed); err != nil {
		t.Fatal(err)
	}
	c = deepMemory(t, h, h.Log)
	wantFound(t, c)
}
