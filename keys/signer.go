package keys

import "crypto/ed25519"

// A Signer signs with one version of an Ed25519 keyset: the pure
// Ed25519 of RFC 8032, without a prefix of Tink's, so that public tools verify
// it. It is deterministic and needs no randomness, so no weak one can give the
// key away. It is immutable and safe for concurrent use.
type Signer struct {
	opaque
	version uint16
	key     *ed25519.PrivateKey // behind a pointer for the reason that Secret gives
}

func newSigner(version uint16, seed *[SecretSize]byte) *Signer {
	key := ed25519.NewKeyFromSeed(seed[:])
	return &Signer{version: version, key: &key}
}

// Version returns the version of the keyset that signs.
func (s *Signer) Version() uint16 { return s.version }

// Public returns the public key, 32 bytes.
func (s *Signer) Public() ed25519.PublicKey {
	return append(ed25519.PublicKey(nil), (*s.key)[SecretSize:]...)
}

// Sign returns the signature of message, 64 bytes. The error is always nil.
func (s *Signer) Sign(message []byte) ([]byte, error) {
	return ed25519.Sign(*s.key, message), nil
}
