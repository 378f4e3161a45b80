package seal_test

import (
	"crypto/rand"
	"encoding/binary"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

const (
	lockOuter = 1
	lockInner = 2
)

// associated writes the associated data as the package comment draws it,
// without the package's own encoder, so that the two hold each other.
func associated(lock byte, p *seal.Place) []byte {
	out := append([]byte{1, lock}, p.Vault[:]...)
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

// byHand puts any padded text under both locks, as the package comment draws
// them: the inner one bound to p, the outer one to place.
func byHand(t *testing.T, outer *keys.AEAD, person *[32]byte, p *seal.Place, innerLock byte, padded []byte) []byte {
	t.Helper()
	c, err := chacha20poly1305.New(person[:])
	if err != nil {
		t.Fatal(err)
	}
	inner := make([]byte, chacha20poly1305.NonceSize, 256)
	_, _ = rand.Read(inner)
	inner = c.Seal(inner, inner, padded, associated(innerLock, p))
	return outer.Seal([]byte{1}, inner, associated(lockOuter, &place))
}

// What is written by hand from the package comment opens: the comment is true.
func TestFormatIsAsDocumented(t *testing.T) {
	lock, person := outer(t), keys.NewSubjectKey()
	blob := byHand(t, lock, person.Expose(), &place, lockInner, append([]byte("0123456789"), 0x80, 0, 0, 0, 0, 0))
	got, err := seal.Open(nil, lock, person.Expose(), &place, blob)
	if err != nil || string(got) != "0123456789" {
		t.Errorf("opened to %d bytes, %v", len(got), err)
	}
}
