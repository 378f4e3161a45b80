package vault

import (
	"context"
	"errors"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// AuditCheckpoint is the last signed checkpoint of the log.
type AuditCheckpoint struct {
	*tree.Checkpoint
	// VerifierKeys verify it, that which signs for good first. There are several
	// while the key is changed.
	VerifierKeys []string
	VerifierKey  string // the first
}

// InclusionProof proves that the tree of a size holds an entry.
type InclusionProof struct {
	Hashes     tlog.RecordProof
	Size       uint64
	Entry      []byte // encoded; nil when the log does not keep it any more
	Leaf       tlog.Hash
	Checkpoint []byte // signed; its size is at least Size
}

// ConsistencyProof proves that a tree goes on from a smaller one.
type ConsistencyProof struct {
	Hashes tlog.TreeProof
	Newer  uint64
	Root   tlog.Hash // of the tree of size Newer
}

// proving is the tree of a published log with its last checkpoint.
type proving struct {
	*tree.Reader
	last *tree.Checkpoint
}

// beginProof decides, and opens the tree. The look is entered before anything
// is answered.
func (v *Vault) beginProof(ctx context.Context, c Caller, what string) (*proving, error) {
	st, refused, err := v.beginHistory(ctx, c, policy.ActionAuditRead)
	if err != nil {
		return nil, err
	}
	if refused != nil {
		return nil, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionAuditRead, Object: what})
	}
	if err := v.enterHistory(ctx, c, st, audit.Entry{Action: audit.ActionAuditRead, Object: what}); err != nil {
		return nil, err
	}
	if v.history.proof == nil {
		return nil, &Error{Reason: EntryNotFound, Detail: "this vault's audit log is not published"}
	}
	r, err := v.history.proof.Proofs()
	if err != nil {
		return nil, failure(err)
	}
	last, err := r.Checkpoint()
	if errors.Is(err, tree.ErrNoCheckpoint) {
		return nil, &Error{Reason: EntryNotFound, Detail: "there is no checkpoint yet"}
	}
	if err != nil {
		return nil, failure(err)
	}
	return &proving{r, last}, nil
}

// AuditCheckpoint returns the last signed checkpoint of the log, with the
// cosignatures that were added to it.
func (v *Vault) AuditCheckpoint(ctx context.Context, c Caller) (*AuditCheckpoint, error) {
	p, err := v.beginProof(ctx, c, "checkpoint")
	if err != nil {
		return nil, err
	}
	signers, err := v.AuditSigners()
	if err != nil {
		return nil, failure(err)
	}
	out := &AuditCheckpoint{Checkpoint: p.last}
	for _, s := range signers {
		// One that was added just now has not signed it yet.
		if slices.Contains(p.last.SignedBy, s.ID()) {
			out.VerifierKeys = append(out.VerifierKeys, s.VerifierKey())
		}
	}
	if len(out.VerifierKeys) == 0 {
		out.VerifierKeys = []string{signers[0].VerifierKey()}
	}
	out.VerifierKey = out.VerifierKeys[0]
	return out, nil
}

// ProveInclusion proves that the log's tree of a size holds an entry; size 0
// means that of the last checkpoint.
func (v *Vault) ProveInclusion(ctx context.Context, c Caller, at, size uint64) (*InclusionProof, error) {
	p, err := v.beginProof(ctx, c, "inclusion proof")
	if err != nil {
		return nil, err
	}
	if size == 0 {
		size = p.last.Size
	}
	out := &InclusionProof{Size: size, Checkpoint: p.last.Signed}
	if out.Hashes, err = p.Inclusion(at, size); err != nil {
		return nil, proofError(err)
	}
	if out.Leaf, err = p.Leaf(at); err != nil {
		return nil, proofError(err)
	}
	if at < v.history.log.First() {
		return out, nil
	}
	err = v.history.log.At(ctx, []uint64{at}, func(_ uint64, raw []byte) error {
		out.Entry = append([]byte(nil), raw...)
		return nil
	})
	if err != nil {
		return nil, failure(err)
	}
	if out.Entry != nil && tlog.RecordHash(out.Entry) != out.Leaf { // nil: pruned meanwhile
		return nil, fail(DataCorrupt, "")
	}
	return out, nil
}

// ProveConsistency proves that the log's tree of size newer goes on from that
// of size older; newer 0 means that of the last checkpoint.
func (v *Vault) ProveConsistency(ctx context.Context, c Caller, older, newer uint64) (*ConsistencyProof, error) {
	p, err := v.beginProof(ctx, c, "consistency proof")
	if err != nil {
		return nil, err
	}
	if newer == 0 {
		newer = p.last.Size
	}
	if older == 0 || older > newer {
		return nil, refuse(InvalidRequest, "older_size", "must be at least 1 and at most the newer size")
	}
	out := &ConsistencyProof{Newer: newer}
	if out.Hashes, err = p.Consistency(older, newer); err != nil {
		return nil, proofError(err)
	}
	if out.Root, err = p.Root(newer); err != nil {
		return nil, proofError(err)
	}
	return out, nil
}

func proofError(err error) error {
	if errors.Is(err, tree.ErrRange) {
		return &Error{Reason: EntryNotFound, Detail: "the last checkpoint does not cover that"}
	}
	return failure(err)
}

// ExportAuditRequest asks for encoded entries [From, To); To 0 means up to the
// last checkpoint, or the end of a log that is not published. Entries that
// the log keeps no more are left out.
type ExportAuditRequest struct{ From, To uint64 }

// ExportAudit calls fn for encoded entries, in the order of the log. raw is
// valid until fn returns.
func (v *Vault) ExportAudit(ctx context.Context, c Caller, q ExportAuditRequest, fn func(index uint64, raw []byte) error) error {
	st, refused, err := v.beginHistory(ctx, c, policy.ActionAuditRead)
	if err != nil {
		return err
	}
	to := q.To
	if refused == nil {
		size := v.history.log.Size()
		if to == 0 {
			to = size
			if v.history.proof != nil {
				if last, _ := v.history.proof.Published(); last != nil {
					to = last.Size
				}
			}
		}
		switch {
		case to > size:
			refused = refuse(InvalidRequest, "to_index", "is past the end of the log")
		case q.From > to:
			refused = refuse(InvalidRequest, "from_index", "is past to_index")
		}
	}
	if refused != nil {
		return v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionAuditRead, Object: "export"})
	}
	if err := v.enterHistory(ctx, c, st, audit.Entry{Action: audit.ActionAuditRead, Object: "export"}); err != nil {
		return err
	}
	var own error
	err = v.history.read(ctx, q.From, to, func(i uint64, raw []byte) error {
		if i%recheckEvery == 0 {
			if own = v.stillMay(ctx, c, policy.ActionAuditRead, "export"); own != nil {
				return own
			}
		}
		own = fn(i, raw)
		return own
	})
	if own != nil {
		return own
	}
	if err != nil {
		return failure(err)
	}
	return nil
}
