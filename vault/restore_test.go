package vault_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// ids returns the lanes of the persons that a vault knows.
func lanesOf(t *testing.T, h *vaulttest.Harness) map[uint64]int {
	t.Helper()
	active, erased := refsOf(t, h)
	out := map[uint64]int{}
	for _, ref := range append(active, erased...) {
		out[rows.Lane(ref)]++
	}
	return out
}

// What was backed up is there again, opens, and is found; nothing looks like
// tampering, and refs go on in another lane.
func TestRestoreBringsEverythingBack(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	tokens := map[string]string{}
	for i := range 300 {
		subject := fmt.Sprintf("c-%d", i)
		r := put(t, s.h, subject, "full_name", fmt.Sprintf("Person %d", i), "email", "a@example.org", "email", "b@example.org")
		tokens[subject] = tokenOf(t, r, "full_name")
		if i%3 == 0 {
			order(t, s.h, subject, "Main Street 1")
		}
		if i%5 == 0 {
			remove(t, s.h, "customers", subject)
			delete(tokens, subject)
		}
	}
	frozen := freeze(t, s.h, vault.FreezeRole, "billing")
	report := b.make(s)
	if report.ValuesManifest.Tables[0].Rows == 0 || report.Epochs[1] == 0 || report.ValuesManifest.Pair != report.KeysManifest.Pair {
		t.Errorf("the report says %+v", report)
	}
	for round := range 2 { // the second time from the same backup
		got := b.restore(s, report.Values, report.Keys)
		if got.Lane != uint64(round+2) || got.Found != 340 || got.Closed != 0 || got.Unread != 0 || got.Frozen || got.PolicyLost != 0 {
			t.Errorf("the report of restore %d says %+v", round, got)
		}
		for subject, token := range tokens {
			var n int
			if _, err := fmt.Sscanf(subject, "c-%d", &n); err != nil {
				t.Fatal(err)
			}
			if all := shown(t, s.h, token); all[0] != fmt.Sprintf("Person %d", n) {
				t.Fatalf("%s opens to %q", subject, all[0])
			}
			if r := get(t, s.h, subject); r == nil || tokenOf(t, r, "full_name") != token {
				t.Fatalf("%s is not found by its id", subject)
			}
		}
		if list, err := s.vault.Freezes(t.Context(), as("guard")); err != nil || len(list) != 1 || list[0].ID != frozen.ID {
			t.Errorf("the freezes are %v, %v", list, err)
		}
		put(t, s.h, fmt.Sprintf("new-%d", round), "full_name", "Somebody New")
		if lanes := lanesOf(t, s.h); lanes[uint64(round+2)] != 1 || lanes[1] != 300 {
			t.Errorf("persons by lane: %v", lanes)
		}
	}
	// The person of the first round is lost, and that is all.
	wantFound(t, s.deep(), "person_missing", "record_missing customers", "cell_missing customers.full_name 1")
	s.start(false)
}

// What was deleted after the backup is deleted again, what was written is lost,
// and nothing that was given out is given out again.
func TestRestoreDeletesAgain(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	both := put(t, s.h, "both", "full_name", "Both", "email", "a@example.org", "email", "b@example.org")
	order(t, s.h, "both", "Main Street 1")
	gone := put(t, s.h, "gone", "full_name", "Gone")
	item := put(t, s.h, "item", "full_name", "Item", "email", "a@example.org", "email", "b@example.org")
	again := put(t, s.h, "again", "full_name", "Before")
	order(t, s.h, "again", "Main Street 2")
	kept := put(t, s.h, "kept", "full_name", "Kept")
	report := b.make(s)

	remove(t, s.h, "customers", "both")
	remove(t, s.h, "customers", "gone")
	upsert(t, s.h, "item", "full_name", "Item", "email", "c@example.org") // b goes, a changes
	more := upsert(t, s.h, "item", "full_name", "Item", "email", "c@example.org", "email", "d@example.org")
	remove(t, s.h, "customers", "again")
	anew := put(t, s.h, "again", "full_name", "After")
	lost := put(t, s.h, "lost", "full_name", "Lost")
	reborn := put(t, s.h, "gone", "full_name", "Reborn")
	keptETag := upsert(t, s.h, "kept", "full_name", "Changed").ETag

	got := b.restore(s, report.Values, report.Keys)
	if got.Erased != 1 || got.Records != 2 || got.Changes < 8 || got.Unread != 0 {
		t.Errorf("the report says %+v", got)
	}
	if r := get(t, s.h, "both"); r != nil {
		t.Error("a deleted record is back")
	}
	want := []string{"TOKEN_NOT_FOUND"}
	for name, token := range map[string]string{
		"a deleted record": tokenOf(t, both, "full_name"), "an erased person": tokenOf(t, gone, "full_name"),
		"a deleted item": tokensOf(item, "email")[1], "an item that was written since": tokensOf(more, "email")[1],
		"a record before it was deleted": tokenOf(t, again, "full_name"), "a record that was written since": tokenOf(t, anew, "full_name"),
		"a person who came since": tokenOf(t, lost, "full_name"), "and one who came back": tokenOf(t, reborn, "full_name"),
	} {
		if all := shown(t, s.h, token); !slices.Equal(all, want) {
			t.Errorf("the token of %s opens to %q", name, all)
		}
	}
	if all := shown(t, s.h, tokensOf(item, "email")[0], tokenOf(t, kept, "full_name")); !slices.Equal(all, []string{"a@example.org", "Kept"}) {
		t.Errorf("what was changed since is %q, want it as it was", all)
	}
	// New items have numbers behind those that were given out since.
	fresh := upsert(t, s.h, "item", "full_name", "Item", "email", "a@example.org", "email", "e@example.org")
	if tokensOf(fresh, "email")[1] == tokensOf(more, "email")[1] || shown(t, s.h, tokensOf(more, "email")[1])[0] != want[0] {
		t.Error("a number that was given out since was given out again")
	}
	// It was stored anew since, so there is a record, without its values.
	if r := upsert(t, s.h, "again", "full_name", "Third"); tokenOf(t, r, "full_name") == tokenOf(t, anew, "full_name") {
		t.Error("a record got the numbers of one that was written since")
	}
	for range 4 {
		if r := upsert(t, s.h, "kept", "full_name", "Other"); r.ETag == keptETag {
			t.Error("an etag from after the backup fits again")
		}
	}
	if r := get(t, s.h, "lost"); r != nil {
		t.Error("a person who came since is there")
	}
	c := s.deep()
	for _, f := range c.found {
		switch f.Kind {
		case vault.CellMissing, vault.RecordMissing, vault.PersonMissing, vault.CellOlder, vault.HeaderErased:
			if f.Restored == 0 {
				t.Errorf("%s does not tell of the restore", f)
			}
		default:
			t.Errorf("found %s", f)
		}
	}
	s.start(false)
}

// Keys sealed since the backup, of which the backup knows nothing: no key may
// believe that it was used less often than it was.
func TestRestoreCountsUses(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	put(t, s.h, "c-1", "full_name", "Ada")
	uses := func() map[string]int64 {
		out := map[string]int64{}
		for _, r := range scanAll(t, s.h.Values, rows.KeyUses) {
			n, err := store.Counter(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			out[string(r.Key)] = n
		}
		return out
	}
	report := b.make(s)
	before := uses()
	for i := range 20 {
		upsert(t, s.h, "c-1", "full_name", fmt.Sprintf("Ada %d", i))
	}
	b.restore(s, report.Values, report.Keys)
	after := uses()
	if len(before) == 0 {
		t.Fatal("nothing counts")
	}
	for key, n := range before {
		if after[key] < n+vault.UseBlock+20 {
			t.Errorf("key %x was used %d times before and %d after", key, n, after[key])
		}
	}
}

// A backup of before an erasure gives nothing of the person: while the epoch
// lasts the restore erases again, and afterwards its keys open nothing, with all
// keys that there are now in hand. Its values go with newer keys.
func TestRestoreAcrossAnEpoch(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	s.apply(keeper())
	put(t, s.h, "gone", "full_name", "Gone")
	kept := tokenOf(t, put(t, s.h, "kept", "full_name", "Kept"), "full_name")
	first := b.make(s)
	remove(t, s.h, "customers", "gone")
	if _, err := s.vault.RotateKey(t.Context(), as("guard"), vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyEpoch}, Reason: "T-1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.vault.WatchKeyWork(t.Context(), as("guard"), true, func([]vault.KeyWork) error { return nil }); err != nil {
		t.Fatal(err)
	}
	second := b.make(s)
	if second.KeysManifest.Epoch != 2 || second.KeysManifest.PreviousEpoch != 0 || second.Epochs[2] != 1 || len(second.Epochs) != 1 {
		t.Errorf("the second backup is of epochs %v, and says %+v", second.Epochs, second.KeysManifest)
	}
	s.stop()
	s.lose()
	if _, err := b.restoreTo(s.dir, first.Values, first.Keys); !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("keys of an epoch that has ended: %v", err)
	}
	for _, name := range []string{"keys.db", "values.db", "values.scattered.db"} {
		if err := os.Remove(filepath.Join(s.dir, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	r, err := b.restoreTo(s.dir, first.Values, second.Keys)
	if err != nil || r.Erased != 1 {
		t.Fatalf("values with newer keys: %+v, %v", r, err)
	}
	s.start(false)
	if all := shown(t, s.h, kept); all[0] != "Kept" || get(t, s.h, "gone") != nil {
		t.Errorf("opens to %q", all)
	}
	wantFound(t, s.deep())
	s.start(false)
}

// While callers write, a backup holds all that was acknowledged before it began,
// each record whole.
func TestBackupWhileCallersWrite(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var mu sync.Mutex
	acknowledged, gone, cut := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for w := range 6 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				subject := fmt.Sprintf("w%d-%d", w, i)
				r, err := s.vault.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{
					record(subject, "full_name", "Bob", "email", "a@example.org", "email", "b@example.org"),
				}})
				if err != nil || r[0].Err != nil {
					return
				}
				mu.Lock()
				acknowledged[subject] = true
				mu.Unlock()
				if i%4 != 3 {
					continue
				}
				_, err = s.vault.DeleteRecord(ctx, as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: subject})
				mu.Lock()
				gone[subject], cut[subject] = err == nil, err != nil
				mu.Unlock()
			}
		})
	}
	for {
		mu.Lock()
		enough := len(acknowledged) > 100
		mu.Unlock()
		if enough {
			break
		}
		runtime.Gosched()
	}
	mu.Lock()
	before := maps.Clone(acknowledged)
	mu.Unlock()
	report := b.make(s)
	cancel()
	wg.Wait()
	b.restore(s, report.Values, report.Keys)
	for subject := range before {
		r := get(t, s.h, subject)
		switch {
		case cut[subject]: // the test left while it was deleted
		case gone[subject]:
			if r != nil {
				t.Errorf("%s was deleted and is there", subject)
			}
		case r == nil:
			t.Errorf("%s was acknowledged before the backup and is not there", subject)
		default:
			if all := shown(t, s.h, append(tokensOf(r, "full_name"), tokensOf(r, "email")...)...); !slices.Equal(all, []string{"Bob", "a@example.org", "b@example.org"}) {
				t.Errorf("%s is there in part: %q", subject, all)
			}
		}
	}
}
