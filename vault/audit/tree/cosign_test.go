package tree_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"golang.org/x/mod/sumdb/note"
)

// witness signs as C2SP tlog-cosignature v1 says, and shares no code with the
// package.
type witness struct {
	name string
	key  seedKey
	time uint64
}

func (w witness) Name() string { return w.name }

func (w witness) KeyHash() uint32 {
	sum := sha256.Sum256(append([]byte(w.name+"\n\x04"), w.key.Public()...))
	return binary.BigEndian.Uint32(sum[:])
}

func (w witness) Sign(msg []byte) ([]byte, error) {
	sig := ed25519.Sign(w.key.private(), fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", w.time, msg))
	return append(binary.BigEndian.AppendUint64(nil, w.time), sig...), nil
}

func (w witness) vkey() string {
	return fmt.Sprintf("%s+%08x+%s", w.name, w.KeyHash(), base64.StdEncoding.EncodeToString(append([]byte{4}, w.key.Public()...)))
}

// cosign returns the checkpoint with the witness's line added.
func cosign(t *testing.T, signed []byte, witnesses ...note.Signer) []byte {
	t.Helper()
	n, err := note.Open(signed, note.VerifierList(verifier(t, seedKey(1))))
	if err != nil {
		t.Fatal(err)
	}
	out, err := note.Sign(n, witnesses...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestCosignatures(t *testing.T) {
	dir, m := newDir(t), logOf(10)
	if _, err := tree.AddCosignatures(t.TempDir(), nil); !errors.Is(err, tree.ErrNoCheckpoint) {
		t.Errorf("without a checkpoint: %v", err)
	}
	cp := publish(t, dir, m)
	a, b, stranger := witness{"a.example", 7, 1700000000}, witness{"b.example", 8, 1700000001}, witness{"c.example", 9, 1}
	var known []note.Verifier
	for _, w := range []witness{a, b} {
		v, err := tree.NewWitness(w.vkey() + "\n")
		if err != nil {
			t.Fatal(err)
		}
		known = append(known, v)
	}
	refused := func(name string, signed []byte) {
		t.Helper()
		if _, err := tree.AddCosignatures(dir, signed, known...); !errors.Is(err, tree.ErrCosignature) {
			t.Errorf("%s: %v", name, err)
		}
		if !bytes.Equal(read(t, dir, "checkpoint"), cp.Signed) {
			t.Fatalf("%s: the checkpoint was changed", name)
		}
	}
	good := cosign(t, cp.Signed, a)
	refused("a stranger", cosign(t, cp.Signed, stranger))
	refused("no witness", cp.Signed)
	refused("another checkpoint", cosign(t, publish(t, newDir(t), logOf(9)).Signed, a))
	late := a
	late.time++
	moved := bytes.Replace(good, []byte("10\n"), []byte("11\n"), 1)
	refused("a text changed after signing", moved)

	for _, step := range []struct {
		signed []byte
		lines  int
	}{
		{good, 2}, {good, 2}, {cosign(t, cp.Signed, late), 2}, {cosign(t, cp.Signed, stranger, b), 3},
	} {
		if n, err := tree.AddCosignatures(dir, step.signed, known...); err != nil || n != 1 {
			t.Fatalf("%d added, %v", n, err)
		}
		if got := bytes.Count(read(t, dir, "checkpoint"), []byte("— ")); got != step.lines {
			t.Errorf("%d signature lines, want %d", got, step.lines)
		}
	}
	n, err := note.Open(read(t, dir, "checkpoint"), note.VerifierList(append(known, verifier(t, seedKey(1)))...))
	if err != nil || len(n.Sigs) != 3 || len(n.UnverifiedSigs) != 0 {
		t.Errorf("signatures %v, %v", n, err)
	}
	// They stay as long as the checkpoint is the last one.
	if err := check(t, dir, m, nil); err != nil {
		t.Error(err)
	}
	publish(t, dir, m)
	if got := bytes.Count(read(t, dir, "checkpoint"), []byte("— ")); got != 3 {
		t.Errorf("%d signature lines after a restart", got)
	}
	m.grow(1)
	if got := bytes.Count(publish(t, dir, m).Signed, []byte("— ")); got != 1 {
		t.Errorf("%d signature lines on a new checkpoint", got)
	}
}

func TestWitnessKeys(t *testing.T) {
	good := witness{"a.example", 7, 0}.vkey()
	log := signer(t, seedKey(7)).VerifierKey() // of type 1
	for name, bad := range map[string]string{
		"empty": "", "no parts": "a", "a log's key": log, "another hash": "a.example+00000000+" + good[len("a.example+00000000+"):],
		"cut": good[:len(good)-4], "a space": "a b" + good[len("a.example"):],
	} {
		if _, err := tree.NewWitness(bad); !errors.Is(err, tree.ErrKey) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// FuzzOpenCheckpoint holds that nothing but a signed text is taken, and no
// input ends in a panic.
func FuzzOpenCheckpoint(f *testing.F) {
	key := verifier(f, seedKey(1))
	good, err := note.Sign(&note.Note{Text: origin + "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"}, signer(f, seedKey(1)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte("\n\n— \n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		cp, err := tree.OpenCheckpoint(b, key)
		if bad := (*tree.CheckpointError)(nil); err != nil && !errors.As(err, &bad) {
			t.Fatalf("error %v", err)
		}
		if err == nil && (cp.Size != 0 || cp.Origin != origin) {
			t.Fatalf("took %+v", cp)
		}
	})
}
