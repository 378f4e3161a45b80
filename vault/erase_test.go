package vault_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// refsOf returns the persons that the store holds, by state.
func refsOf(t *testing.T, h *vaulttest.Harness) (active, erased []uint64) {
	t.Helper()
	for _, r := range scanAll(t, h.Values, rows.People) {
		k, err := rows.ParsePersonKey(r.Key)
		if err != nil {
			t.Fatal(err)
		}
		if !k.Header {
			continue
		}
		head, err := rows.ParseHeader(r.Value)
		if err != nil {
			t.Fatal(err)
		}
		if head.State == rows.Active {
			active = append(active, k.Ref)
		} else {
			erased = append(erased, k.Ref)
		}
	}
	return active, erased
}

// With the last record the person goes: key, cells, id and look-up; what stays
// is the header that says erased and the line in the ledger.
func TestTheLastRecordTakesThePerson(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		r := put(t, h, "c-1", "note", "tea", "email", "a@example.org")
		o := order(t, h, "c-1", "Main Street 1")
		before, _ := refsOf(t, h)
		tokens := []string{tokenOf(t, r, "note"), tokenOf(t, r, "email"), tokenOf(t, o, "street")}
		remove(t, h, "customers", "c-1")
		if active, _ := refsOf(t, h); len(active) != 1 {
			t.Fatal("the person went with a record that was not the last")
		}
		if n := remove(t, h, "orders", "c-1"); n != 1 {
			t.Errorf("deleted %d values, want 1", n)
		}
		check := func() {
			t.Helper()
			active, erased := refsOf(t, h)
			if len(active) != 0 || len(erased) != 1 || erased[0] != before[0] {
				t.Errorf("active %v, erased %v", active, erased)
			}
			if all := scanAll(t, h.Values, rows.People); len(all) != 2 { // with the control row
				t.Errorf("%d rows of the person are left, want the header", len(all)-1)
			}
			for table, want := range map[uint8]int{rows.Ledger: 1, rows.Members: 0} {
				if all := scanAll(t, h.Values, table); len(all) != want {
					t.Errorf("table %d has %d rows, want %d", table, len(all), want)
				}
			}
			if all := scanAll(t, h.Keys, rows.Subjects); len(all) != 0 {
				t.Error("the person's key is there")
			}
			for _, r := range scanAll(t, h.Values, rows.Control) {
				if strings.HasPrefix(string(r.Key), "erasing") {
					t.Error("the erasure is still marked as unfinished")
				}
			}
			got, err := h.Vault.DescribeTokens(t.Context(), as("shop"), tokens)
			if err != nil {
				t.Fatal(err)
			}
			for i, d := range got {
				if d.Err == nil || d.Err.Reason != vault.TokenNotFound {
					t.Errorf("token %d is described as %+v", i, d)
				}
			}
			wantShown(t, h, tokens[:2], "TOKEN_NOT_FOUND", "TOKEN_NOT_FOUND")
			if get(t, h, "c-1") != nil {
				t.Error("the record is there")
			}
		}
		check()
		h.Reopen()
		check()
		// The same id again is a new person.
		n := put(t, h, "c-1", "note", "tea")
		active, _ := refsOf(t, h)
		if len(active) != 1 || active[0] == before[0] {
			t.Errorf("the new person has ref %v, the old one had %v", active, before)
		}
		wantShown(t, h, []string{tokens[0], tokenOf(t, n, "note")}, "TOKEN_NOT_FOUND", "tea")
	})
}

// A crash between the two commits of an erasure: it is finished before the
// vault serves again. Until then nothing opens.
func TestErasureInterrupted(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		died := errors.New("the disk went away")
		var g *gate
		h.WrapKeys = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
		h.Reopen()
		token := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
		wantShown(t, h, []string{token}, "tea") // the key is in the cache
		g.set(func(*store.Batch) error { return died }, nil)
		_, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
		if err == nil {
			t.Fatal("an erasure was acknowledged whose key is there")
		}
		if len(scanAll(t, h.Keys, rows.Subjects)) != 1 {
			t.Fatal("the test did not interrupt the erasure")
		}
		wantShown(t, h, []string{token}, "TOKEN_NOT_FOUND")
		h.WrapKeys = nil
		h.Reopen()
		if len(scanAll(t, h.Keys, rows.Subjects)) != 0 {
			t.Error("the vault serves, and the key is there")
		}
		wantShown(t, h, []string{token}, "TOKEN_NOT_FOUND")
	})
}

// A key that could not be destroyed at once is destroyed without a restart.
func TestErasureIsFinishedInTheBackground(t *testing.T) {
	h := open(t)
	var g *gate
	h.WrapKeys = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	put(t, h, "c-1", "note", "tea")
	g.set(func(*store.Batch) error { return store.ErrFull }, nil)
	_, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"})
	wantReason(t, err, vault.StoreFull)
	g.set(nil, nil)
	if err := h.Vault.Tidy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(scanAll(t, h.Keys, rows.Subjects)) != 0 {
		t.Error("the key is there")
	}
}

// No reveal that begins after a delete was answered gives the value, whatever
// runs at the same time and whatever is cached.
func TestRevealRacesWithDelete(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		for range 20 {
			token := tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")
			deleted := make(chan struct{})
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for last := false; !last; {
						select {
						case <-deleted:
							last = true
						default:
						}
						var out vault.Revealed
						err := h.Vault.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: []string{token}, Purpose: "support"}, &out)
						if err != nil {
							t.Error(err)
							return
						}
						e := out.Items[0].Err
						if e != nil && e.Reason != vault.TokenNotFound {
							t.Errorf("refused with %v", e.Reason) // an erased person is not lost data
						}
						if last && e == nil {
							t.Error("revealed after the delete was answered")
						}
					}
				})
			}
			remove(t, h, "customers", "c-1")
			close(deleted)
			all.Wait()
		}
	})
}

// When the answer of a commit is lost, a new person's key must stay: the
// header may have been stored.
func TestLostAnswerOfTheFirstWrite(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		var g *gate
		h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
		h.Reopen()
		g.set(nil, func(b *store.Batch) error {
			if writes(b, rows.People) {
				return store.ErrAmbiguous
			}
			return nil
		})
		_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1", "note", "tea")}})
		wantReason(t, err, vault.StoreUnavailable)
		h.Wrap = nil
		h.Reopen()
		wantShown(t, h, tokensOf(get(t, h, "c-1"), "note"), "tea")
	})
}

// Keys whose header never came to be are swept at a later start.
func TestOrphanedKeysAreSwept(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		put(t, h, "c-0", "note", "stays")
		var g *gate
		h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
		h.Reopen()
		g.set(func(b *store.Batch) error {
			if writes(b, rows.People) {
				return store.ErrBroken
			}
			return nil
		}, nil)
		_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-1", "note", "tea"), record("c-2", "note", "tea")}})
		wantReason(t, err, vault.StoreUnavailable)
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != 3 {
			t.Fatalf("%d keys, want 3: the test made no orphans", n)
		}
		h.Wrap = nil
		h.Reopen()
		h.Vault.WaitSwept()
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != 1 {
			t.Errorf("%d keys after the sweep, want 1", n)
		}
		wantShown(t, h, tokensOf(get(t, h, "c-0"), "note"), "stays")
	})
}

// Keys made ahead of need serve new persons without a commit of their own, and
// what a run leaves over is swept at the next start.
func TestSparePersons(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		h.SparePersons = 8
		h.Reopen()
		for i := range 12 {
			r := put(t, h, fmt.Sprintf("c-%d", i), "note", "tea")
			wantShown(t, h, []string{tokenOf(t, r, "note")}, "tea")
		}
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != 18 { // 9 for the first, 9 for the tenth
			t.Errorf("%d keys were made for 12 persons in lots of 9, want 18", n)
		}
		h.Reopen()
		h.Vault.WaitSwept()
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != 12 {
			t.Errorf("%d keys are left after the sweep, want 12", n)
		}
		put(t, h, "c-12", "note", "tea")
	})
}
