package cloakroom

import (
	"context"

	"golang.org/x/mod/sumdb/tlog"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// What these calls answer is what the vault says. Package auditproof verifies
// it.

// AuditCheckpoint is a signed statement about the whole log at one size.
type AuditCheckpoint struct {
	// Signed is the signed note, after C2SP tlog-checkpoint.
	Signed []byte
	// VerifierKey is the key that verifies it, after golang.org/x/mod/sumdb/note,
	// as the vault says. Who verifies keeps it from a first, trusted time.
	VerifierKey string
	// VerifierKeys are all keys that signed it, VerifierKey first: more than one
	// while the signing key is being changed.
	VerifierKeys []string
	// Size is the number of entries that it covers.
	Size uint64
}

// AuditInclusion is a proof that the log's tree holds an entry.
type AuditInclusion struct {
	// Index is the entry's place in the log.
	Index uint64
	// Size is the tree's size.
	Size uint64
	// Hashes is the proof, after RFC 6962 section 2.1.1.
	Hashes tlog.RecordProof
	// Entry is the encoded entry; nil when the log's retention has removed it.
	Entry []byte
	// LeafHash is the hash of the entry as a leaf.
	LeafHash tlog.Hash
	// Checkpoint is the last signed checkpoint; it covers at least Size entries.
	Checkpoint []byte
}

// AuditConsistency is a proof that the tree of one size goes on from that of a
// smaller one.
type AuditConsistency struct {
	// OlderSize and NewerSize are the sizes.
	OlderSize, NewerSize uint64
	// Hashes is the proof, after RFC 6962 section 2.1.2.
	Hashes tlog.TreeProof
	// NewerRoot is the root of the larger tree.
	NewerRoot tlog.Hash
}

// AuditCheckpoint returns the last checkpoint of the log.
func (c *Client) AuditCheckpoint(ctx context.Context) (AuditCheckpoint, error) {
	answer, err := invoke(ctx, c, idempotent, c.audit.GetCheckpoint, &cloakroomv1.GetCheckpointRequest{})
	if err != nil {
		return AuditCheckpoint{}, err
	}
	return AuditCheckpoint{Signed: answer.GetCheckpoint(), VerifierKey: answer.GetVerifierKey(), VerifierKeys: answer.GetVerifierKeys(), Size: answer.GetSize()}, nil
}

// AuditInclusion asks for the proof that the tree of a size, 0 for that of the
// last checkpoint, holds an entry. ErrEntryNotFound when the checkpoint does
// not cover it.
func (c *Client) AuditInclusion(ctx context.Context, index, size uint64) (AuditInclusion, error) {
	answer, err := invoke(ctx, c, idempotent, c.audit.GetInclusionProof,
		cloakroomv1.GetInclusionProofRequest_builder{Index: index, Size: size}.Build())
	if err != nil {
		return AuditInclusion{}, err
	}
	proof := AuditInclusion{Index: index, Size: answer.GetSize(), Checkpoint: answer.GetCheckpoint()}
	if data := answer.GetEntry(); len(data) > 0 {
		proof.Entry = data
	}
	if proof.Hashes, err = hashesFrom(answer.GetHashes()); err != nil {
		return AuditInclusion{}, err
	}
	if proof.LeafHash, err = hashFrom(answer.GetLeafHash()); err != nil {
		return AuditInclusion{}, err
	}
	if size != 0 && proof.Size != size {
		return AuditInclusion{}, brokenContract("the server answered a proof of another size")
	}
	return proof, nil
}

// AuditConsistency asks for the proof that the tree of a size, 0 for that of the
// last checkpoint, goes on from that of a smaller one, of at least 1.
func (c *Client) AuditConsistency(ctx context.Context, older, newer uint64) (AuditConsistency, error) {
	answer, err := invoke(ctx, c, idempotent, c.audit.GetConsistencyProof,
		cloakroomv1.GetConsistencyProofRequest_builder{OlderSize: older, NewerSize: newer}.Build())
	if err != nil {
		return AuditConsistency{}, err
	}
	proof := AuditConsistency{OlderSize: older, NewerSize: answer.GetNewerSize()}
	if proof.Hashes, err = hashesFrom(answer.GetHashes()); err != nil {
		return AuditConsistency{}, err
	}
	if proof.NewerRoot, err = hashFrom(answer.GetNewerRoot()); err != nil {
		return AuditConsistency{}, err
	}
	if newer != 0 && proof.NewerSize != newer {
		return AuditConsistency{}, brokenContract("the server answered a proof of another size")
	}
	return proof, nil
}

func hashesFrom(list [][]byte) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(list))
	for i, b := range list {
		h, err := hashFrom(b)
		if err != nil {
			return nil, err
		}
		hashes[i] = h
	}
	return hashes, nil
}

func hashFrom(b []byte) (tlog.Hash, error) {
	if len(b) != tlog.HashSize {
		return tlog.Hash{}, brokenContract("the server answered a hash that is not of 32 bytes")
	}
	return tlog.Hash(b), nil
}
