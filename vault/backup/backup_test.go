package backup_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func TestWhatWasWrittenIsRead(t *testing.T) {
	long := strings.Repeat("v", store.MaxValueLen)
	base := artefact(t, kek(), manifest(backup.Values), nil)
	for _, c := range []struct {
		name string
		rows []row
	}{
		{"nothing", nil},
		{"one row", []row{{1, "k", "v"}}},
		{"an empty value", []row{{1, "k", ""}, {1, "l", "v"}}},
		{"the longest", []row{{1, strings.Repeat("k", store.MaxKeyLen), long}}},
		{"a table left out", []row{{1, "k", "v"}, {6, "a", "v"}}},
		{"the same key in two tables", []row{{1, "k", "v"}, {2, "k", "v"}}},
		{"several chunks", some(5 * backup.ChunkSize)},
		// The plaintext without rows is len(base) less what is outside it; the
		// last of these rows ends a chunk to the byte, one less, one more.
		{"ends before a chunk's end", []row{{1, "k", long[:chunkRest(t, base)-1]}}},
		{"ends with a chunk", []row{{1, "k", long[:chunkRest(t, base)]}}},
		{"ends behind a chunk's end", []row{{1, "k", long[:chunkRest(t, base)+1]}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, kind := range []backup.Kind{backup.Values, backup.Keys} {
				m, got, err := read(t, kek(), artefact(t, kek(), manifest(kind), c.rows))
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, c.rows) {
					t.Errorf("%d rows came back of %d", len(got), len(c.rows))
				}
				counts := map[uint8]uint64{}
				for _, r := range c.rows {
					counts[r.table]++
				}
				for _, table := range m.Tables {
					if table.Rows != counts[table.Number] {
						t.Errorf("table %d counts %d rows, want %d", table.Number, table.Rows, counts[table.Number])
					}
				}
			}
		})
	}
}

// chunkRest returns how long the value of a row with a key of one byte must be
// for the plaintext of an artefact to fill two chunks.
func chunkRest(t *testing.T, base []byte) int {
	t.Helper()
	inOne := len(base) - headerLength(t, base) - backup.Overhead
	const frame = 1 + 1 + 3 + 1 // table, key's length, value's length, key
	return 2*backup.ChunkSize - inOne - frame
}

func TestManifestAndHeader(t *testing.T) {
	for _, kind := range []backup.Kind{backup.Values, backup.Keys} {
		want := manifest(kind)
		b := artefact(t, kek(), want, []row{{1, "k", "v"}, {1, "l", "v"}})
		h, err := backup.Peek(bytes.NewReader(b))
		if err != nil {
			t.Fatal(err)
		}
		if h.Kind != kind || h.Vault != want.Vault || h.Pair != want.Pair || !h.Time.Equal(made) || h.KEK != "memory" || h.ID == (backup.ID{}) {
			t.Errorf("header %+v", h)
		}
		if wantEpochs := map[backup.Kind][]uint32{backup.Keys: {3, 4}}[kind]; !slices.Equal(h.Epochs, wantEpochs) {
			t.Errorf("%s: epochs %v, want %v", kind, h.Epochs, wantEpochs)
		}
		r, err := backup.Open(t.Context(), bytes.NewReader(b), kek())
		if err != nil {
			t.Fatal(err)
		}
		if n := r.Manifest().Tables[0].Rows; n != 0 {
			t.Errorf("%d rows counted before the end", n)
		}
		if _, err := rest(r); err != nil {
			t.Fatal(err)
		}
		got := r.Manifest()
		if got.Log != want.Log || got.Control != want.Control || got.Lane != want.Lane || got.Program != want.Program ||
			got.Epoch != 4 || got.PreviousEpoch != 3 || got.Keysets["field/3"] != 2 || got.Tables[0].Rows != 2 || !slices.Equal(got.LeftOut, want.LeftOut) {
			t.Errorf("manifest %+v", got)
		}
		if other, err := backup.Peek(bytes.NewReader(artefact(t, kek(), want, nil))); err != nil || other.ID == h.ID {
			t.Error("two artefacts have one id", err)
		}
	}
}

func TestUsage(t *testing.T) {
	ordered := func(mutate func(*backup.Manifest)) backup.Manifest {
		m := manifest(backup.Values)
		mutate(&m)
		return m
	}
	for _, c := range []struct {
		name string
		m    backup.Manifest
		rows []row
	}{
		{"no kind", ordered(func(m *backup.Manifest) { m.Kind = 0 }), nil},
		{"tables that fall", ordered(func(m *backup.Manifest) { slices.Reverse(m.Tables) }), nil},
		{"table 0", ordered(func(m *backup.Manifest) { m.Tables[0].Number = 0 }), nil},
		{"an unknown table", manifest(backup.Values), []row{{3, "k", "v"}}},
		{"a table that comes back", manifest(backup.Values), []row{{2, "k", "v"}, {1, "k", "v"}}},
		{"keys that fall", manifest(backup.Values), []row{{1, "l", "v"}, {1, "k", "v"}}},
		{"a key twice", manifest(backup.Values), []row{{1, "k", "v"}, {1, "k", "v"}}},
		{"no key", manifest(backup.Values), []row{{1, "", "v"}}},
		{"a long key", manifest(backup.Values), []row{{1, strings.Repeat("k", store.MaxKeyLen+1), "v"}}},
		{"a long value", manifest(backup.Values), []row{{1, "k", strings.Repeat("v", store.MaxValueLen+1)}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var b bytes.Buffer
			if _, _, err := backup.Write(t.Context(), &b, kek(), c.m, dump(c.rows)); !errors.Is(err, backup.ErrUsage) {
				t.Errorf("got %v", err)
			}
			if _, _, err := read(t, kek(), b.Bytes()); err == nil {
				t.Error("what was written can be read as a whole artefact")
			}
		})
	}
}

func TestFailures(t *testing.T) {
	broken := errors.New("it broke")
	t.Run("the dump", func(t *testing.T) {
		var b bytes.Buffer
		_, _, err := backup.Write(t.Context(), &b, kek(), manifest(backup.Values), func(emit backup.Emit) error {
			return errors.Join(emit(1, []byte("k"), nil), broken)
		})
		if !errors.Is(err, broken) {
			t.Errorf("got %v", err)
		}
		_, _, err = read(t, kek(), b.Bytes())
		refused(t, "half an artefact", err)
	})
	t.Run("the writer", func(t *testing.T) {
		whole := len(artefact(t, kek(), manifest(backup.Values), some(3*backup.ChunkSize)))
		for _, limit := range []int{0, 10, 3000, whole / 2, whole - 1} {
			_, _, err := backup.Write(t.Context(), &limited{limit, broken}, kek(), manifest(backup.Values), dump(some(3*backup.ChunkSize)))
			if !errors.Is(err, broken) {
				t.Errorf("after %d bytes: %v", limit, err)
			}
		}
	})
	t.Run("the context", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		_, _, err := backup.Write(ctx, &bytes.Buffer{}, kek(), manifest(backup.Values), func(emit backup.Emit) error {
			cancel()
			return dump(some(1 << 20))(emit)
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
	for _, fault := range []error{keys.ErrAway, keys.ErrDenied} {
		k := keystest.NewKEK()
		b := artefact(t, k, manifest(backup.Values), nil)
		k.Fail(fault)
		if _, _, err := backup.Write(t.Context(), &bytes.Buffer{}, k, manifest(backup.Values), dump(nil)); !errors.Is(err, fault) {
			t.Errorf("Write: got %v, want %v", err, fault)
		}
		if _, _, err := read(t, k, b); !errors.Is(err, fault) || !strings.Contains(err.Error(), "memory") {
			t.Errorf("Open: got %v, want %v with the name of the KEK", err, fault)
		}
	}
}

// limited fails after so many bytes.
type limited struct {
	left int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.left {
		return l.left, l.err
	}
	l.left -= len(p)
	return len(p), nil
}
