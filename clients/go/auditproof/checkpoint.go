package auditproof

import (
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxSize bounds the size that a checkpoint may state, so that sizes and the
// numbers of hashes fit 63 bits.
const maxSize = 1 << 56

// Checkpoint is a checkpoint whose signature was verified.
type Checkpoint struct {
	// Origin names the log.
	Origin string
	// Size is the number of entries covered.
	Size uint64
	// Root is the RFC 6962 hash of the tree of that size.
	Root tlog.Hash
	// Signed is the whole signed note.
	Signed []byte
	// SignedBy are the keys that were asked for and signed it, as KeyID has them.
	SignedBy []string
}

// NewVerifier reads a verifier key, such as the text of a vkey file; space
// around it is left out. ErrKey otherwise.
func NewVerifier(vkey string) (note.Verifier, error) {
	vkey = strings.TrimSpace(vkey)
	v, err := note.NewVerifier(vkey)
	// Decoders of base64 pass over line breaks.
	if err != nil || strings.ContainsAny(vkey, "\r\n") {
		return nil, fmt.Errorf("%w: its form is name+hash+key", ErrKey)
	}
	return v, nil
}

// OpenCheckpoint verifies a signed checkpoint under the keys of a log, of which
// one must have signed it and whose name must be its origin, and reads it.
// Signatures of other keys are allowed beside it and say nothing: whoever has a
// checkpoint can add one. Faults wrap ErrCheckpoint.
func OpenCheckpoint(signed []byte, keys ...note.Verifier) (*Checkpoint, error) {
	bad := func(rule string) (*Checkpoint, error) { return nil, fmt.Errorf("%w: %s", ErrCheckpoint, rule) }
	n, by := openSigned(signed, keys)
	if n == nil {
		return bad(unsigned(signed, keys))
	}
	// Lines past the third are extensions, and the text ends with a newline.
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 {
		return bad("it has too few lines")
	}
	if name := n.Sigs[0].Name; lines[0] != name {
		return bad("it is of another log than " + name)
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] || size > maxSize {
		return bad("the size is no number, not in its shortest form, or too large")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return bad("the root is no hash")
	}
	return &Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root), Signed: signed, SignedBy: by}, nil
}

// CheckInclusion verifies that the tree of a checkpoint has a leaf at an index.
// ErrProof otherwise.
func CheckInclusion(c *Checkpoint, index uint64, leaf tlog.Hash, proof tlog.RecordProof) error {
	if index >= c.Size {
		return fmt.Errorf("%w: it covers %d entries, and entry %d is not among them", ErrProof, c.Size, index)
	}
	if tlog.CheckRecord(proof, int64(c.Size), c.Root, int64(index), leaf) != nil {
		return fmt.Errorf("%w: of entry %d, among %d", ErrProof, index, c.Size)
	}
	return nil
}

// CheckConsistency verifies that the tree of a newer checkpoint goes on from
// that of an older one. ErrRolledBack when it is smaller, ErrRewritten when it
// does not or the proof does not show it, ErrCheckpoint when they are of two
// logs.
func CheckConsistency(older, newer *Checkpoint, proof tlog.TreeProof) error {
	switch {
	case older.Origin != newer.Origin:
		return fmt.Errorf("%w: it is of the log %q, the one kept of %q", ErrCheckpoint, newer.Origin, older.Origin)
	case newer.Size < older.Size:
		return fmt.Errorf("%w: it has %d entries and had %d", ErrRolledBack, newer.Size, older.Size)
	case newer.Size == older.Size && newer.Root != older.Root:
		return fmt.Errorf("%w: its %d entries are not those that it had", ErrRewritten, newer.Size)
	case newer.Size == older.Size, older.Size == 0:
		return nil
	case tlog.CheckTree(proof, int64(newer.Size), newer.Root, int64(older.Size), older.Root) != nil:
		return fmt.Errorf("%w: nothing proves that its first %d entries are those that it had", ErrRewritten, older.Size)
	}
	return nil
}
