package tree

import (
	"crypto/ed25519"
	"encoding/base64"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
)

// maxSize bounds the size that a checkpoint may name. Indexes of stored hashes
// are twice that and must fit 63 bits.
const maxSize = 1 << 56

// A Checkpoint is the root of the tree at one size.
type Checkpoint struct {
	// Origin names the log, such as "cloakroom.vault/" and the vault's id.
	Origin string
	// Size is the number of entries covered.
	Size uint64
	// Root is the RFC 6962 hash of the tree of that size.
	Root tlog.Hash
	// Signed is the whole signed note, cosignatures included.
	Signed []byte
	// SignedBy are the keys that were asked for and signed it, as "name+hash".
	SignedBy []string
}

// text is the part of a checkpoint that is signed.
func (c *Checkpoint) text() string {
	return fmt.Sprintf("%s\n%d\n%s\n", c.Origin, c.Size, base64.StdEncoding.EncodeToString(c.Root[:]))
}

// tree is the checkpoint as package tlog has it.
func (c *Checkpoint) tree() tlog.Tree { return tlog.Tree{N: int64(c.Size), Hash: c.Root} }

// OpenCheckpoint verifies a signed checkpoint (C2SP tlog-checkpoint) under the
// keys of a log, of which one must have signed it and whose name must be the
// origin, and reads it. Signatures of others are allowed beside it. Any fault
// is a *CheckpointError.
func OpenCheckpoint(signed []byte, keys ...note.Verifier) (*Checkpoint, error) {
	n, by, err := openSigned(signed, keys)
	if err != nil {
		return nil, &CheckpointError{Rule: err.Error()}
	}
	bad := func(rule string) (*Checkpoint, error) { return nil, &CheckpointError{Rule: rule} }
	lines := strings.Split(n.Text, "\n")
	if len(lines) < 4 {
		return bad("has too few lines")
	}
	size, err := strconv.ParseUint(lines[1], 10, 64)
	if err != nil || strconv.FormatUint(size, 10) != lines[1] || size > maxSize {
		return bad("the size is not a number in its shortest form, or too large")
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return bad("the root is not a hash")
	}
	if lines[0] != n.Sigs[0].Name {
		return bad("is of another log than " + n.Sigs[0].Name)
	}
	return &Checkpoint{Origin: lines[0], Size: size, Root: tlog.Hash(root), Signed: signed, SignedBy: by}, nil
}

// Key signs with Ed25519.
type Key interface {
	// Public returns the public key.
	Public() ed25519.PublicKey
	// Sign returns the 64 bytes of the pure Ed25519 signature of message.
	Sign(message []byte) ([]byte, error)
}

// A Signer signs the checkpoints of one log; it is a note.Signer. Immutable.
type Signer struct {
	key      Key
	vkey     string
	verifier note.Verifier
}

var _ note.Signer = (*Signer)(nil)

// NewSigner returns the signer of the log that origin names. ErrKey when
// origin is empty or holds spaces or a plus sign, or the key is not one.
func NewSigner(origin string, key Key) (*Signer, error) {
	vkey, err := note.NewEd25519VerifierKey(origin, key.Public())
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	verifier, err := NewVerifier(vkey)
	if err != nil {
		return nil, err
	}
	return &Signer{key: key, vkey: vkey, verifier: verifier}, nil
}

// NewVerifier reads a verifier key, the text of a vkey file; ErrKey otherwise.
func NewVerifier(vkey string) (note.Verifier, error) {
	v, err := note.NewVerifier(strings.TrimSuffix(vkey, "\n"))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	return v, nil
}

// Name implements note.Signer; it is the origin.
func (s *Signer) Name() string { return s.verifier.Name() }

// KeyHash implements note.Signer.
func (s *Signer) KeyHash() uint32 { return s.verifier.KeyHash() }

// Sign implements note.Signer.
func (s *Signer) Sign(message []byte) ([]byte, error) { return s.key.Sign(message) }

// ID names the key as "name+hash", as Checkpoint.SignedBy does.
func (s *Signer) ID() string { return keyID(s.Name(), s.KeyHash()) }

// VerifierKey returns the text that NewVerifier reads, without a newline.
func (s *Signer) VerifierKey() string { return s.vkey }
