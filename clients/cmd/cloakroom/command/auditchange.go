package command

import (
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
)

// newKeyJSON is a key of the log that is not trusted.
type newKeyJSON struct {
	VerifierKey string `json:"verifier_key"`
	// Signed says that the checkpoint has its signature, too. That is no reason
	// to trust it.
	Signed bool `json:"signed"`
}

// newKey returns the key that the log names as the one that signs for good, when
// that is another than the trusted one; nil otherwise.
func (t *trust) newKey(report *auditproof.Report) *newKeyJSON {
	if len(report.Named) == 0 || report.Named[0].ID == auditproof.KeyID(t.key) {
		return nil
	}
	first := report.Named[0]
	return &newKeyJSON{first.VerifierKey, first.Signed}
}

// warnNewKey says that the trusted key may soon stop to sign. The other one is
// not taken over, however well it signs: nothing that the trusted key signed
// names it, and a signature can be added to any checkpoint.
func (a *app) warnNewKey(t *trust, report *auditproof.Report) {
	other := t.newKey(report)
	switch {
	case other == nil:
	case t.kept.hasOlder(report.Named[0].ID):
		fmt.Fprintf(a.Stderr, `WARNING: the vault says that an older key signs the log for good, and not the one
WARNING: that took its place. It is not trusted again for that:
WARNING:   %s
`, printable(other.VerifierKey))
	case other.Signed:
		fmt.Fprintf(a.Stderr, `WARNING: the log is signed by a new key, too, and the trusted one, %s,
WARNING: may soon stop to sign. Anybody can add a signature, so the new one is not
WARNING: trusted for it. Compare it with the file tlog/vkey in the audit folder of
WARNING: the vault, or copy that file from there, and give it with --vkey once:
WARNING:   %s
`, auditproof.KeyID(t.key), printable(other.VerifierKey))
	case other.VerifierKey == "":
		fmt.Fprintln(a.Stderr, "WARNING: the vault says that something signs the log which is no key of it")
	default:
		fmt.Fprintf(a.Stderr, `WARNING: the vault says that another key signs the log, and it did not:
WARNING:   %s
`, printable(other.VerifierKey))
	}
}

// hasOlder says whether a key is one that another took the place of.
func (k *kept) hasOlder(id string) bool {
	if k == nil {
		return false
	}
	for _, older := range k.older {
		if auditproof.KeyID(older) == id {
			return true
		}
	}
	return false
}

// auditHint returns what to do when the log is not what it should be.
func auditHint(err error) string {
	var call *vaultError
	online := errors.As(err, &call)
	switch {
	case errors.Is(err, auditproof.ErrCheckpoint) && online:
		return "if the key of the log was changed on purpose, copy the new one from the file tlog/vkey in the audit folder of the vault, and give it with --vkey once; if not, somebody else answers or signs"
	case errors.Is(err, auditproof.ErrRolledBack), errors.Is(err, auditproof.ErrRewritten):
		return "the checkpoint that was kept is evidence: keep its file, and compare with copies of the log"
	case errors.Is(err, auditproof.ErrEntry), errors.Is(err, auditproof.ErrIncomplete), errors.Is(err, auditproof.ErrProof) && online:
		return "run 'cloakroomd audit verify' on the vault's machine, and compare with copies of the log"
	case errors.Is(err, auditproof.ErrRemoved):
		return "proofs of old entries must be made before the log's retention removes them"
	}
	return ""
}
