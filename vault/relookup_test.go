package vault_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

var lookupKey = vault.KeyRef{Kind: vault.KeyLookup}

// found asks for the record of an id, and tells whether there is one.
func found(t *testing.T, h *vaulttest.Harness, id string) bool {
	t.Helper()
	r, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{id}})
	if err != nil {
		t.Fatal(err)
	}
	return r[0].Err == nil
}

// persons counts those who are there.
func persons(t *testing.T, h *vaulttest.Harness) int {
	t.Helper()
	n := 0
	for _, r := range scanAll(t, h.Values, rows.Members) {
		if len(r.Key) > 0 {
			n++
		}
	}
	return n
}

// moved waits until persons are found under the version in use alone.
func moved(t *testing.T, h *vaulttest.Harness) {
	t.Helper()
	if err := h.Vault.RebuildLookupVersion(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Every person is found during the move and after it, and the old version can
// be destroyed: nothing is found by it any more.
func TestMoveLookups(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		const n = 700 // several pages
		for i := range n {
			put(t, h, fmt.Sprint("c-", i), "note", "tea")
		}
		for version := uint32(2); version < 5; version++ {
			rotate(t, h, lookupKey)
			put(t, h, fmt.Sprint("new-", version), "note", "tea")
			for i := 0; i < n; i += 50 {
				if !found(t, h, fmt.Sprint("c-", i)) {
					t.Fatalf("person %d is not found during the move", i)
				}
			}
			if version == 2 {
				continue // two rotations at once
			}
			moved(t, h)
			disable(t, h, lookupKey, version-1)
			for i := range n {
				if !found(t, h, fmt.Sprint("c-", i)) {
					t.Fatalf("person %d is not found after the move", i)
				}
			}
		}
		if got := persons(t, h); got != n+3 {
			t.Errorf("%d persons, want %d", got, n+3)
		}
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1", "note", "x")}})
		if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.RecordExists {
			t.Errorf("a person was stored twice: %v, %v", r[0].Err, err)
		}
		h.Reopen()
		if !found(t, h, "new-2") || !found(t, h, "c-699") || found(t, h, "nobody") {
			t.Error("after a restart others are found than before")
		}
	})
}

// Callers create, find, change and erase persons while the key is rotated
// again and again: nobody is lost, nobody is there twice.
func TestRotateLookupUnderLoad(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		const ids = 24
		ctx, stop := context.WithCancel(t.Context())
		var busy sync.WaitGroup
		var there [ids]atomic.Bool
		for caller := range 4 {
			busy.Go(func() {
				random := rand.New(rand.NewPCG(uint64(caller), 7))
				for ctx.Err() == nil {
					i := caller + 4*random.IntN(ids/4) // each has ids of its own, so it knows
					id := fmt.Sprint("c-", i)
					switch was := there[i].Load(); random.IntN(4) {
					case 0:
						r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
							Collection: "customers", Records: []vault.RecordInput{record(id, "note", "tea")}, RequestID: fmt.Sprint(caller, "/", random.Uint64()),
						})
						if err != nil || (r[0].Err == nil) == was {
							t.Errorf("create of %s, which was there: %t: %v, %v", id, was, err, r)
							return
						}
						there[i].Store(true)
					case 1:
						_, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: id})
						if (err == nil) != was {
							t.Errorf("erasure of %s, which was there: %t: %v", id, was, err)
							return
						}
						there[i].Store(false)
					default:
						if found(t, h, id) != was {
							t.Errorf("%s is found: %t", id, !was)
							return
						}
					}
				}
			})
		}
		for range 4 {
			rotate(t, h, lookupKey)
			moved(t, h)
		}
		rotate(t, h, lookupKey)
		stop()
		busy.Wait()
		moved(t, h)
		want := 0
		for i := range there {
			if there[i].Load() {
				want++
			}
			if found(t, h, fmt.Sprint("c-", i)) != there[i].Load() {
				t.Errorf("c-%d at the end: %t", i, !there[i].Load())
			}
		}
		if got := persons(t, h); got != want {
			t.Errorf("%d persons, want %d", got, want)
		}
	})
}

// Two that create one person at once, one of whom began before the rotation,
// do not make two of it.
func TestOnePersonOverRotation(t *testing.T) {
	h := open(t)
	const ids = 40
	var won [ids]atomic.Int32
	var busy sync.WaitGroup
	for range 4 {
		busy.Go(func() {
			for i := range ids {
				r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record(fmt.Sprint("c-", i), "note", "tea")}})
				if err != nil {
					t.Error(err)
					return
				}
				if r[0].Err == nil {
					won[i].Add(1)
				}
			}
		})
	}
	for range 6 {
		rotate(t, h, lookupKey)
	}
	busy.Wait()
	for i := range won {
		if n := won[i].Load(); n != 1 {
			t.Errorf("c-%d was created %d times", i, n)
		}
	}
	moved(t, h)
	if got := persons(t, h); got != ids {
		t.Errorf("%d persons, want %d", got, ids)
	}
}

// The store fails at each commit of the move in turn: the next start goes on,
// and everybody is found at every moment.
func TestMoveLookupsInterrupted(t *testing.T) {
	for at := range 5 {
		t.Run(fmt.Sprint("commit ", at), func(t *testing.T) {
			h := vaulttest.New(t)
			failing := &failAt{}
			h.Wrap = func(s store.Store) store.Store { failing.Store = s; return failing }
			h.Reopen()
			h.Apply(testPolicy)
			const n = 600 // three pages, the last mark
			for i := range n {
				put(t, h, fmt.Sprint("c-", i), "note", "tea")
			}
			rotate(t, h, lookupKey)
			failing.left.Store(int64(at))
			failing.armed.Store(true)
			_ = h.Vault.RebuildLookupVersion(t.Context()) // the work in the background may be first
			failing.armed.Store(false)
			for i := 0; i < n; i += 20 {
				if !found(t, h, fmt.Sprint("c-", i)) {
					t.Fatalf("person %d is not found after the fault", i)
				}
			}
			h.Reopen()
			moved(t, h)
			disable(t, h, lookupKey, 1)
			for i := range n {
				if !found(t, h, fmt.Sprint("c-", i)) {
					t.Fatalf("person %d is not found at the end", i)
				}
			}
		})
	}
}

// failAt fails commits that move persons, from one on.
type failAt struct {
	store.Store
	armed atomic.Bool
	left  atomic.Int64
}

func (f *failAt) Commit(ctx context.Context, b *store.Batch) error {
	for _, w := range b.Writes {
		if w.Table == rows.Control && string(w.Key) == string(rows.RelookKey) && f.armed.Load() && f.left.Add(-1) < 0 {
			return store.ErrFull
		}
	}
	return f.Store.Commit(ctx, b)
}

// While persons may stand under a version that was disabled nobody is said not
// to be there, and nobody is stored anew; moving them ends that.
func TestLookupVersionDisabledTooEarly(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	ring, id := h.Vault.Ring(), keys.ID{Kind: keys.KindLookup}
	if _, err := ring.Rotate(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if err := ring.SetState(t.Context(), id, 1, keys.Disabled); err != nil {
		t.Fatal(err)
	}
	_, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}})
	if !errors.Is(err, &vault.Error{Reason: vault.KeyDisabled}) {
		t.Errorf("a look-up that cannot be answered: %v", err)
	}
}

// Etags and remembered requests of before a rotation hold until persons were
// moved, and are void afterwards.
func TestRequestsOverRotation(t *testing.T) {
	h := vaulttest.New(t)
	failing := &failAt{}
	h.Wrap = func(s store.Store) store.Store { failing.Store = s; return failing }
	h.Reopen()
	h.Apply(testPolicy)
	failing.armed.Store(true) // nobody is moved
	q := vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1", "note", "tea")}, RequestID: "r-1"}
	first, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
	if err != nil || first[0].Err != nil {
		t.Fatal(err, first)
	}
	update := func(etag string) error {
		_, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("c-1", "note", "milk"), ETag: etag})
		return err
	}
	rotate(t, h, lookupKey)
	again, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
	if err != nil || again[0].Err != nil || !again[0].Created {
		t.Errorf("the request again during the move: %v, %+v", err, again[0].Err)
	}
	if err := update(first[0].Record.ETag); err != nil {
		t.Errorf("an older etag during the move: %v", err)
	}
	failing.armed.Store(false)
	moved(t, h)
	again, err = h.Vault.PutRecords(t.Context(), as("shop"), q)
	if err != nil || again[0].Err == nil || again[0].Err.Reason != vault.RecordExists {
		t.Errorf("the request after the move: %v, %v", err, again)
	}
	if err := update(first[0].Record.ETag); !errors.Is(err, &vault.Error{Reason: vault.ETagMismatch}) {
		t.Errorf("an older etag after the move: %v", err)
	}
}

// A honey mark ends by the id, under whichever version of the key it was made.
func TestUnmarkOverRotation(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	put(t, h, "c-2", "note", "tea")
	mark(t, h, "c-1", false)
	mark(t, h, "c-2", false)
	if _, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-2"}); err != nil {
		t.Fatal(err)
	}
	rotate(t, h, lookupKey)
	moved(t, h)
	unmark(t, h, "c-1")
	unmark(t, h, "c-2") // it was erased
}
