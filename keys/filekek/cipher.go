package filekek

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const (
	formatBlob       = 1
	blobHeader       = 1 + len(fingerprint{})
	fingerprintLabel = "cloakroom/filekek/fingerprint/v1"
	maxPlaintext     = 4096
)

// fingerprint tells keys apart for people and for error messages.
type fingerprint [4]byte

func (f fingerprint) String() string { return fmt.Sprintf("%x", f[:]) }

func fingerprintOf(key *[keys.SecretSize]byte) fingerprint {
	sum := sha256.Sum256(append([]byte(fingerprintLabel), key[:]...))
	return fingerprint(sum[:])
}

// fileCipher seals blobs under one key. Random nonces are safe here: a KEK
// wraps a root, an epoch key wraps an epoch, a handful of messages in all.
type fileCipher struct {
	print fingerprint
	gcm   cipher.AEAD
}

func newCipher(key *[keys.SecretSize]byte) (*fileCipher, error) {
	block, err := aes.NewCipher(key[:])
	if err != nil {
		return nil, err
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &fileCipher{fingerprintOf(key), gcm}, nil
}

// wrap binds the blob to aad, which starts with what the blob is of.
func (c *fileCipher) wrap(plaintext, aad []byte) ([]byte, error) {
	if len(plaintext) > maxPlaintext {
		return nil, fmt.Errorf("%w: a plaintext of %d bytes, want at most %d", keys.ErrUsage, len(plaintext), maxPlaintext)
	}
	blob := append([]byte{formatBlob}, c.print[:]...)
	return c.gcm.Seal(blob, nil, plaintext, append(blob[:blobHeader:blobHeader], aad...)), nil
}

func (c *fileCipher) unwrap(blob, aad []byte) ([]byte, error) {
	if len(blob) < blobHeader || blob[0] != formatBlob {
		return nil, fmt.Errorf("%w: not a blob of a key file", keys.ErrFormat)
	}
	if f := fingerprint(blob[1:blobHeader]); f != c.print {
		return nil, fmt.Errorf("%w: wrapped by the key with fingerprint %s, this one has %s", keys.ErrWrongKey, f, c.print)
	}
	out, err := c.gcm.Open(nil, nil, blob[blobHeader:], append(blob[:blobHeader:blobHeader], aad...))
	if err != nil {
		return nil, fmt.Errorf("%w: key with fingerprint %s", keys.ErrWrongKey, c.print)
	}
	return out, nil
}
