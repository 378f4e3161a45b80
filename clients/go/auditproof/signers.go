package auditproof

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/mod/sumdb/note"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// maxNamed bounds how many keys that a log names are looked at.
const maxNamed = 16

// NamedKey is a key that a log says to have signed its checkpoint. It is not to
// be trusted for that, and not for its signature either: checkpoints are public,
// and whoever has one can sign it besides.
type NamedKey struct {
	// VerifierKey is its text, in one line; empty when what the log gave is no key
	// under its own name.
	VerifierKey string
	// ID names it as KeyID does; empty without a key.
	ID string
	// Signed says that the checkpoint does have its signature.
	Signed bool
}

// KeyID is the short name of a key, "name+hash", which its text begins with. The
// hash has 32 bits: enough to tell keys apart, not to compare one with another
// that is trusted.
func KeyID(key note.Verifier) string { return keyID(key.Name(), key.KeyHash()) }

func keyID(name string, hash uint32) string { return fmt.Sprintf("%s+%08x", name, hash) }

// openSigned returns the note, as the first key that signed it opens it, and
// which of the keys did; nil when none did. Each is looked for alone, since a
// bad signature of one key is no reason to refuse that of another.
func openSigned(signed []byte, keys []note.Verifier) (n *note.Note, by []string) {
	for _, key := range keys {
		opened, err := note.Open(signed, note.VerifierList(key))
		if err != nil {
			continue
		}
		if n == nil {
			n = opened
		}
		if id := KeyID(key); !slices.Contains(by, id) {
			by = append(by, id)
		}
	}
	return n, by
}

// unsigned is the rule that a note breaks which none of the keys signed. It tells
// which others the note names, so that they can be looked for elsewhere.
func unsigned(signed []byte, keys []note.Verifier) string {
	var wanted, others []string
	for _, key := range keys {
		wanted = append(wanted, KeyID(key))
	}
	rule := "it has no good signature of the key " + strings.Join(wanted, ", nor of ")
	var unverified *note.UnverifiedNoteError
	if _, err := note.Open(signed, note.VerifierList()); !errors.As(err, &unverified) {
		return rule
	}
	for _, s := range unverified.Note.UnverifiedSigs {
		id := keyID(s.Name, s.Hash)
		if len(others) < 3 && !slices.Contains(wanted, id) && !slices.Contains(others, id) {
			others = append(others, id)
		}
	}
	if len(others) == 0 {
		return rule
	}
	return rule + "; it names " + strings.Join(others, " and ") + " instead"
}

// namedKeys are the keys that an answer names, with whether they signed. What is
// no key of the checkpoint's log keeps its place.
func namedKeys(answer cloakroom.AuditCheckpoint, c *Checkpoint) []NamedKey {
	texts := answer.VerifierKeys
	if len(texts) == 0 && answer.VerifierKey != "" {
		texts = []string{answer.VerifierKey}
	}
	var named []NamedKey
	for _, text := range texts[:min(len(texts), maxNamed)] {
		var n NamedKey
		if key, err := NewVerifier(text); err == nil && key.Name() == c.Origin {
			_, err := OpenCheckpoint(c.Signed, key)
			n = NamedKey{VerifierKey: strings.TrimSpace(text), ID: KeyID(key), Signed: err == nil}
		}
		named = append(named, n)
	}
	return named
}
