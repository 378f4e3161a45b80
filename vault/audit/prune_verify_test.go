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
)

// prunedLog writes a log that is pruned, closes it, and returns its first
// entry and the index of the entry that says so.
func prunedLog(t testing.TB, dir string) (first, said uint64) {
	t.Helper()
	log, err := audit.Open(dir, small) // not by open, which checks it at the end
	if err != nil {
		t.Fatal(err)
	}
	if err := publishAgain(t, log); err != nil {
		t.Fatal(err)
	}
	appendAged(t, log, 0, 900)
	first, err = log.Prune(t.Context(), until(600))
	if err != nil || first < 512 {
		t.Fatalf("pruned before %d: %v", first, err)
	}
	said = log.Size() - 1
	appendAged(t, log, 901, 40)
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	return first, said
}

// entryAt returns a segment and a place in it.
func entryAt(t testing.TB, all []*segment, index uint64) (*segment, int) {
	t.Helper()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].first <= index {
			return all[i], int(index - all[i].first)
		}
	}
	t.Fatalf("entry %d is in no segment", index)
	return nil, 0
}

// TestVerifyExcusesOnlyPruning takes the beginning of a log away, or changes
// what says that it was pruned.
func TestVerifyExcusesOnlyPruning(t *testing.T) {
	type damage func(t *testing.T, dir string, first, said uint64) (index uint64)
	forge := func(change func(*audit.Entry)) damage {
		return func(t *testing.T, dir string, _, said uint64) uint64 {
			s, at := entryAt(t, segments(t, dir), said)
			e, err := audit.Decode(s.payloads[at])
			if err != nil {
				t.Fatal(err)
			}
			change(e)
			s.payloads[at] = e.Append(nil)
			s.write(t)
			return 0
		}
	}
	tests := []struct {
		name   string
		damage damage
	}{
		{"another action", forge(func(e *audit.Entry) { e.Action = audit.ActionAlarm })},
		{"another principal", forge(func(e *audit.Entry) { e.Principal = "spiffe://example.org/clerk" })},
		{"refused", forge(func(e *audit.Entry) { e.Outcome = audit.Refused })},
		{"a number written otherwise", forge(func(e *audit.Entry) { e.Object = strings.Replace(e.Object, "before ", "before 0", 1) })},
		{"a segment more is gone", func(t *testing.T, dir string, first, _ uint64) uint64 {
			if err := os.Remove(filepath.Join(dir, audit.SegmentName(first))); err != nil {
				t.Fatal(err)
			}
			return first
		}},
		{"a segment more is gone, and an entry put after the checkpoint says so", func(t *testing.T, dir string, first, _ uint64) uint64 {
			all := segments(t, dir)
			last := all[len(all)-1]
			e := &audit.Entry{Time: until(2000), Action: audit.ActionPrune, Principal: "cloakroomd", Outcome: audit.Allowed,
				Object: fmt.Sprint("before ", all[1].first)}
			index := last.first + uint64(len(last.payloads))
			last.payloads = append(last.payloads, e.Append(nil))
			last.write(t)
			if err := os.WriteFile(filepath.Join(dir, audit.HintName), fmt.Appendln(nil, index), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Remove(all[0].path); err != nil {
				t.Fatal(err)
			}
			return first
		}},
		{"a kept segment is gone", func(t *testing.T, dir string, _, _ uint64) uint64 {
			all := segments(t, dir)
			if err := os.Remove(all[2].path); err != nil {
				t.Fatal(err)
			}
			return all[2].first
		}},
		{"a kept entry is changed", func(t *testing.T, dir string, first, _ uint64) uint64 {
			s, at := entryAt(t, segments(t, dir), first+3)
			s.payloads[at][5] ^= 1
			s.write(t)
			return first + 3
		}},
	}
	whole := filepath.Join(t.TempDir(), "audit")
	first, said := prunedLog(t, whole)
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			if err := os.CopyFS(dir, os.DirFS(whole)); err != nil {
				t.Fatal(err)
			}
			index := test.damage(t, dir, first, said)
			_, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{})
			bad := (*audit.CorruptError)(nil)
			if !errors.As(err, &bad) || bad.Index != index {
				t.Errorf("found %v, want entry %d", err, index)
			}
			// What opening, which reads little, does not find, publishing or Check does.
			log, err := audit.Open(dir, small)
			if err == nil {
				defer log.Close()
				err = errors.Join(publishAgain(t, log), log.Check(t.Context()))
			}
			if !errors.As(err, &bad) || bad.Index != index {
				t.Errorf("opening found %v, want entry %d", err, index)
			}
		})
	}
}

func publishAgain(t testing.TB, log *audit.FileLog) error {
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	return log.Publish(t.Context(), []*tree.Signer{s}, nil)
}

// TestNothingIsSignedOver holds that Publish does not sign a log whose
// beginning is excused by an entry that the last checkpoint does not cover.
func TestNothingIsSignedOver(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	published(t, dir, 900)
	all := segments(t, dir)
	last := all[len(all)-1]
	e := &audit.Entry{Time: at, Action: audit.ActionPrune, Principal: "cloakroomd", Outcome: audit.Allowed, Object: fmt.Sprint("before ", all[1].first)}
	last.payloads = append(last.payloads, e.Append(nil))
	last.write(t)
	if err := os.Remove(all[0].path); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	bad := (*audit.CorruptError)(nil)
	if err := publishAgain(t, log); !errors.As(err, &bad) || bad.Index != 0 {
		t.Errorf("published: %v", err)
	}
	if err := os.RemoveAll(filepath.Join(dir, audit.TreeDir)); err != nil {
		t.Fatal(err)
	}
	if err := publishAgain(t, log); !errors.As(err, &bad) || bad.Index != 0 {
		t.Errorf("published without the tree: %v", err)
	}
}

// TestVerifyNamesTilesOfPruned damages the hashes that alone are left.
func TestVerifyNamesTilesOfPruned(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	prunedLog(t, dir)
	for _, path := range []string{"tile/0/000", "tile/0/001", "tile/0/002", "tile/1/000.p/3"} {
		name := filepath.Join(dir, audit.TreeDir, path)
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, what := range []string{"a flipped byte", "missing"} {
			bad := append([]byte(nil), good...)
			bad[len(bad)/3] ^= 4
			err := os.WriteFile(name, bad, 0o600)
			if what == "missing" {
				err = os.Remove(name)
			}
			if err != nil {
				t.Fatal(err)
			}
			_, err = audit.Verify(t.Context(), dir, audit.VerifyOptions{})
			if tile := (*tree.TileError)(nil); !errors.Is(err, audit.ErrCorrupt) || !errors.As(err, &tile) || tile.Path != path {
				t.Errorf("%s, %s: found %v", path, what, err)
			}
		}
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
		t.Errorf("with all files good again: %v", err)
	}
}

// TestHintIsOnlyAHint opens and verifies a pruned log whose hint is lost or
// wrong.
func TestHintIsOnlyAHint(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	first, said := prunedLog(t, dir)
	name := filepath.Join(dir, audit.HintName)
	if text, err := os.ReadFile(name); err != nil || string(text) != fmt.Sprintln(said) {
		t.Fatalf("hint %q, error %v", text, err)
	}
	for what, text := range map[string]string{
		"none": "", "of another entry": fmt.Sprintln(first), "past the end": "99999\n", "of a pruned entry": "3\n",
		"no number": "x\n", "no end": fmt.Sprint(said), "long": strings.Repeat("1", 100),
	} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if what == "none" {
			if err := os.Remove(name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
			t.Errorf("%s: verify: %v", what, err)
		}
		log := openPublished(t, dir, small)
		if log.First() != first {
			t.Errorf("%s: first %d, want %d", what, log.First(), first)
		}
		if err := log.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestVerifyNamesMissingBeginning removes the first segment of a log that was
// never pruned.
func TestVerifyNamesMissingBeginning(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	published(t, dir, 300)
	if err := os.Remove(filepath.Join(dir, audit.SegmentName(0))); err != nil {
		t.Fatal(err)
	}
	bad := (*audit.CorruptError)(nil)
	if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); !errors.As(err, &bad) || bad.Index != 0 || bad.Segment != audit.SegmentName(0) {
		t.Errorf("verify found %v", err)
	}
	if _, err := audit.Open(dir, small); !errors.As(err, &bad) || bad.Index != 0 || bad.Segment != audit.SegmentName(0) {
		t.Errorf("open found %v", err)
	}
}

// TestVerifyNamesForgedCheckpoints changes the checkpoint.
func TestVerifyNamesForgedCheckpoints(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	published(t, dir, 300)
	name := filepath.Join(dir, audit.TreeDir, "checkpoint")
	good, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	for what, forged := range map[string]string{
		"a smaller size":      strings.Replace(string(good), "\n300\n", "\n200\n", 1),
		"another root":        lines[0] + lines[1] + "A" + lines[2][1:] + strings.Join(lines[3:], ""),
		"another log":         strings.Replace(string(good), "cloakroom.vault/test", "cloakroom.vault/best", 1),
		"another signature":   strings.Replace(string(good), "— cloakroom.vault/test ", "— cloakroom.vault/test B", 1),
		"nothing":             "",
		"no signature at all": lines[0] + lines[1] + lines[2],
	} {
		if forged == string(good) {
			t.Fatalf("%s: nothing is forged", what)
		}
		if err := os.WriteFile(name, []byte(forged), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{})
		if cp := (*tree.CheckpointError)(nil); !errors.Is(err, audit.ErrCorrupt) || !errors.As(err, &cp) {
			t.Errorf("%s: found %v", what, err)
		}
	}
}
