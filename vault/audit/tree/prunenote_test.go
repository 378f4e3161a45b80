package tree_test

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
)

// TestPruneNote signs a note and reads it again.
func TestPruneNote(t *testing.T) {
	dir := newDir(t)
	p, err := start(t, dir, logOf(1))
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if n, err := p.Reader().PruneNote(); n != nil || err != nil {
		t.Errorf("without a note: %+v, error %v", n, err)
	}
	olderThan := time.Date(2025, 6, 1, 2, 0, 0, 7000, time.FixedZone("", 7200))
	signed, err := p.PruneNote(745, olderThan)
	if err != nil {
		t.Fatal(err)
	}
	if want := origin + "\npruned before 745\n2025-06-01T00:00:00.000007Z\n\n— " + origin + " "; !strings.HasPrefix(string(signed.Signed), want) {
		t.Errorf("signed %q", signed.Signed)
	}
	write(t, dir, tree.PruneNoteName, signed.Signed)
	n, err := p.Reader().PruneNote()
	if err != nil || n.Origin != origin || n.Before != 745 || !n.OlderThan.Equal(olderThan) || string(n.Signed) != string(signed.Signed) {
		t.Errorf("read %+v, error %v", n, err)
	}
	bad := (*tree.CheckpointError)(nil)
	if _, err := tree.OpenCheckpoint(signed.Signed, verifier(t, seedKey(1))); !errors.As(err, &bad) {
		t.Errorf("as a checkpoint: %v", err)
	}
	for what, n := range map[string]struct {
		before uint64
		time   time.Time
	}{
		"of no entry":       {0, olderThan},
		"past every log":    {1<<56 + 1, olderThan},
		"a time that fails": {745, time.Date(12025, 1, 1, 0, 0, 0, 0, time.UTC)},
	} {
		if _, err := p.PruneNote(n.before, n.time); !errors.Is(err, tree.ErrPruneNote) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// brokenKey signs wrongly, or not at all.
type brokenKey struct {
	seedKey
	err error
}

func (k brokenKey) Sign([]byte) ([]byte, error) { return make([]byte, ed25519.SignatureSize), k.err }

// TestPruneNoteOfABrokenKey wants no note that would not verify.
func TestPruneNoteOfABrokenKey(t *testing.T) {
	refused := errors.New("refused")
	for _, want := range []error{tree.ErrPruneNote, refused} {
		k := brokenKey{seedKey: 1}
		if want == refused {
			k.err = refused
		}
		p, err := tree.Start(t.Context(), newDir(t), logOf(0), []*tree.Signer{signer(t, k)}, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		if n, err := p.PruneNote(5, time.Time{}); n != nil || !errors.Is(err, want) {
			t.Errorf("signed %+v, error %v, want %v", n, err, want)
		}
		_ = p.Close() // cannot sign a checkpoint either
	}
}

func TestOpenPruneNoteRefuses(t *testing.T) {
	good := origin + "\npruned before 745\n2025-06-01T00:00:00Z\n"
	tests := []struct {
		name, text string
		key        seedKey
	}{
		{"another key", good, 2},
		{"another log", strings.Replace(good, origin, origin+"0", 1), 1},
		{"a checkpoint", origin + "\n745\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", 1},
		{"no index", strings.Replace(good, "745", "", 1), 1},
		{"index 0", strings.Replace(good, "745", "0", 1), 1},
		{"an index written otherwise", strings.Replace(good, "745", "0745", 1), 1},
		{"a sign", strings.Replace(good, "745", "+745", 1), 1},
		{"past every log", strings.Replace(good, "745", "72057594037927937", 1), 1},
		{"past a number", strings.Replace(good, "745", "99999999999999999999", 1), 1},
		{"no time", origin + "\npruned before 745\n\n", 1},
		{"two lines", origin + "\npruned before 745\n", 1},
		{"four lines", good + "more\n", 1},
		{"an empty line more", good + "\n", 1},
		{"another zone", strings.Replace(good, "Z", "+00:00", 1), 1},
		{"a time written otherwise", strings.Replace(good, "Z", ".0Z", 1), 1},
	}
	if _, err := tree.OpenPruneNote(sign(t, seedKey(1), origin, good), verifier(t, seedKey(1))); err != nil {
		t.Fatalf("the good one: %v", err)
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			signed := sign(t, test.key, origin, test.text)
			if n, err := tree.OpenPruneNote(signed, verifier(t, seedKey(1))); n != nil || !errors.Is(err, tree.ErrPruneNote) {
				t.Errorf("opened %+v, error %v", n, err)
			}
		})
	}
	for _, junk := range []string{"", "\n", good, good + "\n— " + origin + " AAAA\n"} {
		if _, err := tree.OpenPruneNote([]byte(junk), verifier(t, seedKey(1))); !errors.Is(err, tree.ErrPruneNote) {
			t.Errorf("%q: %v", junk, err)
		}
	}
}

// TestPrunedNeedsANote takes the beginning of a log away with every kind of
// note beside the tree.
func TestPrunedNeedsANote(t *testing.T) {
	const first = 700
	text := func(before int) string {
		return fmt.Sprintf("%s\npruned before %d\n2025-01-02T03:04:05Z\n", origin, before)
	}
	tests := []struct {
		name  string
		note  []byte
		index int // of the missing entry that is named, -1 for none
	}{
		{"of just these", sign(t, seedKey(1), origin, text(first)), -1},
		{"of more than these", sign(t, seedKey(1), origin, text(first+1)), -1},
		{"of one fewer", sign(t, seedKey(1), origin, text(first-1)), first - 1},
		{"of the first", sign(t, seedKey(1), origin, text(1)), 1},
		{"of another key", sign(t, seedKey(2), origin, text(first)), 0},
		{"of another name", sign(t, seedKey(1), "other", text(first)), 0},
		{"none", nil, 0},
		{"nothing in it", []byte{}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir, m := newDir(t), logOf(900)
			publish(t, dir, m)
			if test.note != nil {
				write(t, dir, tree.PruneNoteName, test.note)
			}
			if err := check(t, dir, m, nil); err != nil {
				t.Errorf("while all is there: %v", err)
			}
			m.prune(first)
			report, err := tree.Check(t.Context(), dir, m, []note.Verifier{verifier(t, seedKey(1))}, nil)
			p, startErr := start(t, dir, m)
			if startErr == nil {
				defer p.Close()
			}
			if test.index < 0 {
				if err != nil || startErr != nil || report.Pruned != first || string(report.PruneNote.Signed) != string(test.note) {
					t.Errorf("report %+v, errors %v and %v", report, err, startErr)
				}
				return
			}
			for what, err := range map[string]error{"check": err, "start": startErr} {
				if bad := (*tree.EntryError)(nil); !errors.As(err, &bad) || bad.Index != uint64(test.index) {
					t.Errorf("%s found %v, want entry %d", what, err, test.index)
				}
			}
			// Nor does mending a tree go round it.
			if err := os.Remove(filepath.Join(dir, "tile/1/000.p/3")); err != nil {
				t.Fatal(err)
			}
			bad := (*tree.EntryError)(nil)
			if _, err := start(t, dir, m); !errors.As(err, &bad) || bad.Index != uint64(test.index) {
				t.Errorf("start of a damaged tree found %v, want entry %d", err, test.index)
			}
		})
	}
}

// FuzzPruneNote opens any text that the key has signed: what opens says what
// was signed, and nothing else.
func FuzzPruneNote(f *testing.F) {
	f.Add(origin + "\npruned before 745\n2025-06-01T00:00:00Z\n")
	f.Add(origin + "\npruned before 1\n0001-01-01T00:00:00.5Z\n")
	f.Add(origin + "\n745\nAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n")
	s, key := signer(f, seedKey(1)), verifier(f, seedKey(1))
	f.Fuzz(func(t *testing.T, text string) {
		signed, err := note.Sign(&note.Note{Text: text}, s)
		if err != nil {
			return // no text of a note
		}
		n, err := tree.OpenPruneNote(signed, key)
		if err != nil {
			if !errors.Is(err, tree.ErrPruneNote) {
				t.Errorf("error %v", err)
			}
			return
		}
		want := fmt.Sprintf("%s\npruned before %d\n%s\n", origin, n.Before, n.OlderThan.Format(time.RFC3339Nano))
		if text != want || n.Before == 0 {
			t.Errorf("%q opens as %q", text, want)
		}
	})
}
