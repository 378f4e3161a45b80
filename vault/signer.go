package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// auditOrigin names a vault's audit log in checkpoints.
func auditOrigin(vaultID [16]byte) string { return "cloakroom.vault/" + hex.EncodeToString(vaultID[:]) }

// AuditSigners returns the signers of the audit log's checkpoints: that of the
// primary version of the key, and those of the other enabled ones, which sign
// besides so that who knows one of them alone can go on. They stay usable after
// Close, since the log is closed later and then signs its last checkpoint.
func (v *Vault) AuditSigners() ([]*tree.Signer, error) {
	keys := v.ring.Snapshot().Signers(auditSignerKey)
	if len(keys) == 0 {
		return nil, fmt.Errorf("%w: the keyset that signs the audit log is missing", store.ErrCorrupt)
	}
	signers := make([]*tree.Signer, len(keys))
	for i, key := range keys {
		var err error
		if signers[i], err = tree.NewSigner(auditOrigin(v.id), key); err != nil {
			return nil, err
		}
	}
	return signers, nil
}

// AuditSigner returns the first of AuditSigners.
func (v *Vault) AuditSigner() (*tree.Signer, error) {
	signers, err := v.AuditSigners()
	if err != nil {
		return nil, err
	}
	return signers[0], nil
}

// verifierKeys are the keys that verify the audit log, one a line, the primary
// version's first.
func (v *Vault) verifierKeys() (string, error) {
	signers, err := v.AuditSigners()
	if err != nil {
		return "", err
	}
	lines := make([]string, len(signers))
	for i, s := range signers {
		lines[i] = s.VerifierKey()
	}
	return strings.Join(lines, "\n"), nil
}

// signingLog is a log that is published and can change who signs.
type signingLog interface {
	// SetSigners returns when the last checkpoint is signed by all of them, and
	// by nobody else.
	SetSigners(ctx context.Context, signers []*tree.Signer) error
}

// refreshSigners makes a published log follow the key that signs it. Whoever
// changes that keyset calls it when the Ring is saved, before the change is
// acknowledged. The version in use must not be disabled in one step: the last
// checkpoint has to be signed by its successor first, or the log could not be
// published any more should the process die in between. So that is a rotation,
// this, and then the disabling of what is the older version by now.
func (v *Vault) refreshSigners(ctx context.Context) error {
	log, ok := v.log.(signingLog)
	if !ok {
		return nil
	}
	signers, err := v.AuditSigners()
	if err != nil {
		return err
	}
	err = log.SetSigners(ctx, signers)
	if errors.Is(err, audit.ErrNotPublished) {
		return nil // whoever publishes it asks for the signers then
	}
	return err
}
