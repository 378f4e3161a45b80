package vault

import (
	"encoding/hex"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// auditOrigin names a vault's audit log in checkpoints.
func auditOrigin(vaultID [16]byte) string { return "cloakroom.vault/" + hex.EncodeToString(vaultID[:]) }

// AuditSigner returns the signer of the audit log's checkpoints. It stays
// usable after Close, since the log is closed later and then signs its last
// checkpoint.
func (v *Vault) AuditSigner() (*tree.Signer, error) {
	key := v.ring.Snapshot().Signer(auditSignerKey)
	if key == nil {
		return nil, fmt.Errorf("%w: the keyset that signs the audit log is missing", store.ErrCorrupt)
	}
	return tree.NewSigner(auditOrigin(v.id), key)
}
