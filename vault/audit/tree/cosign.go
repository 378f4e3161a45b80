package tree

import (
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

const (
	// cosignatureType is the signature type of C2SP tlog-cosignature v1.
	cosignatureType = 4
	// maxSignatures bounds the lines of one checkpoint; package note reads 100.
	maxSignatures = 64
)

// witness verifies the cosignatures of one witness: an Ed25519 signature over
// a time and the checkpoint.
type witness struct {
	name string
	hash uint32
	key  ed25519.PublicKey
}

// NewWitness reads the verifier key of a witness (C2SP tlog-cosignature v1,
// type 4); ErrKey otherwise.
func NewWitness(vkey string) (note.Verifier, error) {
	bad := func(rule string) (note.Verifier, error) { return nil, fmt.Errorf("%w: witness: %s", ErrKey, rule) }
	name, rest, ok := strings.Cut(strings.TrimSuffix(vkey, "\n"), "+")
	digits, data, ok2 := strings.Cut(rest, "+")
	if !ok || !ok2 || name == "" || strings.ContainsAny(name, " \n\t") {
		return bad("not of the form name+hash+key")
	}
	key, err := base64.StdEncoding.Strict().DecodeString(data)
	if err != nil || len(key) != 1+ed25519.PublicKeySize || key[0] != cosignatureType {
		return bad("not an Ed25519 key for cosignatures")
	}
	sum := sha256.Sum256(append([]byte(name+"\n"), key...))
	hash := binary.BigEndian.Uint32(sum[:])
	if given, err := strconv.ParseUint(digits, 16, 32); err != nil || len(digits) != 8 || uint32(given) != hash {
		return bad("the hash is not that of name and key")
	}
	return &witness{name, hash, key[1:]}, nil
}

// Name implements note.Verifier.
func (w *witness) Name() string { return w.name }

// KeyHash implements note.Verifier.
func (w *witness) KeyHash() uint32 { return w.hash }

// Verify implements note.Verifier.
func (w *witness) Verify(msg, sig []byte) bool {
	if len(sig) != 8+ed25519.SignatureSize {
		return false
	}
	seconds := binary.BigEndian.Uint64(sig)
	signed := fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", seconds, msg)
	return ed25519.Verify(w.key, signed, sig[8:])
}

// AddCosignatures adds the cosignatures on a signed note to the checkpoint in
// dir, which must have the same text, and keeps those it has. It returns how
// many were added. Only cosignatures of the given witnesses are, each witness
// once; ErrCosignature when there is none, or the checkpoint is another one by
// now. They stay until the next checkpoint. The tree may be in use.
func AddCosignatures(dir string, cosigned []byte, witnesses ...note.Verifier) (added int, err error) {
	d := folder(filepath.Clean(dir))
	release, err := d.lock()
	if err != nil {
		return 0, err
	}
	defer release()
	stored, err := d.optional(checkpointName)
	if err != nil {
		return 0, err
	}
	if stored == nil {
		return 0, ErrNoCheckpoint
	}
	n, err := note.Open(cosigned, note.VerifierList(witnesses...))
	if err != nil {
		return 0, fmt.Errorf("%w: no known witness signed the note", ErrCosignature)
	}
	text, lines, ok := strings.Cut(string(stored), "\n\n")
	if !ok || text+"\n" != n.Text {
		return 0, fmt.Errorf("%w: the note is of another checkpoint", ErrCosignature)
	}
	// A note holds a signature of one key once; a later one takes its place.
	for _, s := range n.Sigs {
		lines = withoutSignature(lines, s) + "— " + s.Name + " " + s.Base64 + "\n"
	}
	if strings.Count(lines, "\n") > maxSignatures {
		return 0, fmt.Errorf("%w: the checkpoint would have more than %d signatures", ErrCosignature, maxSignatures)
	}
	return len(n.Sigs), d.replace(checkpointName, []byte(text+"\n\n"+lines))
}

// withoutSignature returns the signature lines but those of the key of s.
func withoutSignature(lines string, s note.Signature) string {
	var out strings.Builder
	for line := range strings.Lines(lines) {
		sig, ok := strings.CutPrefix(line, "— "+s.Name+" ")
		raw, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(sig, "\n"))
		if ok && err == nil && len(raw) >= 4 && binary.BigEndian.Uint32(raw) == s.Hash {
			continue
		}
		out.WriteString(line)
	}
	return out.String()
}
