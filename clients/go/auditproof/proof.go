package auditproof

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// proofHeader is the first line of a proof.
	proofHeader = "c2sp.org/tlog-proof@v1"
	// maxHashes is how many hashes a proof can have: one a bit of maxSize.
	maxHashes = 56
)

// Proof shows offline that an entry is in the log.
type Proof struct {
	// Index is the entry's place in the log.
	Index uint64
	// Entry is the encoded entry, whose hash is the leaf.
	Entry []byte
	// Hashes lead from the leaf to the root, after RFC 6962 section 2.1.1.
	Hashes tlog.RecordProof
	// Checkpoint is the signed checkpoint with that root.
	Checkpoint []byte
}

// FetchProof asks a log for the proof of an entry under its last checkpoint, and
// verifies it under keys, as OpenCheckpoint does. ErrRemoved when the log does not keep the entry any more.
func FetchProof(ctx context.Context, log Log, index uint64, keys ...note.Verifier) (*Proof, *Checkpoint, error) {
	answer, err := log.AuditInclusion(ctx, index, 0)
	if err != nil {
		return nil, nil, err
	}
	checkpoint, err := OpenCheckpoint(answer.Checkpoint, keys...)
	if err != nil {
		return nil, nil, err
	}
	p := &Proof{Index: index, Entry: answer.Entry, Hashes: answer.Hashes, Checkpoint: answer.Checkpoint}
	if len(p.Entry) == 0 {
		return nil, nil, fmt.Errorf("%w: entry %d", ErrRemoved, index)
	}
	if answer.Size != checkpoint.Size {
		// The log grew between the two; a proof under that checkpoint is needed.
		if answer, err = log.AuditInclusion(ctx, index, checkpoint.Size); err != nil {
			return nil, nil, err
		}
		p.Hashes = answer.Hashes
	}
	if checkpoint, err = p.Verify(keys...); err != nil {
		return nil, nil, err
	}
	return p, checkpoint, nil
}

// Verify verifies the proof under the keys of the log, of which one must have
// signed its checkpoint, offline, and returns the checkpoint. Faults wrap ErrCheckpoint or ErrProof.
func (p *Proof) Verify(keys ...note.Verifier) (*Checkpoint, error) {
	checkpoint, err := OpenCheckpoint(p.Checkpoint, keys...)
	if err != nil {
		return nil, err
	}
	if err := CheckInclusion(checkpoint, p.Index, tlog.RecordHash(p.Entry), p.Hashes); err != nil {
		return nil, err
	}
	return checkpoint, nil
}

// Marshal returns the text form after C2SP tlog-proof. The entry is its extra
// data.
func (p *Proof) Marshal() []byte {
	var b bytes.Buffer
	b.WriteString(proofHeader + "\n")
	if len(p.Entry) > 0 {
		b.WriteString("extra " + base64.StdEncoding.EncodeToString(p.Entry) + "\n")
	}
	fmt.Fprintf(&b, "index %d\n", p.Index)
	for _, h := range p.Hashes {
		b.WriteString(base64.StdEncoding.EncodeToString(h[:]) + "\n")
	}
	b.WriteByte('\n')
	b.Write(p.Checkpoint)
	return b.Bytes()
}

// ParseProof reads the text form. It verifies nothing. Faults wrap ErrFormat.
func ParseProof(text []byte) (*Proof, error) {
	bad := func(rule string) (*Proof, error) { return nil, fmt.Errorf("%w: %s", ErrFormat, rule) }
	head, checkpoint, found := strings.Cut(string(text), "\n\n")
	if !found || checkpoint == "" {
		return bad("there is no empty line with a checkpoint behind it")
	}
	lines := strings.Split(head, "\n")
	if lines[0] != proofHeader {
		return bad("the first line is not " + proofHeader)
	}
	lines = lines[1:]
	p := &Proof{Checkpoint: []byte(checkpoint)}
	if len(lines) > 0 && strings.HasPrefix(lines[0], "extra ") {
		entry, err := base64.StdEncoding.Strict().DecodeString(lines[0][len("extra "):])
		if err != nil || len(entry) == 0 {
			return bad("the line extra is not base64")
		}
		p.Entry, lines = entry, lines[1:]
	}
	if len(lines) == 0 || !strings.HasPrefix(lines[0], "index ") {
		return bad("there is no line with the index")
	}
	number := lines[0][len("index "):]
	index, err := strconv.ParseUint(number, 10, 64)
	if err != nil || strconv.FormatUint(index, 10) != number || index >= maxSize {
		return bad("the index is no number, not in its shortest form, or too large")
	}
	p.Index = index
	if lines = lines[1:]; len(lines) > maxHashes {
		return bad(fmt.Sprintf("there are more than %d hashes", maxHashes))
	}
	for i, line := range lines {
		h, err := base64.StdEncoding.Strict().DecodeString(line)
		if err != nil || len(h) != tlog.HashSize {
			return bad(fmt.Sprintf("hash number %d is not the base64 of 32 bytes", i+1))
		}
		p.Hashes = append(p.Hashes, tlog.Hash(h))
	}
	// Decoders of base64 are lenient in ways of their own; one proof has one text.
	if !bytes.Equal(p.Marshal(), text) {
		return bad("a line is not in its only form")
	}
	return p, nil
}
