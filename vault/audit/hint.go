package audit

import (
	"path/filepath"
	"strconv"
	"strings"
)

// hintName is the file that says, in decimal and one line, at which index the
// entry of the last Prune stands. It only saves reading the log: what it says
// is looked up, and without it the entry is searched for.
const hintName = "pruned"

// maxHint is longer than any hint.
const maxHint = 32

// writeHint replaces the hint, durably.
func writeHint(d disk, dir string, index uint64) error {
	return replace(d, filepath.Join(dir, hintName), []byte(strconv.FormatUint(index, 10)+"\n"))
}

// readHint reads the hint, if there is one that can be read.
func readHint(d disk, dir string) (index uint64, ok bool) {
	file, err := d.Open(filepath.Join(dir, hintName), false)
	if err != nil {
		return 0, false
	}
	defer func() { _ = file.Close() }() // it is only read
	content := make([]byte, maxHint)
	n, _ := file.ReadAt(content, 0) // the file is shorter, which is an error
	text, ok := strings.CutSuffix(string(content[:n]), "\n")
	if !ok {
		return 0, false
	}
	index, err = strconv.ParseUint(text, 10, 64)
	return index, err == nil
}
