package audit_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
)

// say puts an entry into a log that lies still which says that entries before
// an index were pruned, as anybody can who writes the folder; no key is needed.
func say(t testing.TB, dir string, before uint64) {
	t.Helper()
	log, err := audit.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	e := &audit.Entry{Time: until(800), Action: audit.ActionPrune, Principal: "cloakroomd", Outcome: audit.Allowed, Object: fmt.Sprint("before ", before)}
	if err := waitFor(log.Append(e)); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// adopt starts and stops the vault, which signs all that the log holds.
func adopt(t testing.TB, dir string) {
	t.Helper()
	log, err := audit.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	if err := publishAgain(t, log); err != nil {
		t.Fatal(err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// steal removes segments and bundles before an index.
func steal(t testing.TB, dir string, before uint64) {
	t.Helper()
	for _, s := range segments(t, dir) {
		if s.first < before {
			if err := os.Remove(s.path); err != nil {
				t.Fatal(err)
			}
		}
	}
	for n := range before / tree.BundleSize {
		if err := os.RemoveAll(filepath.Join(dir, audit.TreeDir, fmt.Sprintf("tile/entries/%03d", n))); err != nil {
			t.Fatal(err)
		}
	}
}

// wantStolen wants Verify, Publish, and Check of a log that was published when
// it was stolen from to name an entry.
func wantStolen(t *testing.T, dir string, live *audit.FileLog, index uint64) {
	t.Helper()
	bad := (*audit.CorruptError)(nil)
	if report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); !errors.As(err, &bad) || bad.Index != index {
		t.Errorf("verify found %v, report %+v, want entry %d", err, report, index)
	}
	if live != nil {
		if err := live.Check(t.Context()); !errors.As(err, &bad) || bad.Index != index {
			t.Errorf("check found %v, want entry %d", err, index)
		}
		_ = live.Close() // what cannot be read cannot be published either
	}
	log, err := audit.Open(dir, small) // knows no key, and believes the entry
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if err := publishAgain(t, log); !errors.As(err, &bad) || bad.Index != index {
		t.Errorf("publish found %v, want entry %d", err, index)
	}
}

// TestForgedEntryExcusesNothing has somebody who writes the folder, and has no
// key, add an entry that tells of a prune that never was, has the vault sign it
// with the tail, and then takes the beginning away.
func TestForgedEntryExcusesNothing(t *testing.T) {
	t.Run("never pruned", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		published(t, dir, 900)
		before := segments(t, dir)[4].first
		say(t, dir, before)
		adopt(t, dir)
		steal(t, dir, before)
		wantStolen(t, dir, nil, 0)
	})
	t.Run("pruned before", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "audit")
		first, _ := prunedLog(t, dir)
		before := segments(t, dir)[4].first
		say(t, dir, before)
		adopt(t, dir)
		steal(t, dir, before)
		wantStolen(t, dir, nil, first)
	})
}

// TestPruneNoteIsNeeded takes away the note of a log that was pruned, or puts
// another in its place.
func TestPruneNoteIsNeeded(t *testing.T) {
	whole := filepath.Join(t.TempDir(), "audit")
	log := agedLog(t, whole, small, 1100)
	name := filepath.Join(audit.TreeDir, tree.PruneNoteName)
	var firsts [2]uint64
	var notes [2][]byte
	for i, old := range []int{300, 800} {
		var err error
		if firsts[i], err = log.Prune(t.Context(), until(old)); err != nil {
			t.Fatal(err)
		}
		if notes[i], err = os.ReadFile(filepath.Join(whole, name)); err != nil {
			t.Fatal(err)
		}
		want := fmt.Sprintf("cloakroom.vault/test\npruned before %d\n%s\n\n", firsts[i], until(old).Format("2006-01-02T15:04:05Z"))
		if !strings.HasPrefix(string(notes[i]), want) {
			t.Fatalf("note %q, want %q", notes[i], want)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	checkpoint, err := os.ReadFile(filepath.Join(whole, audit.TreeDir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	text, _, _ := strings.Cut(string(notes[1]), "\n\n")
	another, err := tree.NewSigner("cloakroom.vault/test", seedKey(2))
	if err != nil {
		t.Fatal(err)
	}
	foreign, err := note.Sign(&note.Note{Text: text + "\n"}, another)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name  string
		note  []byte
		index uint64
	}{
		{"an older one", notes[0], firsts[0]},
		{"none", nil, 0},
		{"nothing in it", []byte{}, 0},
		{"of another key", foreign, 0},
		{"the checkpoint", checkpoint, 0},
		{"a larger index", []byte(strings.Replace(string(notes[0]), fmt.Sprint(" ", firsts[0], "\n"), fmt.Sprint(" ", firsts[1], "\n"), 1)), 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			live, err := audit.Open(dir, small)
			if err != nil {
				t.Fatal(err)
			}
			if err := publishAgain(t, live); err != nil {
				t.Fatalf("with its own note: %v", err)
			}
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
			if test.note != nil {
				if err := os.WriteFile(filepath.Join(dir, name), test.note, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			wantStolen(t, dir, live, test.index)
		})
	}
}

// count returns how many segments there are, which may be none.
func count(t testing.TB, dir string) int {
	t.Helper()
	all, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// TestPruneBelievesTheTreeOnly changes the files under the segments' sums, so
// that more seems old, and wants Prune to sign and to remove nothing.
func TestPruneBelievesTheTreeOnly(t *testing.T) {
	tests := []struct {
		name  string
		index uint64
		forge func(t *testing.T, all []*segment)
	}{
		{"an entry is made old", 20, func(t *testing.T, all []*segment) {
			s, at := entryAt(t, all, 20)
			e, err := audit.Decode(s.payloads[at])
			if err != nil {
				t.Fatal(err)
			}
			e.Time = until(1)
			s.payloads[at] = e.Append(nil)
			s.write(t)
		}},
		{"all is missing", 0, func(t *testing.T, all []*segment) {
			for _, s := range all {
				if err := os.Remove(s.path); err != nil {
					t.Fatal(err)
				}
			}
		}},
		{"the beginning is missing", 0, func(t *testing.T, all []*segment) {
			for _, s := range all[:3] {
				if err := os.Remove(s.path); err != nil {
					t.Fatal(err)
				}
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			log, err := audit.Open(dir, small) // not by open, which checks it at the end
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			if err := publishAgain(t, log); err != nil {
				t.Fatal(err)
			}
			for i := range 600 {
				e := aged(i)
				if i == 20 {
					e.Time = until(10000) // young
				}
				if err := waitFor(log.Append(e)); err != nil {
					t.Fatal(err)
				}
			}
			if first, err := log.Prune(t.Context(), until(500)); first > 20 || err != nil {
				t.Fatalf("while all is good: pruned before %d, error %v", first, err)
			}
			if log.First() > 0 {
				t.Fatalf("first %d", log.First())
			}
			test.forge(t, segments(t, dir))
			before, size := count(t, dir), log.Size()
			bad := (*audit.CorruptError)(nil)
			if first, err := log.Prune(t.Context(), until(500)); !errors.As(err, &bad) || bad.Index != test.index || first != 0 {
				t.Errorf("pruned before %d, error %v, want entry %d", first, err, test.index)
			}
			if now := count(t, dir); now != before || log.Size() != size {
				t.Errorf("%d segments of %d, %d entries of %d", now, before, log.Size(), size)
			}
			if _, err := os.Stat(filepath.Join(dir, audit.TreeDir, tree.PruneNoteName)); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("there is a note: %v", err)
			}
		})
	}
}
