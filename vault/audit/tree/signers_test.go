package tree_test

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
)

func signers(t testing.TB, keys ...seedKey) []*tree.Signer {
	t.Helper()
	out := make([]*tree.Signer, len(keys))
	for i, k := range keys {
		out[i] = signer(t, k)
	}
	return out
}

func startAs(t testing.TB, dir string, m *memory, keys ...seedKey) (*tree.Publisher, error) {
	t.Helper()
	return tree.Start(t.Context(), dir, m, signers(t, keys...), slog.New(slog.DiscardHandler))
}

// verifies tells which of some keys verify all that is signed in a folder, with
// public code for the signatures.
func verifies(t testing.TB, dir, file string, keys ...seedKey) (by []seedKey) {
	t.Helper()
	for _, k := range keys {
		v, err := note.NewVerifier(signer(t, k).VerifierKey())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := note.Open(read(t, dir, file), note.VerifierList(v)); err == nil {
			by = append(by, k)
		}
	}
	return by
}

// TestChangeOfKey changes the key of a pruned log while it is published, in the
// two steps that the documentation names: between them either key verifies
// everything, afterwards the new one alone, and no restart on the way fails.
func TestChangeOfKey(t *testing.T) {
	dir, m := newDir(t), logOf(700)
	publish(t, dir, m)
	announce(t, dir, 256)
	m.first = 256
	p, err := startAs(t, dir, m, 1)
	if err != nil {
		t.Fatal(err)
	}
	witness := witness{"witness.example", 77, 99}
	for _, step := range []struct {
		name string
		keys []seedKey
	}{
		{"the new key before the old one", []seedKey{2, 1}},
		{"once more", []seedKey{2, 1}},
		{"the new key alone", []seedKey{2}},
	} {
		verify, err := tree.NewWitness(witness.vkey())
		if err != nil {
			t.Fatal(err)
		}
		n, err := note.Open(read(t, dir, "checkpoint"), note.VerifierList(verifier(t, seedKey(1)), verifier(t, seedKey(2))))
		if err != nil {
			t.Fatal(err)
		}
		cosigned, err := note.Sign(n, witness)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.AddCosignatures(dir, cosigned, verify); err != nil {
			t.Fatal(err)
		}
		before := p.Reader()
		if err := p.SetSigners(t.Context(), signers(t, step.keys...)); err != nil {
			t.Fatalf("%s: %v", step.name, err)
		}
		for _, file := range []string{"checkpoint", tree.PruneNoteName} {
			if got := verifies(t, dir, file, 1, 2, 3); !slices.Equal(got, sorted(step.keys)) {
				t.Errorf("%s: %s is signed by %v", step.name, file, got)
			}
		}
		if _, err := note.Open(read(t, dir, "checkpoint"), note.VerifierList(verify)); err != nil {
			t.Errorf("%s: the cosignature is gone: %v", step.name, err)
		}
		first, _, _ := strings.Cut(string(read(t, dir, "vkeys")), "\n")
		if want := p.VerifierKeys(); len(want) != len(step.keys) || first != want[0] || first+"\n" != string(read(t, dir, "vkey")) {
			t.Errorf("%s: the folder names %q first, the publisher %q", step.name, first, want)
		}
		if _, err := before.Checkpoint(); err != nil {
			t.Errorf("%s: a reader from before: %v", step.name, err)
		}
		for _, k := range step.keys {
			if _, err := tree.Check(t.Context(), dir, m, []note.Verifier{verifier(t, k)}, nil); err != nil {
				t.Errorf("%s: key %d: %v", step.name, k, err)
			}
		}
		// A crash now: whoever starts has the keys of this step or of the next.
		for _, keys := range [][]seedKey{{2, 1}, step.keys} {
			if copied, err := startAs(t, copyOf(t, dir), m, keys...); err != nil {
				t.Errorf("%s: a start with %v: %v", step.name, keys, err)
			} else if err := copied.Close(); err != nil {
				t.Error(err)
			}
		}
		m.grow(10)
		if err := p.Cover(t.Context(), m.Size()); err != nil {
			t.Fatal(err)
		}
		if got := verifies(t, dir, "checkpoint", 1, 2, 3); !slices.Equal(got, sorted(step.keys)) {
			t.Errorf("%s: the next checkpoint is signed by %v", step.name, got)
		}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	if err := p.SetSigners(t.Context(), signers(t, 3)); !errors.Is(err, tree.ErrEnded) {
		t.Errorf("after the end: %v", err)
	}
}

func sorted(keys []seedKey) []seedKey { return slices.Sorted(slices.Values(keys)) }

func copyOf(t testing.TB, dir string) string {
	t.Helper()
	to := newDir(t)
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

// TestInterruptedChange holds that a start with both keys goes on from every
// state that a crash can leave of a change, and signs by both what is left.
func TestInterruptedChange(t *testing.T) {
	m := logOf(700)
	whole := map[string]string{}
	for _, keys := range [][]seedKey{{1}, {2, 1}, {2}} {
		dir := newDir(t)
		p, err := startAs(t, dir, m, keys...)
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Fatal(err)
		}
		whole[fmt.Sprint(keys)] = dir
	}
	m.first = 256
	for note, by := range map[string][]seedKey{"by the old": {1}, "by both": {2, 1}, "by the new": {2}} {
		for name, from := range whole {
			t.Run(note+" and "+name, func(t *testing.T) {
				dir := copyOf(t, from)
				var text []byte
				for i, k := range by {
					signed := sign(t, k, origin, fmt.Sprintf("%s\npruned before 256\n2025-01-02T03:04:05Z\n", origin))
					if i > 0 {
						_, lines, _ := strings.Cut(string(signed), "\n\n")
						signed = []byte(lines)
					}
					text = append(text, signed...)
				}
				write(t, dir, tree.PruneNoteName, text)
				p, err := startAs(t, dir, m, 2, 1)
				if err != nil {
					t.Fatal(err)
				}
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
				for _, file := range []string{"checkpoint", tree.PruneNoteName} {
					if got := verifies(t, dir, file, 1, 2); len(got) != 2 {
						t.Errorf("%s is signed by %v", file, got)
					}
				}
			})
		}
	}
}

// TestForgottenStep holds what is lost when the old key is left out at once and
// the process dies: the folder is not believed.
func TestForgottenStep(t *testing.T) {
	dir, m := newDir(t), logOf(5)
	publish(t, dir, m)
	if _, err := startAs(t, dir, m, 2); !errors.Is(err, tree.ErrCorrupt) {
		t.Errorf("a start with a key that signed nothing: %v", err)
	}
	// The same while it runs is no harm: what it made it can sign.
	p, err := startAs(t, dir, m, 1)
	if err == nil {
		err = p.SetSigners(t.Context(), signers(t, 2))
	}
	if err == nil {
		err = p.Close()
	}
	if got := verifies(t, dir, "checkpoint", 1, 2); err != nil || !slices.Equal(got, []seedKey{2}) {
		t.Errorf("signed by %v, %v", got, err)
	}
}

// TestSetSignersRefuses holds that nothing changes when signers cannot be used,
// or what stands in the folder is not to be signed.
func TestSetSignersRefuses(t *testing.T) {
	dir, m := newDir(t), logOf(5)
	p, err := start(t, dir, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cover(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	other, err := tree.NewSigner("example.org/other", seedKey(1))
	if err != nil {
		t.Fatal(err)
	}
	before := string(read(t, dir, "checkpoint"))
	for name, set := range map[string][]*tree.Signer{
		"none":           nil,
		"of another log": {other},
		"of two logs":    {signer(t, seedKey(1)), other},
		"one twice":      signers(t, 2, 2),
	} {
		if err := p.SetSigners(t.Context(), set); !errors.Is(err, tree.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// A note that somebody else wrote is not made the signer's.
	write(t, dir, tree.PruneNoteName, sign(t, seedKey(9), origin, origin+"\npruned before 3\n2025-01-02T03:04:05Z\n"))
	if err := p.SetSigners(t.Context(), signers(t, 2, 1)); !errors.Is(err, tree.ErrPruneNote) {
		t.Errorf("a foreign note: %v", err)
	}
	if after := string(read(t, dir, "checkpoint")); after != before || p.VerifierKey() != signer(t, seedKey(1)).VerifierKey() {
		t.Error("a refused change changed something")
	}
	if err := os.Remove(filepath.Join(dir, tree.PruneNoteName)); err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestSetSignersOnAFullDisk holds that a change that cannot be written is told,
// and that the publisher goes on.
func TestSetSignersOnAFullDisk(t *testing.T) {
	dir, m := newDir(t), logOf(5)
	p, err := start(t, dir, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Cover(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	blocked := filepath.Join(dir, "checkpoint.new") // a folder cannot be written to
	if err := os.MkdirAll(filepath.Join(blocked, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := p.SetSigners(t.Context(), signers(t, 2, 1)); err == nil {
		t.Error("nothing was written, and nobody was told")
	}
	if got := p.VerifierKeys(); len(got) != 1 {
		t.Errorf("the publisher signs by %v", got)
	}
	if err := os.RemoveAll(blocked); err != nil {
		t.Fatal(err)
	}
	if err := p.SetSigners(t.Context(), signers(t, 2, 1)); err != nil {
		t.Error(err)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if got := verifies(t, dir, "checkpoint", 1, 2); len(got) != 2 {
		t.Errorf("signed by %v", got)
	}
}

func TestNewVerifiers(t *testing.T) {
	one, two := signer(t, seedKey(1)).VerifierKey(), signer(t, seedKey(2)).VerifierKey()
	other, err := tree.NewSigner("example.org/other", seedKey(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		text string
		want int // 0: ErrKey
	}{
		"one":           {one, 1},
		"one with line": {one + "\n", 1},
		"two":           {one + "\n" + two + "\n", 2},
		"space between": {"\n" + one + "\n\n  " + two + "\r\n", 2},
		"one twice":     {one + "\n" + one, 1},
		"none":          {"\n", 0},
		"empty":         {"", 0},
		"no key":        {one + "\nkey", 0},
		"of two logs":   {one + "\n" + other.VerifierKey(), 0},
	} {
		got, err := tree.NewVerifiers(c.text)
		if len(got) != c.want || (c.want == 0) != errors.Is(err, tree.ErrKey) {
			t.Errorf("%s: %d keys, %v", name, len(got), err)
		}
	}
}

// TestPruneNoteUnderTwoKeys signs a note of what is pruned while two keys sign.
func TestPruneNoteUnderTwoKeys(t *testing.T) {
	dir, m := newDir(t), logOf(700)
	p, err := startAs(t, dir, m, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	n, err := p.PruneNote(300, time.Unix(1e9, 0))
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range []seedKey{1, 2} {
		if _, err := tree.OpenPruneNote(n.Signed, verifier(t, k)); err != nil {
			t.Errorf("key %d: %v", k, err)
		}
	}
	if _, err := tree.OpenPruneNote(n.Signed, verifier(t, seedKey(3))); !errors.Is(err, tree.ErrPruneNote) {
		t.Errorf("a key that did not sign: %v", err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}
