package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// epochsOf returns how many persons' keys are wrapped in each epoch.
func epochsOf(t *testing.T, h *vaulttest.Harness) map[uint32]int {
	t.Helper()
	out := map[uint32]int{}
	for _, r := range scanAll(t, h.Keys, rows.Subjects) {
		number, _, err := keys.SubjectKeyEpoch(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		out[number]++
	}
	return out
}

// endEpoch asks for the end of the current epoch and waits for it.
func endEpoch(t *testing.T, h *vaulttest.Harness) {
	t.Helper()
	if _, err := h.Vault.AskEpochEnd(t.Context(), as("keeper")); err != nil {
		t.Fatal(err)
	}
	if err := h.Vault.EndEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// epochEntries returns what the log says of ends of epochs, each entry once.
func epochEntries(h *vaulttest.Harness) []string {
	var out []string
	seen := map[[16]byte]bool{}
	for _, e := range h.Log.Entries() {
		if e.Action == audit.ActionEpochEnd && !seen[e.ID] {
			seen[e.ID] = true
			out = append(out, e.Object+" by "+e.Principal)
		}
	}
	return out
}

func people(t *testing.T, h *vaulttest.Harness, n int) (tokens, want []string) {
	t.Helper()
	for i := range n {
		value := fmt.Sprintf("tea %d", i)
		tokens = append(tokens, tokenOf(t, put(t, h, fmt.Sprintf("c-%d", i), "note", value), "note"))
		want = append(want, value)
	}
	return tokens, want
}

// After the end of an epoch every person's key is in the next one, the old key
// is destroyed at its provider, and everything opens as before.
func TestEpochEnds(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		tokens, want := people(t, h, 5)
		before := h.Clock.Now()
		h.Clock.Add(time.Hour)
		endEpoch(t, h)
		if got := epochsOf(t, h); len(got) != 1 || got[2] != 5 {
			t.Errorf("persons' keys by epoch: %v, want all 5 in epoch 2", got)
		}
		if _, err := h.Epochs.Unwrap(t.Context(), 1, []byte("anything"), nil); !errors.Is(err, keys.ErrDestroyed) {
			t.Errorf("the key of epoch 1 is not destroyed: %v", err)
		}
		wantShown(t, h, tokens, want...)
		if got := epochEntries(h); !slices.Equal(got, []string{"epoch 1 begins to end by " + as("keeper").Principal, "epoch 1 ended by " + as("keeper").Principal}) {
			t.Errorf("the log says %q", got)
		}
		list := h.Vault.EpochList()
		if len(list) != 2 || list[0].State != keys.Destroyed || list[1].State != keys.Enabled || list[1].Version != 2 {
			t.Fatalf("epochs %+v", list)
		}
		if made := list[0].Made; made.Sub(before).Abs() > time.Minute || list[1].Made.Sub(made) < time.Hour {
			t.Errorf("made at %v and %v", made, list[1].Made)
		}
		h.Reopen()
		wantShown(t, h, tokens, want...)
		if again := h.Vault.EpochList(); fmt.Sprint(again[0]) != fmt.Sprint(list[0]) {
			t.Errorf("after a restart %+v, want %+v", again[0], list[0])
		}
		work := h.Vault.KeyWork()
		for _, w := range work {
			if w.Kind == vault.WorkEpoch && w.State != vault.WorkDone {
				t.Errorf("work %+v", w)
			}
		}
		endEpoch(t, h)
		wantShown(t, h, tokens, want...)
	})
}

// The board tells how many keys there were to wrap and that none is left.
func TestEpochEndIsShown(t *testing.T) {
	h := open(t)
	people(t, h, 7)
	endEpoch(t, h)
	for _, w := range h.Vault.KeyWork() {
		if w.Kind == vault.WorkEpoch && (w.State != vault.WorkDone || w.Epoch != 1 || w.Total != 7 || w.Done != 7 || w.Left != 0) {
			t.Errorf("work %+v", w)
		}
	}
}

// What is asked for twice is done once, and each who asked is in the log.
func TestEpochEndIsAskedForTwice(t *testing.T) {
	h := open(t)
	boom := errors.New("no backup")
	h.BeforeEpochEnds = func(context.Context, uint32) error { return boom }
	h.Reopen()
	tokens, want := people(t, h, 3)
	if n, err := h.Vault.AskEpochEnd(t.Context(), as("keeper")); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if err := h.Vault.EndEpoch(t.Context()); !errors.Is(err, boom) {
		t.Fatalf("without a backup the epoch ended: %v", err)
	}
	if n, err := h.Vault.AskEpochEnd(t.Context(), as("admin")); err != nil || n != 2 {
		t.Fatal(n, err)
	}
	if _, err := h.Epochs.Wrap(t.Context(), 1, []byte("x"), nil); err != nil {
		t.Errorf("without a backup the key of the epoch is gone: %v", err)
	}
	wantShown(t, h, tokens, want...)
	list := h.Vault.EpochList()
	if len(list) != 2 || list[0].State != keys.Disabled || list[1].State != keys.Enabled {
		t.Errorf("while it ends: %+v", list)
	}
	var ended uint32
	h.BeforeEpochEnds = func(_ context.Context, epoch uint32) error { ended = epoch; return nil }
	h.Reopen()
	if err := h.Vault.EndEpoch(t.Context()); err != nil || ended != 1 {
		t.Fatalf("%v, asked for a backup before the end of epoch %d", err, ended)
	}
	wantShown(t, h, tokens, want...)
	log := epochEntries(h)
	if len(log) != 3 || !strings.Contains(log[1], "is ending already by "+as("admin").Principal) || log[2] != "epoch 1 ended by "+as("keeper").Principal {
		t.Errorf("the log says %q", log)
	}
}

// By itself an epoch ends a little before its time is over, and receipts state
// that time.
func TestEpochEndsInTime(t *testing.T) {
	h := open(t)
	if at := h.Vault.CopiesExpire(); !at.IsZero() {
		t.Errorf("on demand only, and copies expire at %v", at)
	}
	h.EpochLength = 32 * time.Hour
	h.Reopen()
	made := h.Vault.EpochList()[0].Made
	put(t, h, "c-1", "note", "tea")
	put(t, h, "c-2", "note", "tea")
	del := func(subject, request string) vault.DeleteResult {
		t.Helper()
		r, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: subject, RequestID: request})
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	order(t, h, "c-2", "Main Street 1")
	if r := del("c-2", ""); r.Values != 1 || !r.CopiesExpire.IsZero() {
		t.Errorf("the person stays, and the receipt is %+v", r)
	}
	want := made.Add(32 * time.Hour).Add(h.Epochs.Destruction().Delay)
	for range 2 { // also of a request that is repeated
		if r := del("c-1", "r-1"); r.Values != 1 || !r.CopiesExpire.Equal(want) {
			t.Errorf("receipt %+v, want %v", r, want)
		}
	}
	h.Clock.Add(31*time.Hour - time.Minute)
	if err := h.Vault.EndEpoch(t.Context()); err != nil || len(h.Vault.EpochList()) != 1 {
		t.Errorf("the epoch ended before its time: %v", err)
	}
	h.Clock.Add(2 * time.Minute)
	if err := h.Vault.EndEpoch(t.Context()); err != nil || len(h.Vault.EpochList()) != 2 {
		t.Errorf("the epoch did not end: %v", err)
	}
	if got := epochEntries(h); len(got) != 2 || got[1] != "epoch 1 ended by "+vault.Self {
		t.Errorf("the log says %q", got)
	}
	h.Clock.Add(100 * time.Hour) // overdue
	if at := h.Vault.CopiesExpire(); !at.After(h.Clock.Now()) {
		t.Errorf("copies expire at %v, which is over", at)
	}
}

// Two nodes on the same stores: the other one follows, readers and writers.
func TestEpochEndsOnAnotherNode(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		tokens, want := people(t, h, 3)
		other, reader := node(t, h), node(t, h)
		endEpoch(t, h)
		// It wraps in the epoch that it knows, is refused, and does it again.
		r, err := other.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-9", "note", "late")}})
		if err != nil || r[0].Err != nil {
			t.Fatal(err, r)
		}
		var out vault.Revealed
		if err := reader.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out); err != nil {
			t.Fatal(err)
		}
		for i := range tokens {
			if e := out.Items[i].Err; e != nil || string(out.Value(i).Expose()) != want[i] {
				t.Errorf("the other node reveals %v", e)
			}
		}
		if got := epochsOf(t, h); got[1] != 0 || got[2] != 4 {
			t.Errorf("persons' keys by epoch: %v", got)
		}
		wantShown(t, h, tokensOf(get(t, h, "c-9"), "note"), "late")
	})
}

// A vault that gave up its keys opens nothing and ends no epoch, and does both
// again when it has them back.
func TestClosedEpochs(t *testing.T) {
	h := open(t)
	tokens, want := people(t, h, 2)
	h.Vault.CloseEpochs()
	var out vault.Revealed
	err := h.Vault.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out)
	wantReason(t, err, vault.KeysUnavailable)
	_, err = h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-9", "note", "tea")}})
	wantReason(t, err, vault.KeysUnavailable)
	if err := h.Vault.EndEpoch(t.Context()); err != nil {
		t.Error(err)
	}
	if list := h.Vault.EpochList(); len(list) != 1 || list[0].Version != 1 {
		t.Errorf("epochs %+v", list)
	}
	if err := h.Vault.OpenEpochs(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantShown(t, h, tokens, want...)
}

// Readers, writers and erasers go on while epochs end: everybody's values open
// all the time, nobody who was erased has a key, and all keys are in the last.
func TestEpochEndsUnderLoad(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		h.SparePersons = 3
		h.Reopen()
		tokens, want := people(t, h, 20)
		ctx, stop := context.WithCancel(context.Background())
		var all sync.WaitGroup
		var kept sync.Map
		for w := range 4 {
			all.Go(func() {
				for i := 0; ctx.Err() == nil; i++ {
					var out vault.Revealed
					if err := h.Vault.Detokenize(context.Background(), as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out); err != nil {
						t.Error(err)
						return
					}
					for k := range tokens {
						if e := out.Items[k].Err; e != nil || string(out.Value(k).Expose()) != want[k] {
							t.Errorf("revealed %v", e)
							return
						}
					}
					id := fmt.Sprintf("w%d-%d", w, i)
					r, err := h.Vault.PutRecords(context.Background(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record(id, "note", id)}})
					if err != nil || r[0].Err != nil {
						t.Error(err, r)
						return
					}
					if i%2 == 0 {
						if _, err := h.Vault.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: id}); err != nil {
							t.Error(err)
							return
						}
						continue
					}
					kept.Store(id, true)
				}
			})
		}
		for range 4 {
			endEpoch(t, h)
		}
		stop()
		all.Wait()
		h.SparePersons = 0
		h.Reopen()
		h.Vault.WaitSwept()
		persons := 20
		kept.Range(func(id, _ any) bool {
			persons++
			wantShown(t, h, tokensOf(get(t, h, id.(string)), "note"), id.(string))
			return true
		})
		endEpoch(t, h)
		if got := epochsOf(t, h); len(got) != 1 || got[6] != persons {
			t.Errorf("persons' keys by epoch: %v, want %d in epoch 6", got, persons)
		}
		wantShown(t, h, tokens, want...)
	})
}
