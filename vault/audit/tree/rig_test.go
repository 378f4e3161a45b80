package tree_test

import (
	"crypto/ed25519"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"go.uber.org/goleak"
	"golang.org/x/mod/sumdb/note"
)

const origin = "cloakroom.vault/00112233"

// memory is a source in memory.
type memory struct {
	mu      sync.Mutex
	entries [][]byte
	first   uint64
}

// logOf returns a source of n entries.
func logOf(n int) *memory {
	m := &memory{}
	m.grow(n)
	return m
}

func (m *memory) grow(n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for range n {
		m.entries = append(m.entries, fmt.Appendf(nil, "entry %d", len(m.entries)))
	}
}

// set changes the log behind the tree's back.
func (m *memory) set(entries [][]byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.entries = entries
}

func (m *memory) all() [][]byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([][]byte(nil), m.entries...)
}

// prune takes the entries before first away.
func (m *memory) prune(first uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.first = first
}

func (m *memory) First() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.first
}

func (m *memory) Size() uint64 { return uint64(len(m.all())) }

func (m *memory) Read(from uint64, fn func(uint64, []byte) error) error {
	all := m.all()
	from = max(from, m.First())
	for ; from < uint64(len(all)); from++ {
		if err := fn(from, all[from]); err != nil {
			return err
		}
	}
	return nil
}

// seedKey is a key from a seed.
type seedKey byte

func (k seedKey) private() ed25519.PrivateKey {
	seed := [ed25519.SeedSize]byte{byte(k)}
	return ed25519.NewKeyFromSeed(seed[:])
}

func (k seedKey) Public() ed25519.PublicKey { return k.private().Public().(ed25519.PublicKey) }

func (k seedKey) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(k.private(), message), nil
}

func signer(t testing.TB, k tree.Key) *tree.Signer {
	t.Helper()
	s, err := tree.NewSigner(origin, k)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func verifier(t testing.TB, k tree.Key) note.Verifier {
	t.Helper()
	v, err := tree.NewVerifier(signer(t, k).VerifierKey() + "\n")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func start(t testing.TB, dir string, m *memory) (*tree.Publisher, error) {
	return tree.Start(t.Context(), dir, m, []*tree.Signer{signer(t, seedKey(1))}, slog.New(slog.DiscardHandler))
}

// publish publishes m in dir and returns the checkpoint.
func publish(t testing.TB, dir string, m *memory) *tree.Checkpoint {
	t.Helper()
	p, err := start(t, dir, m)
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	return p.Last()
}

// sign signs any text with a key of any name.
func sign(t testing.TB, k tree.Key, name, text string) []byte {
	t.Helper()
	s, err := tree.NewSigner(name, k)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: text}, s)
	if err != nil {
		t.Fatal(err)
	}
	return signed
}

// announce puts the note that entries before an index are pruned beside a tree.
func announce(t testing.TB, dir string, before uint64) {
	t.Helper()
	text := fmt.Sprintf("%s\npruned before %d\n2025-01-02T03:04:05Z\n", origin, before)
	write(t, dir, tree.PruneNoteName, sign(t, seedKey(1), origin, text))
}

func check(t testing.TB, dir string, m *memory, earlier []byte) error {
	t.Helper()
	_, err := tree.Check(t.Context(), dir, m, []note.Verifier{verifier(t, seedKey(1))}, earlier)
	return err
}

func newDir(t testing.TB) string { return filepath.Join(t.TempDir(), "tlog") }

func read(t testing.TB, dir, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, path))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func write(t testing.TB, dir, path string, data []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, path), data, 0o600); err != nil {
		t.Fatal(err)
	}
}

// files lists the files below dir.
func files(t testing.TB, dir string) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			rel, _ := filepath.Rel(dir, path)
			out[filepath.ToSlash(rel)] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }
