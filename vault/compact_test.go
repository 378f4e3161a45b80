package vault_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
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
	for _, restart := range []bool{false, true} {
		h := onDisk(t)
		put(t, h, "c-1", "note", "tea")
		put(t, h, "c-2", "note", "survivor")
		active, _ := refsOf(t, h)
		var gone [][]byte
		for _, r := range scanAll(t, h.Values, rows.People) {
			if k, err := rows.ParsePersonKey(r.Key); err == nil && k.Ref == active[0] && k.Field != 0 {
				gone = append(gone, r.Value)
			}
		}
		for _, r := range scanAll(t, h.Keys, rows.Subjects) {
			if bytes.Equal(r.Key, rows.RefKey(active[0])) {
				gone = append(gone, r.Value)
			}
		}
		if len(gone) != 2 || compact(t, h) {
			t.Fatalf("%d rows of the person, and a compaction is due", len(gone))
		}
		remove(t, h, "customers", "c-1")
		for i, what := range gone {
			if len(inFiles(t, h, what)) == 0 {
				t.Errorf("row %d left the files at once: the test shows nothing", i)
			}
		}
		h.Clock.Add(44 * time.Minute)
		if compact(t, h) {
			t.Error("compacted before it is due")
		}
		if restart {
			h.Reopen()
		}
		h.Clock.Add(2 * time.Minute)
		if !compact(t, h) && !restart {
			t.Error("no compaction is due three quarters of an hour after an erasure")
		}
		for i, what := range gone {
			if files := inFiles(t, h, what); len(files) > 0 {
				t.Errorf("row %d of an erased person is still in %v", i, files)
			}
		}
		h.Clock.Add(48 * time.Hour)
		if compact(t, h) {
			t.Error("it is due once more")
		}
		wantShown(t, h, tokensOf(get(t, h, "c-2"), "note"), "survivor")
		remove(t, h, "customers", "c-2")
		h.Clock.Add(time.Hour)
		if !compact(t, h) {
			t.Error("after the next erasure none is due")
		}
	}
}

// slowCompactor lets something happen while it compacts.
type slowCompactor struct {
	store.Store
	meanwhile func() error
}

func (s *slowCompactor) Compact(context.Context) (before, after int64, err error) {
	if s.meanwhile == nil {
		return 0, 0, nil
	}
	return 0, 0, s.meanwhile()
}

// A deletion while a compaction runs makes the next one due; a compaction that
// fails stays due and says so; and nothing is due without a deletion, or when
// the options say never.
func TestCompactionIsDue(t *testing.T) {
	h := open(t)
	var c *slowCompactor
	h.WrapKeys = func(s store.Store) store.Store { c = &slowCompactor{Store: s}; return c }
	h.Reopen()
	for _, subject := range []string{"c-1", "c-2", "c-3"} {
		put(t, h, subject, "note", "tea", "email", "a@example.org")
	}
	h.Clock.Add(48 * time.Hour)
	if compact(t, h) {
		t.Error("due, and nothing was deleted")
	}
	remove(t, h, "customers", "c-1")
	h.Clock.Add(time.Hour)
	c.meanwhile = func() error {
		c.meanwhile = nil
		_, err := h.Vault.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-2"})
		return err
	}
	if !compact(t, h) {
		t.Error("not due after an erasure")
	}
	if compact(t, h) {
		t.Error("due again at once")
	}
	h.Clock.Add(time.Hour)
	boom := errors.New("no room")
	c.meanwhile = func() error { return boom }
	if done, err := h.Vault.Compact(t.Context()); !done || !errors.Is(err, boom) {
		t.Errorf("an erasure during a compaction: due %t, %v", done, err)
	}
	if !slices.ContainsFunc(h.Vault.KeyWork(), func(w vault.KeyWork) bool {
		return w.Kind == vault.WorkCompact && w.State == vault.WorkWaiting && w.Problem != ""
	}) {
		t.Errorf("a compaction that failed shows as %+v", h.Vault.KeyWork())
	}
	c.meanwhile = nil
	if !compact(t, h) {
		t.Error("a compaction that failed is not due any more")
	}
	// A value that is taken out of a record is a deletion too.
	if _, err := h.Vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{
		Collection: "customers", Record: record("c-3"), Mask: []string{"email"},
	}); err != nil {
		t.Fatal(err)
	}
	h.Clock.Add(time.Hour)
	if !compact(t, h) {
		t.Error("not due after a value was taken out")
	}
	h.CompactAfter = -1
	h.Reopen()
	remove(t, h, "customers", "c-3")
	h.Clock.Add(48 * time.Hour)
	if compact(t, h) {
		t.Error("due, and the options say never")
	}
}
