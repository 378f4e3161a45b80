package demo

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// stored is a value as it would stand on the disk if nothing sealed it.
func stored(value string, at time.Time) []byte {
	out := binary.BigEndian.AppendUint64(nil, uint64(at.UnixMilli()))
	out = append(append(out, value...), 0x80)
	return append(out, make([]byte, (16-len(out)%16)%16)...)
}

func TestPlantedValuesAreFound(t *testing.T) {
	begun := time.Now().Add(-time.Second)
	noise := make([]byte, 4096)
	source := rand.NewChaCha8([32]byte{1})
	_, _ = source.Read(noise)
	for _, c := range []struct {
		name    string
		value   string
		planted []byte
		found   int
	}{
		{"long", "Ada Lovelace", []byte("Ada Lovelace"), 1},
		{"long, in lower case", "Ada Lovelace", []byte("ada lovelace"), 1},
		{"long, in another case", "Ada Lovelace", []byte("ADA LOVELACE"), 0},
		{"long, in part", "Ada Lovelace", []byte("Ada Lovelac"), 0},
		{"shortest that is sought bare", "1234567", []byte("1234567"), 1},
		{"short, as it would be stored", "en", stored("en", time.Now()), 1},
		{"short, in lower case", "DE", stored("de", time.Now()), 1},
		{"one letter", "x", stored("x", time.Now()), 1},
		{"six letters", "448765", stored("448765", time.Now()), 1},
		{"short, by itself", "en", []byte("en"), 0},
		{"short, padded by chance", "en", []byte("en\x80\x00\x00\x00\x00\x00"), 0},
		{"short, of another time", "en", stored("en", begun.Add(-time.Hour)), 0},
		{"short, of the future", "en", stored("en", time.Now().Add(time.Hour)), 0},
		{"not ASCII", "Октябрина", []byte("Октябрина"), 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			n := newNeedles(begun)
			n.add(c.value)
			n.add("") // is no value
			for _, at := range []int{0, 1, 777, len(noise) - len(c.planted)} {
				data := bytes.Clone(noise)
				copy(data[at:], c.planted)
				if got := n.in(data); got != c.found {
					t.Errorf("planted at %d: found %d times, want %d", at, got, c.found)
				}
			}
			if got := n.in(c.planted); got != c.found {
				t.Errorf("alone in a file: found %d times, want %d", got, c.found)
			}
		})
	}
}

// TestEveryCustomerIsFound plants every cell of the sample, one after the
// other, as a vault without locks would leave them.
func TestEveryCustomerIsFound(t *testing.T) {
	people, err := customers()
	if err != nil {
		t.Fatal(err)
	}
	if len(people) != 2000 {
		t.Fatalf("%d customers", len(people))
	}
	for _, p := range people[:200] {
		for _, cell := range p.cells {
			if cell == "" {
				continue
			}
			n := newNeedles(time.Now().Add(-time.Second))
			n.add(cell)
			if n.in(stored(cell, time.Now())) == 0 {
				t.Errorf("a cell of %s is not found", p.record.SubjectID)
			}
		}
	}
}

func TestSearchReadsEveryFile(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"a": "Ada Lovelace, Ada Lovelace", "sub/deep/b": "nobody", "sub/.hidden": "-Ada Lovelace", "empty": ""} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	n := newNeedles(time.Now())
	n.add("Ada Lovelace")
	files, err := n.search(dir)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int{}
	for _, f := range files {
		got[filepath.ToSlash(f.path)] = f.found
	}
	if len(got) != 4 || got["a"] != 2 || got["sub/deep/b"] != 0 || got["sub/.hidden"] != 1 {
		t.Errorf("found %v", got)
	}
	if _, err := n.search(filepath.Join(dir, "nowhere")); err == nil {
		t.Error("a directory that is not there was searched")
	}
}
