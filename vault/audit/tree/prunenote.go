package tree

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/sumdb/note"
)

// PruneNoteName is the file of the tree's folder that holds the PruneNote of
// the last prune.
const PruneNoteName = "pruned"

// A PruneNote is the signer's word that the log's own retention took entries
// away, or is about to. An entry of the log can say so too, but whoever writes
// the files of a log that lies still can add one, and the next checkpoint covers
// it; this word is given by who holds the key, at the time of the prune.
type PruneNote struct {
	// Origin names the log.
	Origin string
	// Before is the index up to which, without it, entries may be gone. It is
	// above 0.
	Before uint64
	// OlderThan is the time, in UTC, before which all of these entries are.
	OlderThan time.Time
	// Signed is the whole signed note.
	Signed []byte
}

// text is the part of a note that is signed. Its second line is no number, so
// that it never is the text of a checkpoint, which the same key signs.
func (n *PruneNote) text() string {
	return fmt.Sprintf("%s\npruned before %d\n%s\n", n.Origin, n.Before, n.OlderThan.UTC().Format(time.RFC3339Nano))
}

// OpenPruneNote verifies a signed PruneNote under the keys of a log, of which one
// must have signed it and whose name must be the origin, and reads it. Any fault is an error that wraps ErrPruneNote.
func OpenPruneNote(signed []byte, keys ...note.Verifier) (*PruneNote, error) {
	bad := func(rule string) (*PruneNote, error) { return nil, fmt.Errorf("%w: it %s", ErrPruneNote, rule) }
	opened, _, err := openSigned(signed, keys)
	if err != nil {
		return bad(err.Error())
	}
	lines := strings.Split(opened.Text, "\n")
	if len(lines) != 4 {
		return bad("has not three lines")
	}
	if name := opened.Sigs[0].Name; lines[0] != name {
		return bad("is of another log than " + name)
	}
	digits, ok := strings.CutPrefix(lines[1], "pruned before ")
	before, err := strconv.ParseUint(digits, 10, 64)
	if !ok || err != nil || before == 0 || before > maxSize {
		return bad("does not say before which entry")
	}
	olderThan, err := time.Parse(time.RFC3339Nano, lines[2])
	if err != nil {
		return bad("does not say how old the entries were")
	}
	n := &PruneNote{Origin: lines[0], Before: before, OlderThan: olderThan.UTC(), Signed: signed}
	if n.text() != opened.Text {
		return bad("is not in its shortest form")
	}
	return n, nil
}

// PruneNote signs that entries before an index, all of them older than a time,
// are about to be pruned. Who prunes must make it durable as PruneNoteName in the
// tree's folder before the first entry goes; and must have seen that the entries
// are the covered ones and as old as that. The note was opened again: an error
// that wraps ErrPruneNote when it would not verify, or what the key returns.
func (p *Publisher) PruneNote(before uint64, olderThan time.Time) (*PruneNote, error) {
	signers := p.all()
	n := &PruneNote{Origin: signers[0].Name(), Before: before, OlderThan: olderThan}
	signed, err := signedBy(signers, n.text())
	if err != nil {
		return nil, fmt.Errorf("sign the note of what is pruned: %w", err)
	}
	return OpenPruneNote(signed, verifiersOf(signers)...)
}

// PruneNote returns the stored note, verified; nil when there is none. An error
// that wraps ErrPruneNote when it is not one of the keys'.
func (r *Reader) PruneNote() (*PruneNote, error) {
	signed, err := r.dir.optional(PruneNoteName)
	if err != nil || signed == nil {
		return nil, err
	}
	return OpenPruneNote(signed, r.keys...)
}

// CheckFirst holds that a log may begin at an index: all before it are covered
// by the stored note, which it returns; nil for index 0, which needs none. The
// first entry that is missing without one is an *EntryError. first must have
// been read before the call, for entries may be pruned meanwhile.
func (r *Reader) CheckFirst(first uint64) (*PruneNote, error) {
	if first == 0 {
		return nil, nil
	}
	missing := func(index uint64, rule string) (*PruneNote, error) {
		return nil, &EntryError{index, fmt.Sprintf("is missing, as all before entry %d are, and %s", first, rule)}
	}
	n, err := r.PruneNote()
	switch {
	case errors.Is(err, ErrPruneNote):
		return missing(0, err.Error())
	case err != nil:
		return nil, err
	case n == nil:
		return missing(0, "no signed note says that they were pruned")
	case n.Before < first:
		return missing(n.Before, fmt.Sprintf("the signed note is of what was pruned before entry %d", n.Before))
	}
	return n, nil
}
