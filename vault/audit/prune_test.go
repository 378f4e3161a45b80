package audit_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/tlog"
)

// born is the time of entry 0 of an aged log; each entry is a minute younger.
var born = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC)

func aged(i int) *audit.Entry {
	e := numbered(i)
	e.Time = born.Add(time.Duration(i) * time.Minute)
	return e
}

// until is the time before which the first n entries of an aged log are.
func until(n int) time.Time { return born.Add(time.Duration(n) * time.Minute) }

// openPublished opens the log in dir and publishes it.
func openPublished(t testing.TB, dir string, o audit.Options) *audit.FileLog {
	t.Helper()
	log := open(t, dir, o)
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
		t.Fatal(err)
	}
	return log
}

// agedLog returns a published log of n entries, in segments of some ten.
func agedLog(t testing.TB, dir string, o audit.Options, n int) *audit.FileLog {
	t.Helper()
	log := openPublished(t, dir, o)
	appendAged(t, log, 0, n)
	return log
}

// appendAged appends n entries of an aged log from number first on, five to
// an fsync.
func appendAged(t testing.TB, log audit.Log, first, n int) {
	t.Helper()
	for i := range n {
		r := log.Append(aged(first + i))
		if i%5 != 4 && i < n-1 {
			continue
		}
		if err := waitFor(r); err != nil {
			t.Fatal(err)
		}
	}
}

// contents reads all entries that are kept.
func contents(t testing.TB, log audit.Reader) map[uint64]string {
	t.Helper()
	all, next := map[uint64]string{}, log.First()
	err := log.Read(0, func(index uint64, raw []byte) error {
		if index != next {
			t.Fatalf("entry %d where %d is due", index, next)
		}
		next++
		all[index] = string(raw)
		return nil
	})
	if err != nil || next != log.Size() {
		t.Fatalf("read ended at %d of %d: %v", next, log.Size(), err)
	}
	return all
}

// treeFiles reads the hash tiles and bundles of a published log.
func treeFiles(t testing.TB, dir, what string) map[string]string {
	t.Helper()
	all := map[string]string{}
	root := filepath.Join(dir, audit.TreeDir, "tile")
	err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || strings.Contains(path, ".p") {
			return err
		}
		rel, _ := filepath.Rel(root, path)
		if bundle := strings.HasPrefix(rel, "entries"); bundle != (what == "bundles") {
			return nil
		}
		content, err := os.ReadFile(path)
		all[rel] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestPrune(t *testing.T) {
	const size, old = 1100, 700
	dir := filepath.Join(t.TempDir(), "audit")
	log := agedLog(t, dir, small, size)
	before := contents(t, log)
	first, err := log.Prune(t.Context(), until(300))
	if err != nil {
		t.Fatal(err)
	}
	if first == 0 || first > 300 || first != log.First() {
		t.Fatalf("pruned before %d, first %d", first, log.First())
	}
	seen, err := os.ReadFile(filepath.Join(dir, audit.TreeDir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	hashes, bundles := treeFiles(t, dir, "hashes"), treeFiles(t, dir, "bundles")
	if first, err = log.Prune(t.Context(), until(old)); err != nil {
		t.Fatal(err)
	}
	if first < old-50 || first > old {
		t.Errorf("pruned before %d, want nearly %d", first, old)
	}
	check := func(log *audit.FileLog) {
		t.Helper()
		if log.First() != first {
			t.Errorf("first %d, pruned before %d", log.First(), first)
		}
		now := contents(t, log)
		for index := first; index < size; index++ {
			if now[index] != before[index] {
				t.Fatalf("entry %d is another", index)
			}
		}
		var got []uint64
		err := log.At(t.Context(), []uint64{0, first - 1, first, size - 1, size + 1}, func(index uint64, raw []byte) error {
			got = append(got, index)
			if string(raw) != now[index] {
				t.Errorf("at gives another entry %d", index)
			}
			return nil
		})
		if want := []uint64{first, size - 1, size + 1}; err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("at gives %d, want %d; error %v", got, want, err)
		}
		if err := log.Check(t.Context()); err != nil {
			t.Errorf("check: %v", err)
		}
		report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{Earlier: seen})
		if err != nil || report.Pruned != first || report.Entries != log.Size() {
			t.Errorf("report %+v of %d entries, error %v", report, log.Size(), err)
		}
		proofs, err := log.Proofs()
		if err != nil {
			t.Fatal(err)
		}
		root, err := proofs.Root(size)
		if err != nil {
			t.Fatal(err)
		}
		for _, index := range []uint64{0, first - 1, first, size - 1} { // who kept an entry can still show that it was here
			proof, err := proofs.Inclusion(index, size)
			if err != nil {
				t.Fatalf("entry %d: %v", index, err)
			}
			if err := tlog.CheckRecord(proof, size, root, int64(index), tlog.RecordHash([]byte(before[index]))); err != nil {
				t.Errorf("entry %d: %v", index, err)
			}
			if leaf, err := proofs.Leaf(index); err != nil || leaf != tlog.RecordHash([]byte(before[index])) {
				t.Errorf("entry %d: another leaf, error %v", index, err)
			}
		}
	}
	check(log)
	if now := treeFiles(t, dir, "hashes"); !maps.Equal(now, hashes) {
		t.Error("hash tiles are not as they were")
	}
	for n := range uint64(size / 256) {
		name := fmt.Sprintf("entries/%03d", n)
		now, left := treeFiles(t, dir, "bundles")[name]
		if want := (n+1)*256 > first; left != want || left && now != bundles[name] {
			t.Errorf("bundle %d is there: %t", n, left)
		}
	}
	for _, s := range segments(t, dir) {
		if s.first < first {
			t.Errorf("segment %d is there", s.first)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	log = openPublished(t, dir, small)
	check(log)
	appendAged(t, log, size, 300)
	check(log)
}

// TestPruneLeavesTheYoung holds what Prune must not remove.
func TestPruneLeavesTheYoung(t *testing.T) {
	tests := []struct {
		name  string
		size  int
		time  func(i int) time.Time
		old   time.Time
		first uint64 // at most
	}{
		{"all is young", 600, func(i int) time.Time { return until(i) }, until(0), 0},
		{"a young one among old ones", 600, func(i int) time.Time { return until(i % 400) }, until(399), 399},
		{"a young one at the beginning", 600, func(i int) time.Time { return until(600 - i) }, until(600), 0},
		{"not in a full bundle", 255, func(i int) time.Time { return until(i) }, until(1000), 0},
		{"just in a full bundle", 300, func(i int) time.Time { return until(i) }, until(1000), 256},
		{"all is old", 600, func(i int) time.Time { return until(i) }, until(1000), 512},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			log := openPublished(t, dir, small)
			for i := range test.size {
				e := numbered(i)
				e.Time = test.time(i)
				if err := waitFor(log.Append(e)); err != nil {
					t.Fatal(err)
				}
			}
			first, err := log.Prune(t.Context(), test.old)
			if err != nil || first > test.first || test.first > 0 && first+50 < test.first {
				t.Errorf("pruned before %d, want at most and nearly %d; error %v", first, test.first, err)
			}
			if first == 0 && log.Size() != uint64(test.size) {
				t.Error("an entry says that nothing was pruned")
			}
			contents(t, log)
			if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestPruneIsRefused(t *testing.T) {
	log := open(t, filepath.Join(t.TempDir(), "audit"), small)
	if _, err := log.Prune(t.Context(), born); !errors.Is(err, audit.ErrNotPublished) {
		t.Errorf("a log that is not published: %v", err)
	}
	log = agedLog(t, filepath.Join(t.TempDir(), "audit"), small, 300)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := log.Prune(ctx, until(300)); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := log.Prune(t.Context(), until(300)); !errors.Is(err, audit.ErrClosed) || log.First() != 0 {
		t.Errorf("a closed log: first %d, error %v", log.First(), err)
	}
}

var _ tree.Source = (*audit.FileLog)(nil)
