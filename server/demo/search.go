package demo

import (
	"bytes"
	"encoding/binary"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// needles finds many texts in many files at once: by their first bytes in a
// table, then in full.
type needles struct {
	texts  map[string]struct{}
	prefix map[uint32][]string
}

// shortest is the length below which a text is bound to turn up by chance in
// some megabytes of ciphertext, and inside ordinary words.
const shortest = 6

func newNeedles() *needles {
	return &needles{texts: make(map[string]struct{}), prefix: make(map[uint32][]string)}
}

// add looks for a value as it was given and in lower case. A value below the
// shortest length is looked for in the form in which it would stand on the
// disk if it were not sealed: with the padding that fills its last block.
func (n *needles) add(value string) {
	for _, text := range []string{value, strings.ToLower(value)} {
		if text == "" {
			continue
		}
		if len(text) < shortest {
			text = padded(text)
		}
		if _, ok := n.texts[text]; ok {
			continue
		}
		n.texts[text] = struct{}{}
		first := binary.LittleEndian.Uint32([]byte(text))
		n.prefix[first] = append(n.prefix[first], text)
	}
}

// padded is a short value after the eight bytes of its time, as padded to
// blocks of 16 bytes before it is sealed.
func padded(text string) string {
	return text + "\x80" + strings.Repeat("\x00", 16-8-len(text)-1)
}

// in counts the occurrences in data.
func (n *needles) in(data []byte) int {
	found := 0
	for i := 0; i+4 <= len(data); i++ {
		candidates, ok := n.prefix[binary.LittleEndian.Uint32(data[i:])]
		if !ok {
			continue
		}
		for _, text := range candidates {
			if bytes.HasPrefix(data[i:], []byte(text)) {
				found++
			}
		}
	}
	return found
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
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path) //nolint:gosec // the directory is the demo's own
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
