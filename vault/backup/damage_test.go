package backup_test

import (
	"bytes"
	"errors"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
)

// headerLength returns where the first chunk of an artefact begins.
func headerLength(t testing.TB, b []byte) int {
	t.Helper()
	r := bytes.NewReader(b)
	if _, err := backup.Peek(r); err != nil {
		t.Fatal(err)
	}
	return len(b) - r.Len()
}

// cut returns the header of an artefact and its chunks.
func cut(t *testing.T, b []byte) (parts [][]byte) {
	t.Helper()
	n := headerLength(t, b)
	parts = append(parts, b[:n])
	for chunk := range slices.Chunk(b[n:], backup.ChunkSize+backup.Overhead) {
		parts = append(parts, chunk)
	}
	return parts
}

func TestEveryChangedByteIsRefused(t *testing.T) {
	whole := artefact(t, kek(), manifest(backup.Keys), some(2*backup.ChunkSize))
	header := headerLength(t, whole)
	for at := 0; at < len(whole); at++ {
		if at > header+64 && at < len(whole)-64 && at%331 != 0 {
			continue
		}
		b := bytes.Clone(whole)
		b[at] ^= 1 << (at % 8)
		_, _, err := read(t, kek(), b)
		if err == nil {
			t.Fatalf("byte %d of %d was changed and nothing noticed", at, len(whole))
		}
		refused(t, "a changed byte", err)
	}
}

func TestEveryCutIsRefused(t *testing.T) {
	whole := artefact(t, kek(), manifest(backup.Values), some(4*backup.ChunkSize))
	ends := []int{}
	for at := 0; at <= headerLength(t, whole); at++ {
		ends = append(ends, at)
	}
	for at := headerLength(t, whole); at < len(whole); at += backup.ChunkSize + backup.Overhead {
		for _, d := range []int{-backup.Overhead - 1, -backup.Overhead, -1, 0, 1, 11, 12, 13, backup.Overhead, backup.Overhead + 1} {
			ends = append(ends, at+d)
		}
	}
	ends = append(ends, len(whole)-1)
	for _, end := range ends {
		if end >= len(whole) || end < 0 {
			continue
		}
		_, rows, err := read(t, kek(), whole[:end])
		if err == nil {
			t.Fatalf("cut at %d of %d: %d rows and no error", end, len(whole), len(rows))
		}
		refused(t, "a cut", err)
	}
}

// Every chunk opens in its own place of its own artefact alone.
func TestSplicedIsRefused(t *testing.T) {
	rows := some(4 * backup.ChunkSize)
	one := cut(t, artefact(t, kek(), manifest(backup.Values), rows))
	two := cut(t, artefact(t, kek(), manifest(backup.Values), rows))
	last := len(one) - 1
	if last < 4 {
		t.Fatalf("only %d chunks", last)
	}
	join := func(parts ...[]byte) []byte { return bytes.Join(parts, nil) }
	for _, c := range []struct {
		name  string
		parts []byte
		ok    bool
	}{
		{"as it was", join(one...), true},
		{"a chunk left out", join(one[0], one[1], join(one[3:]...)), false},
		{"the first chunk left out", join(one[0], join(one[2:]...)), false},
		{"two chunks exchanged", join(one[0], one[1], one[3], one[2], join(one[4:]...)), false},
		{"a chunk twice", join(one[0], one[1], one[1], join(one[2:]...)), false},
		{"another's chunk in its place", join(one[0], one[1], two[2], join(one[3:]...)), false},
		{"another's last chunk", join(join(one[:last]...), two[last]), false},
		{"another's header", join(two[0], join(one[1:]...)), false},
		{"the last chunk twice", join(join(one...), one[last]), false},
		{"another artefact behind it", join(join(one...), join(two...)), false},
		{"a byte behind it", join(join(one...), []byte{0}), false},
		{"nothing but a header", one[0], false},
		{"ends with a whole chunk", join(one[:last]...), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, got, err := read(t, kek(), c.parts)
			if c.ok {
				if err != nil || len(got) != len(rows) {
					t.Error(err)
				}
				return
			}
			refused(t, c.name, err)
		})
	}
}

func TestTheKeyIsBoundToVaultAndKind(t *testing.T) {
	b := artefact(t, kek(), manifest(backup.Values), nil)
	if _, _, err := read(t, keystest.NewKEK(), b); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("another KEK: %v", err)
	}
	const kindAt, vaultAt = 17, 18 + 32
	for _, at := range []int{kindAt, vaultAt} {
		c := bytes.Clone(b)
		c[at] ^= 3
		if _, _, err := read(t, kek(), c); !errors.Is(err, keys.ErrWrongKey) {
			t.Errorf("byte %d changed: %v", at, err)
		}
	}
}

func TestNotAnArtefact(t *testing.T) {
	newer := artefact(t, kek(), manifest(backup.Values), nil)
	newer[16] = 2
	for name, b := range map[string][]byte{
		"empty": nil, "text": []byte("this is a text file that is longer than the header of an artefact and is none of them at all, you see"),
		"a newer format": newer,
	} {
		if _, err := backup.Open(t.Context(), bytes.NewReader(b), kek()); !errors.Is(err, backup.ErrFormat) {
			t.Errorf("%s: Open: %v", name, err)
		}
		if _, err := backup.Peek(bytes.NewReader(b)); !errors.Is(err, backup.ErrFormat) {
			t.Errorf("%s: Peek: %v", name, err)
		}
	}
}
