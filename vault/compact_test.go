package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// inFiles returns the names of the files of a vault that hold the bytes.
func inFiles(t *testing.T, h *vaulttest.Harness, what []byte) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(h.Dir, "*"))
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	var out []string
	for _, f := range files {
		if held, err := os.ReadFile(f); err == nil && bytes.Contains(held, what) {
			out = append(out, filepath.Base(f))
		}
	}
	return out
}

func compact(t *testing.T, h *vaulttest.Harness) bool {
	t.Helper()
	done, err := h.Vault.Compact(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return done
}

func onDisk(t *testing.T) *vaulttest.Harness {
	t.Helper()
	h := vaulttest.OnDisk(t)
	h.Apply(testPolicy)
	return h
}

// What an erasure freed is in no file when the compaction that it scheduled has
// ended, which is before the hour is over, also when the vault was restarted.
func TestErasedBytesLeaveTheFiles(t *testing.T) {
	for name, restart := range map[string]bool{"running": false, "restarted": true} {
		t.Run(name, func(t *testing.T) { erasedBytes(t, restart) })
	}
}

func erasedBytes(t *testing.T, restart bool) {
	const persons = 40
	h := onDisk(t)
	for i := range persons {
		put(t, h, fmt.Sprintf("c-%d", i), "note", strings.Repeat("tea ", 200))
	}
	var gone [][]byte
	for _, r := range scanAll(t, h.Values, rows.People) {
		if k, err := rows.ParsePersonKey(r.Key); err == nil && k.Field != 0 {
			gone = append(gone, r.Value)
		}
	}
	for _, r := range scanAll(t, h.Keys, rows.Subjects) {
		gone = append(gone, r.Value)
	}
	if len(gone) != 2*persons || compact(t, h) {
		t.Fatalf("%d rows of persons, or a compaction is due", len(gone))
	}
	put(t, h, "c-last", "note", "survivor")
	for i := range persons {
		remove(t, h, "customers", fmt.Sprintf("c-%d", i))
	}
	found := func() (n int) {
		for _, what := range gone {
			n += len(inFiles(t, h, what))
		}
		return n
	}
	h.Clock.Add(44 * time.Minute)
	if compact(t, h) {
		t.Error("compacted before it is due")
	}
	if found() == 0 {
		t.Error("everything left the files at once: the test shows nothing")
	}
	if restart {
		h.Reopen()
	}
	h.Clock.Add(2 * time.Minute)
	compact(t, h)
	if n := found(); n > 0 {
		t.Errorf("%d rows of erased persons are still in the files", n)
	}
	wantShown(t, h, tokensOf(get(t, h, "c-last"), "note"), "survivor")
}

// slowCompactor counts its compactions and lets something happen in one.
type slowCompactor struct {
	store.Store
	mu        sync.Mutex
	count     int
	meanwhile func() error
}

func (s *slowCompactor) Compact(context.Context) (before, after int64, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.count++
	if s.meanwhile == nil {
		return 0, 0, nil
	}
	return 0, 0, s.meanwhile()
}

func (s *slowCompactor) set(meanwhile func() error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.meanwhile = meanwhile
}

// A deletion while a compaction runs makes the next one due; a compaction that
// fails stays due and says so; and nothing is due without a deletion, or when
// the options say never.
func TestCompactionIsDue(t *testing.T) {
	h := open(t)
	var c *slowCompactor
	h.WrapKeys = func(s store.Store) store.Store { c = &slowCompactor{Store: s}; return c }
	h.Reopen()
	ran := 0
	want := func(n int, what string) { // the vault itself may have been faster
		t.Helper()
		_, _ = h.Vault.Compact(t.Context())
		c.mu.Lock()
		defer c.mu.Unlock()
		if ran += n; c.count != ran {
			t.Fatalf("%s: compacted %d times, want %d", what, c.count, ran)
		}
	}
	for _, subject := range []string{"c-1", "c-2", "c-3"} {
		put(t, h, subject, "note", "tea", "email", "a@example.org")
	}
	h.Clock.Add(48 * time.Hour)
	want(0, "nothing was deleted")
	remove(t, h, "customers", "c-1")
	want(0, "just after an erasure")
	c.set(func() error {
		c.meanwhile = nil
		_, err := h.Vault.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-2"})
		return err
	})
	h.Clock.Add(time.Hour)
	want(1, "an hour after an erasure")
	want(0, "just after a compaction with an erasure in it")
	h.Clock.Add(time.Hour)
	want(1, "an hour after a compaction with an erasure in it")
	h.Clock.Add(48 * time.Hour)
	want(0, "nothing was deleted since")
	// A value that is taken out of a record is a deletion too.
	if _, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{
		Collection: "customers", Record: record("c-3"), Mask: []string{"email"},
	}); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(time.Hour)
	want(1, "after a value was taken out")
	h.CompactAfter = -1
	h.Reopen()
	ran = 0
	remove(t, h, "customers", "c-3")
	h.Clock.Add(48 * time.Hour)
	want(0, "the options say never")
}

// A compaction that fails stays due and says so.
func TestCompactionFails(t *testing.T) {
	h := open(t)
	var c *slowCompactor
	h.WrapKeys = func(s store.Store) store.Store { c = &slowCompactor{Store: s}; return c }
	h.Reopen()
	put(t, h, "c-1", "note", "tea")
	boom := errors.New("no room")
	c.set(func() error { return boom })
	remove(t, h, "customers", "c-1")
	h.Clock.Add(time.Hour)
	if due, err := h.Vault.Compact(t.Context()); !due || !errors.Is(err, boom) {
		t.Errorf("due %t, %v", due, err)
	}
	if !slices.ContainsFunc(h.Vault.KeyWork(), func(w vault.KeyWork) bool {
		return w.Kind == vault.WorkCompact && w.State == vault.WorkWaiting && w.Problem != ""
	}) {
		t.Errorf("a compaction that failed shows as %+v", h.Vault.KeyWork())
	}
	c.set(nil)
	_, _ = h.Vault.Compact(t.Context())
	if due, err := h.Vault.Compact(t.Context()); due || err != nil {
		t.Errorf("done, and due %t, %v", due, err)
	}
}
