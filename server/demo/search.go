package demo

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// needles finds many texts in many files at once: by their first bytes in a
// table, then in full.
type needles struct {
	texts map[string]struct{}
	long  map[uint32][]string // texts, by their first four bytes
	short map[uint32][]string // padded texts, by their first four bytes
	since time.Time           // when the first of them can have been written
}

// shortest is the length below which a text is bound to turn up by chance in
// some megabytes of ciphertext, and inside ordinary words.
const shortest = 7

// stamp is the length of the time that stands before a sealed value.
const stamp = 8

func newNeedles(since time.Time) *needles {
	return &needles{
		texts: make(map[string]struct{}), long: make(map[uint32][]string), short: make(map[uint32][]string), since: since,
	}
}

// add looks for a value as it was given and in lower case. A value below the
// shortest length is looked for in the form in which it would stand on the
// disk if it were not sealed: after the time it was written, and with the
// padding that fills its block of 16 bytes.
func (n *needles) add(value string) {
	for _, text := range []string{value, strings.ToLower(value)} {
		if _, ok := n.texts[text]; ok || text == "" {
			continue
		}
		n.texts[text] = struct{}{}
		table := n.long
		if len(text) < shortest {
			text += "\x80" + strings.Repeat("\x00", 16-stamp-len(text)-1)
			table = n.short
		}
		first := binary.LittleEndian.Uint32([]byte(text))
		table[first] = append(table[first], text)
	}
}

// in counts the occurrences in data.
func (n *needles) in(data []byte) int {
	found := 0
	for i := 0; i+4 <= len(data); i++ {
		first := binary.LittleEndian.Uint32(data[i:])
		for _, text := range n.long[first] {
			if bytes.HasPrefix(data[i:], []byte(text)) {
				found++
			}
		}
		for _, text := range n.short[first] {
			if bytes.HasPrefix(data[i:], []byte(text)) && n.stamped(data[:i]) {
				found++
			}
		}
	}
	return found
}

// stamped tells whether data ends in a time, in Unix milliseconds, at which a
// value can have been written.
func (n *needles) stamped(data []byte) bool {
	if len(data) < stamp {
		return false
	}
	at := binary.BigEndian.Uint64(data[len(data)-stamp:])
	return at >= uint64(n.since.UnixMilli()) && at <= uint64(time.Now().UnixMilli())
}

// searched is what was found in one file.
type searched struct {
	path  string // relative to the directory
	size  int
	found int
}

// search looks through every file below a directory.
func (n *needles) search(dir string) ([]searched, error) {
	var out []searched
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) && path != dir {
			return nil // a part of the audit log that a longer one replaced meanwhile
		}
		if err != nil || d.IsDir() || d.Type() == fs.ModeSocket { // a socket holds nothing
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // the directory is the demo's own
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		out = append(out, searched{name, len(data), n.in(data)})
		return nil
	})
	return out, err
}
