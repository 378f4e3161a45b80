package fakeserver

import (
	"bytes"
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

// VerifierKey is the key of a log whose checkpoints SignAs signs.
func VerifierKey(tb testing.TB, origin string, seed byte) string {
	tb.Helper()
	_, vkey := auditSigner(tb, origin, seed)
	return vkey
}

// auditSigner makes a key pair that is always the same for a seed.
func auditSigner(tb testing.TB, origin string, seed byte) (signer note.Signer, vkey string) {
	tb.Helper()
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	vkey, err := note.NewEd25519VerifierKey(origin, private.Public().(ed25519.PublicKey))
	if err != nil {
		tb.Fatal(err)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		tb.Fatal(err)
	}
	// The form of a note's private key: its algorithm, then the seed.
	secret := append([]byte{1}, private.Seed()...)
	signer, err = note.NewSigner(fmt.Sprintf("PRIVATE+KEY+%s+%08x+%s", origin, verifier.KeyHash(), base64.StdEncoding.EncodeToString(secret)))
	if err != nil {
		tb.Fatal(err)
	}
	return signer, vkey
}

// SignAs makes checkpoints state an origin and be signed by a key for each seed,
// the one that signs for good first; an honest log has the seed 1. VerifierKey
// stays, and is not what the log answers.
func (l *AuditLog) SignAs(tb testing.TB, origin string, seeds ...byte) {
	tb.Helper()
	signers := make([]signing, len(seeds))
	for i, seed := range seeds {
		signers[i].Signer, signers[i].vkey = auditSigner(tb, origin, seed)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.signers, l.named = signers, nil
}

// NameKeys makes the log say that these keys signed its checkpoints, until the
// next SignAs.
func (l *AuditLog) NameKeys(vkeys ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.named = vkeys
}

// ForgeSignatures makes the signatures of all keys but the last be of another
// text.
func (l *AuditLog) ForgeSignatures() { l.lie(func(s *lies) { s.forge = true }) }

// sign signs a text; the caller holds the lock.
func (l *AuditLog) sign(text string) []byte {
	all := make([]note.Signer, len(l.signers))
	for i, s := range l.signers {
		all[i] = s
		if l.lies.forge && i < len(l.signers)-1 {
			all[i] = forger{s}
		}
	}
	signed, err := note.Sign(&note.Note{Text: text}, all...)
	if err != nil {
		panic(err) // the text is well-formed
	}
	return signed
}

// forger signs something else than it is asked to.
type forger struct{ note.Signer }

// Sign implements note.Signer.
func (f forger) Sign(message []byte) ([]byte, error) {
	return f.Signer.Sign(append([]byte("not "), message...))
}

// verifierKeys are the keys that the log says to have signed; the caller holds
// the lock.
func (l *AuditLog) verifierKeys() []string {
	if l.named != nil {
		return l.named
	}
	keys := make([]string, len(l.signers))
	for i, s := range l.signers {
		keys[i] = s.vkey
	}
	return keys
}
