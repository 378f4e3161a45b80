package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

const (
	lockOuter = 1
	lockInner = 2

	chachaFormat = 1
	gcmFormat    = 2
)

// usable lists the formats that this process may open.
func usable() []byte {
	if fips140.Enforced() {
		return []byte{gcmFormat}
	}
	return []byte{chachaFormat, gcmFormat}
}

// eachFormat runs a test in every format that this process may open.
func eachFormat(t *testing.T, run func(t *testing.T, format byte)) {
	for _, f := range usable() {
		t.Run(fmt.Sprintf("format %d", f), func(t *testing.T) { run(t, f) })
	}
}

// sealed seals a value in a format of the test's choice.
func sealed(t testing.TB, format byte, lock *keys.AEAD, person keys.Secret, p *seal.Place, value []byte) []byte {
	t.Helper()
	blob, err := seal.SealAs(format, nil, lock, person.Expose(), p, value, nil)
	if err != nil {
		t.Fatal(err)
	}
	return blob
}

// associated writes the associated data as the package comment draws it,
// without the package's own encoder, so that the two hold each other.
func associated(format, lock byte, p *seal.Place) []byte {
	out := append([]byte{format, lock}, p.Vault[:]...)
	out = binary.BigEndian.AppendUint16(out, p.Collection)
	out = binary.BigEndian.AppendUint64(out, p.Ref)
	out = binary.BigEndian.AppendUint32(out, p.Field)
	out = binary.BigEndian.AppendUint16(out, p.Item)
	return binary.BigEndian.AppendUint32(out, p.KeyGeneration)
}

// moveByte changes one bit in byte at (0 to 35) of an encoded place.
func moveByte(p *seal.Place, at int) {
	switch {
	case at < 16:
		p.Vault[at] ^= 1
	case at < 18:
		p.Collection ^= 1 << (8 * (17 - at))
	case at < 26:
		p.Ref ^= 1 << (8 * (25 - at))
	case at < 30:
		p.Field ^= 1 << (8 * (29 - at))
	case at < 32:
		p.Item ^= 1 << (8 * (31 - at))
	default:
		p.KeyGeneration ^= 1 << (8 * (35 - at))
	}
}

// innerByHand puts any padded text under the person's lock, as the package
// comment draws it.
func innerByHand(t testing.TB, format byte, person *[32]byte, padded, ad []byte) []byte {
	t.Helper()
	if format == gcmFormat {
		block, err := aes.NewCipher(person[:])
		if err != nil {
			t.Fatal(err)
		}
		gcm, err := cipher.NewGCMWithRandomNonce(block)
		if err != nil {
			t.Fatal(err)
		}
		return gcm.Seal(nil, nil, padded, ad)
	}
	c, err := chacha20poly1305.New(person[:])
	if err != nil {
		t.Fatal(err)
	}
	nonce := make([]byte, chacha20poly1305.NonceSize, 256)
	_, _ = rand.Read(nonce)
	return c.Seal(nonce, nonce, padded, ad)
}

// byHand puts any padded text under both locks: the inner one bound to p, the
// outer one to place.
func byHand(t testing.TB, format byte, outer *keys.AEAD, person *[32]byte, p *seal.Place, innerLock byte, padded []byte) []byte {
	t.Helper()
	inner := innerByHand(t, format, person, padded, associated(format, innerLock, p))
	return outer.Seal([]byte{format}, inner, associated(format, lockOuter, &place))
}

// What is written by hand from the package comment opens: the comment is true.
func TestFormatIsAsDocumented(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock, person := outer(t), keys.NewSubjectKey()
		blob := byHand(t, format, lock, person.Expose(), &place, lockInner, append([]byte("0123456789"), 0x80, 0, 0, 0, 0, 0))
		got, err := seal.Open(nil, lock, person.Expose(), &place, blob)
		if err != nil || string(got) != "0123456789" {
			t.Errorf("opened to %d bytes, %v", len(got), err)
		}
	})
}
