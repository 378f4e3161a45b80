package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// The format of a blob, its first byte, tells the cipher of the inner lock.
// The two are alike in everything else, their sizes too.
const (
	// formatChaCha: ChaCha20-Poly1305. Setting up a key costs a quarter of
	// what AES-GCM takes, and every person has a key of their own.
	formatChaCha = 1
	// formatGCM: AES-256-GCM by the FIPS module.
	formatGCM = 2

	nonceSize = chacha20poly1305.NonceSize // 12, as in AES-GCM
	tagSize   = chacha20poly1305.Overhead  // 16, as in AES-GCM

	// innerOverhead is what the inner lock adds to the padded value.
	innerOverhead = nonceSize + tagSize
)

// known says whether a blob's first byte names a format.
func known(format byte) bool { return format == formatChaCha || format == formatGCM }

// formatNow returns the format that values are sealed in: in FIPS mode
// (GODEBUG fips140=on or only) the one whose ciphers are approved.
func formatNow() byte {
	if fips140.Enabled() {
		return formatGCM
	}
	return formatChaCha
}

// newInner returns the inner lock of a known format under the person's key.
//
// One key may serve both formats, in a vault that was moved to FIPS mode. The
// ciphers have nothing in common, so what one puts out under a key says
// nothing of what the other does, and associated data names the format.
func newInner(format byte, person *[keys.SecretSize]byte) (cipher.AEAD, error) {
	if format == formatGCM {
		block, err := aes.NewCipher(person[:])
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInner, err)
		}
		aead, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrInner, err)
		}
		return aead, nil
	}
	if fips140.Enforced() {
		return nil, fmt.Errorf("%w: format %d: %w", ErrInner, format, ErrNotFIPS)
	}
	aead, err := chacha20poly1305.New(person[:])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInner, err)
	}
	return aead, nil
}

// sealInner fills buf, which is innerOverhead longer than the padded value,
// with nonce | ciphertext | tag. It encrypts in place: what was the value in
// clear is its ciphertext afterwards.
//
// A random 96-bit nonce is safe here: the key is one person's and seals far
// fewer than 2^32 values in their life.
func sealInner(format byte, aead cipher.AEAD, buf, value, ad []byte) {
	if format == formatGCM {
		// This AEAD draws the nonce itself and puts it before the ciphertext; it
		// takes its text from where its output begins.
		text := pad(buf[:len(buf)-innerOverhead], value)
		aead.Seal(buf[:0], nil, text, ad)
		return
	}
	nonce, text := buf[:nonceSize], pad(buf[nonceSize:len(buf)-tagSize], value)
	_, _ = rand.Read(nonce) // never fails; it ends the program instead
	aead.Seal(text[:0], nonce, text, ad)
}

// openInner appends the padded value to dst.
func openInner(format byte, aead cipher.AEAD, dst, inner, ad []byte) ([]byte, error) {
	if format == formatGCM {
		return aead.Open(dst, nil, inner, ad)
	}
	return aead.Open(dst, inner[:nonceSize], inner[nonceSize:], ad)
}

// pad writes value and its padding over text, which is 1 to 16 bytes longer,
// and returns text.
func pad(text, value []byte) []byte {
	n := copy(text, value)
	text[n] = 0x80
	clear(text[n+1:])
	return text
}
