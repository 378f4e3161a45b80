package audit_test

import (
	"crypto/ed25519"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

// seedKey signs checkpoints in tests.
type seedKey byte

func (k seedKey) private() ed25519.PrivateKey {
	seed := [ed25519.SeedSize]byte{byte(k)}
	return ed25519.NewKeyFromSeed(seed[:])
}

func (k seedKey) Public() ed25519.PublicKey { return k.private().Public().(ed25519.PublicKey) }

func (k seedKey) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(k.private(), message), nil
}

func newSigner() (*tree.Signer, error) { return tree.NewSigner("cloakroom.vault/test", seedKey(1)) }

// published writes a log of n entries in segments of some ten, with its tree,
// and closes it.
func published(t testing.TB, dir string, n int) {
	t.Helper()
	log, err := audit.Open(dir, small)
	if err != nil {
		t.Fatal(err)
	}
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
		t.Fatal(err)
	}
	for i := range n {
		if err := waitFor(log.Append(entry(i % 9))); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
}

// segment is a segment's file taken apart, so that a forger can put it
// together again with sums that hold.
type segment struct {
	path     string
	first    uint64
	content  []byte
	payloads [][]byte
}

func segments(t testing.TB, dir string) []*segment {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("segments: %v, %v", paths, err)
	}
	slices.Sort(paths)
	var out []*segment
	for _, path := range paths {
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		s := &segment{path: path, content: content, first: binary.BigEndian.Uint64(content[12:])}
		for at := audit.SegmentHeader; at+audit.RecordHeader < len(content); {
			n := int(binary.BigEndian.Uint32(content[at+4:]))
			if n == 0 {
				break
			}
			at += audit.RecordHeader
			s.payloads = append(s.payloads, content[at:at+n])
			at += n
		}
		out = append(out, s)
	}
	return out
}

// write writes the payloads as good records, one to a group.
func (s *segment) write(t testing.TB) {
	t.Helper()
	out := append([]byte(nil), s.content[:audit.SegmentHeader]...)
	salt := binary.BigEndian.Uint32(out[20:])
	for i, p := range s.payloads {
		start := len(out)
		out = binary.BigEndian.AppendUint32(out, 0)
		out = binary.BigEndian.AppendUint32(out, uint32(len(p)))
		out = binary.BigEndian.AppendUint64(out, s.first+uint64(i))
		out = binary.BigEndian.AppendUint32(out, 0)
		out = append(out, p...)
		binary.BigEndian.PutUint32(out[start:], crc32.Update(salt, crc32.MakeTable(crc32.Castagnoli), out[start+4:]))
	}
	out = append(out, make([]byte, max(0, len(s.content)-len(out)))...)
	if err := os.WriteFile(s.path, out, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestVerifyNamesEntries forges a log's files, with sums that hold, and wants
// the first bad entry and its segment named: offline, and when it is to be
// published again.
func TestVerifyNamesEntries(t *testing.T) {
	const size = 300
	tests := []struct {
		name  string
		forge func(t *testing.T, all []*segment) (index uint64, in *segment)
	}{
		{"a flipped byte", func(t *testing.T, all []*segment) (uint64, *segment) {
			s := all[3]
			s.content[audit.SegmentHeader+audit.RecordHeader+30] ^= 1
			if err := os.WriteFile(s.path, s.content, 0o600); err != nil {
				t.Fatal(err)
			}
			return s.first, s
		}},
		{"a flipped byte under a sum that holds", func(t *testing.T, all []*segment) (uint64, *segment) {
			s := all[3]
			s.payloads[1][5] ^= 1 // in the id
			s.write(t)
			return s.first + 1, s
		}},
		{"no entry under a sum that holds", func(t *testing.T, all []*segment) (uint64, *segment) {
			s := all[3]
			s.payloads[1][26] = 0 // the outcome
			s.write(t)
			return s.first + 1, s
		}},
		{"a removed entry", func(t *testing.T, all []*segment) (uint64, *segment) {
			s := all[4]
			s.payloads = slices.Delete(s.payloads, 2, 3)
			s.write(t)
			return s.first + 2, s
		}},
		{"swapped entries", func(t *testing.T, all []*segment) (uint64, *segment) {
			a, b := all[2], all[5]
			a.payloads[0], b.payloads[1] = b.payloads[1], a.payloads[0]
			a.write(t)
			b.write(t)
			return a.first, a
		}},
		{"a removed segment", func(t *testing.T, all []*segment) (uint64, *segment) {
			if err := os.Remove(all[1].path); err != nil {
				t.Fatal(err)
			}
			return all[1].first, all[0] // the one before must hold it now
		}},
		{"a truncated tail", func(t *testing.T, all []*segment) (uint64, *segment) {
			s := all[len(all)-1]
			s.payloads = s.payloads[:len(s.payloads)-1]
			s.write(t)
			return size - 1, s
		}},
		{"the last segments removed", func(t *testing.T, all []*segment) (uint64, *segment) {
			n := len(all)
			for _, s := range all[n-2:] {
				if err := os.Remove(s.path); err != nil {
					t.Fatal(err)
				}
			}
			return all[n-2].first, all[n-3]
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			published(t, dir, size)
			if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
				t.Fatalf("before: %v", err)
			}
			index, in := test.forge(t, segments(t, dir))
			_, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{})
			bad := (*audit.CorruptError)(nil)
			if !errors.As(err, &bad) || bad.Index != index || bad.Segment != filepath.Base(in.path) {
				t.Errorf("found %v, want entry %d in %s", err, index, filepath.Base(in.path))
			}
			log, err := audit.Open(dir, small)
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			s, err := newSigner()
			if err != nil {
				t.Fatal(err)
			}
			if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); !errors.Is(err, audit.ErrCorrupt) {
				t.Errorf("published again: %v", err)
			} else if !errors.As(err, &bad) || bad.Index != index {
				t.Errorf("publishing again found %v, want entry %d", err, index)
			}
		})
	}
}

func TestVerifyNamesFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	published(t, dir, 300)
	for _, path := range []string{"tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1", "tile/entries/000", "tile/entries/001.p/44"} {
		name := filepath.Join(dir, audit.TreeDir, path)
		good, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		bad := slices.Clone(good)
		bad[len(bad)/3] ^= 4
		if err := os.WriteFile(name, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		_, err = audit.Verify(t.Context(), dir, audit.VerifyOptions{})
		if tile := (*tree.TileError)(nil); !errors.Is(err, audit.ErrCorrupt) || !errors.As(err, &tile) || tile.Path != path {
			t.Errorf("%s: found %v", path, err)
		}
		if err := os.WriteFile(name, good, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{}); err != nil {
		t.Errorf("with all files good again: %v", err)
	}
	other, err := tree.NewSigner("cloakroom.vault/test", seedKey(2))
	if err != nil {
		t.Fatal(err)
	}
	_, err = audit.Verify(t.Context(), dir, audit.VerifyOptions{VerifierKey: other.VerifierKey()})
	if cp := (*tree.CheckpointError)(nil); !errors.As(err, &cp) || !strings.Contains(err.Error(), "not signed") {
		t.Errorf("under another key: %v", err)
	}
	if _, err := audit.Verify(t.Context(), t.TempDir(), audit.VerifyOptions{}); !errors.Is(err, tree.ErrNoCheckpoint) {
		t.Errorf("a folder without a tree: %v", err)
	}
}

// TestVerifyWhilePublishing holds that a log in use verifies at any moment.
func TestVerifyWhilePublishing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	published(t, dir, 250)
	seen, err := os.ReadFile(filepath.Join(dir, audit.TreeDir, "checkpoint"))
	if err != nil {
		t.Fatal(err)
	}
	log := open(t, dir, small)
	s, err := newSigner()
	if err != nil {
		t.Fatal(err)
	}
	if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); err != nil {
		t.Fatal(err)
	}
	if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); !errors.Is(err, audit.ErrOptions) {
		t.Errorf("published twice: %v", err)
	}
	for range 15 {
		for range 10 {
			if err := waitFor(log.Append(entry(3))); err != nil {
				t.Fatal(err)
			}
		}
		size := log.Size()
		report, err := audit.Verify(t.Context(), dir, audit.VerifyOptions{VerifierKey: s.VerifierKey(), Earlier: seen})
		if err != nil {
			t.Fatal(err)
		}
		if report.Entries < size || report.Checkpoint.Size > report.Entries {
			t.Fatalf("report %+v of %d entries", report, size)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	if cp, err := log.Published(); err != nil || cp.Size != log.Size() {
		t.Errorf("closed with checkpoint %+v, error %v", cp, err)
	}
	if err := log.Publish(t.Context(), []*tree.Signer{s}, nil); !errors.Is(err, audit.ErrClosed) {
		t.Errorf("published after Close: %v", err)
	}
}
