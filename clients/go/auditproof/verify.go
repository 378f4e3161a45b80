package auditproof

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// Log is what answers about a log; *cloakroom.Client is one. Its answers are not
// trusted.
type Log interface {
	// AuditCheckpoint returns the last checkpoint.
	AuditCheckpoint(ctx context.Context) (cloakroom.AuditCheckpoint, error)
	// AuditInclusion returns the proof that the tree of a size, 0 for that of the
	// last checkpoint, holds an entry.
	AuditInclusion(ctx context.Context, index, size uint64) (cloakroom.AuditInclusion, error)
	// AuditConsistency returns the proof that the tree of one size goes on from
	// that of a smaller one.
	AuditConsistency(ctx context.Context, older, newer uint64) (cloakroom.AuditConsistency, error)
	// ExportAudit gives the encoded entries [from, to), without those that the
	// log's retention has removed.
	ExportAudit(ctx context.Context, from, to uint64) iter.Seq2[cloakroom.EncodedEntry, error]
}

var _ Log = (*cloakroom.Client)(nil)

// Options change what VerifyLog does. The zero value is usable.
type Options struct {
	// Earlier is a checkpoint that was kept from an earlier time; nil for none.
	Earlier *Checkpoint
	// Progress is called now and then with the number of entries verified, and
	// how many there are.
	Progress func(done, total uint64)
}

// Report is what VerifyLog saw of a log that holds.
type Report struct {
	// Checkpoint is the one verified. Keep it for the next time.
	Checkpoint *Checkpoint
	// FirstIndex is the first entry that was read: those before it were removed
	// by the log's retention, and only their hashes are verified.
	FirstIndex uint64
	// Entries is how many were read.
	Entries uint64
	// Named are the keys that the log says to have signed the checkpoint, at most
	// 16: the one that signs for good, then those that will stop to. Another first
	// one than the key asked with means that the key is being changed; where to
	// learn whether it was changed on purpose is not here.
	Named []NamedKey
}

// VerifyLog fetches the last checkpoint and every entry that the log still keeps
// below it, and verifies all of it under key. The first fault ends it; faults
// wrap the errors of this package. Other errors are those of the calls.
func VerifyLog(ctx context.Context, log Log, key note.Verifier, o Options) (*Report, error) {
	answer, err := log.AuditCheckpoint(ctx)
	if err != nil {
		return nil, err
	}
	last, err := OpenCheckpoint(answer.Signed, key)
	if err != nil {
		return nil, err
	}
	v := &verification{log: log, last: last, progress: o.Progress}
	if o.Earlier != nil {
		if err := v.continues(ctx, o.Earlier); err != nil {
			return nil, err
		}
	}
	report := &Report{Checkpoint: last, Named: namedKeys(answer, last)}
	if last.Size == 0 {
		return report, v.emptyRoot()
	}
	s, err := v.scan(ctx, edge{}, last.Size)
	if err != nil {
		return nil, err
	}
	if s.end.root() != last.Root {
		return nil, v.locate(ctx, s)
	}
	report.FirstIndex, report.Entries = s.marks[0].size, last.Size-s.marks[0].size
	return report, nil
}

// verification is one run of VerifyLog.
type verification struct {
	log      Log
	last     *Checkpoint
	progress func(done, total uint64)
}

// continues demands that the log goes on from an earlier checkpoint.
func (v *verification) continues(ctx context.Context, earlier *Checkpoint) error {
	var proof tlog.TreeProof
	if earlier.Origin == v.last.Origin && 0 < earlier.Size && earlier.Size < v.last.Size {
		answer, err := v.log.AuditConsistency(ctx, earlier.Size, v.last.Size)
		if err != nil {
			return refused(err, ErrRewritten, fmt.Sprintf("the vault does not prove that its first %d entries are those that it had", earlier.Size))
		}
		proof = answer.Hashes
	}
	return CheckConsistency(earlier, v.last, proof)
}

// emptyRoot checks the root of a log without entries.
func (v *verification) emptyRoot() error {
	root, err := tlog.TreeHash(0, nil)
	if err == nil && root != v.last.Root {
		err = fmt.Errorf("%w: it has no entries and the root of a tree that has", ErrCheckpoint)
	}
	return err
}

// maxMarks bounds the marks of a scan: some 2 MiB.
const maxMarks = 1024

// scan is what was computed from a run of entries.
type scan struct {
	marks []edge // rising in size; the first is where the scan began, known to be right
	end   edge
}

// scan reads the entries from where start ends to before to, and adds them to
// it. A log that begins later begins with the entries that it keeps, after the
// hashes of those that it does not.
func (v *verification) scan(ctx context.Context, start edge, to uint64) (*scan, error) {
	s, stride := &scan{marks: []edge{start.clone()}, end: start.clone()}, uint64(1)
	for entry, err := range v.log.ExportAudit(ctx, start.size, to) {
		if err != nil {
			return nil, refused(err, ErrIncomplete, fmt.Sprintf("the vault does not give entry %d", s.end.size))
		}
		leaf := tlog.RecordHash(entry.Data)
		switch {
		case entry.Index >= to || entry.Index < s.end.size:
			return nil, fmt.Errorf("%w: entry %d came where %d was due", ErrIncomplete, entry.Index, s.end.size)
		case entry.Index > s.end.size && s.end.size == 0:
			before, err := v.before(ctx, entry.Index)
			if err != nil {
				return nil, err
			}
			s.marks, s.end = []edge{before.clone()}, *before
		case entry.Index > s.end.size:
			return nil, fmt.Errorf("%w: entry %d is missing", ErrIncomplete, s.end.size)
		}
		s.end.add(leaf)
		if s.end.size%4096 == 0 && v.progress != nil {
			v.progress(s.end.size, v.last.Size)
		}
		if s.end.size-s.marks[len(s.marks)-1].size >= stride && s.end.size < to {
			s.marks = append(s.marks, s.end.clone())
		}
		if len(s.marks) == maxMarks {
			s.marks, stride = thin(s.marks), stride*2
		}
	}
	if s.end.size < to {
		return nil, fmt.Errorf("%w: it ends before entry %d, and the checkpoint covers %d entries", ErrIncomplete, s.end.size, v.last.Size)
	}
	return s, nil
}

// thin removes every second mark, and keeps the first.
func thin(marks []edge) []edge {
	kept := marks[:0]
	for i, m := range marks {
		if i%2 == 0 {
			kept = append(kept, m)
		}
	}
	return kept
}

// before returns the edge of the entries before an index, as the checkpoint
// covers them.
func (v *verification) before(ctx context.Context, index uint64) (*edge, error) {
	answer, err := v.log.AuditInclusion(ctx, index, v.last.Size)
	if err != nil {
		return nil, refused(err, ErrProof, fmt.Sprintf("the vault does not prove entry %d", index))
	}
	if err := CheckInclusion(v.last, index, answer.LeafHash, answer.Hashes); err != nil {
		return nil, err
	}
	left := leftOf(index, v.last.Size, answer.Hashes)
	return &left, nil
}

// refused turns a vault's "there is no such entry", where there must be one,
// into a fault. Other errors stay what they are.
func refused(err, fault error, what string) error {
	if errors.Is(err, cloakroom.ErrEntryNotFound) {
		return fmt.Errorf("%w: %s", fault, what)
	}
	return err
}
