package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

const benchValue = 32

// bareLocks are the two primitives as a program would call them that did
// nothing else: no place, no padding, no keyset.
type bareLocks struct {
	format byte
	person [32]byte
	gcm    cipher.AEAD
	ad     []byte
	inner  []byte
	out    []byte
}

func newBare(b *testing.B, format byte) *bareLocks {
	var key [32]byte
	_, _ = rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		b.Fatal(err)
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		b.Fatal(err)
	}
	return &bareLocks{
		format: format, person: *keys.NewSubjectKey().Expose(), gcm: gcm, ad: associated(format, lockOuter, &place),
		inner: make([]byte, 0, 256), out: make([]byte, 0, 256),
	}
}

// lock is the person's lock: the key is another one at every call, so setting
// it up counts.
func (l *bareLocks) lock(b *testing.B) (c cipher.AEAD) {
	var err error
	if l.format == chachaFormat {
		c, err = chacha20poly1305.New(l.person[:])
	} else if block, e := aes.NewCipher(l.person[:]); e != nil {
		err = e
	} else {
		c, err = cipher.NewGCMWithRandomNonce(block)
	}
	if err != nil {
		b.Fatal(err)
	}
	return c
}

func (l *bareLocks) seal(b *testing.B, value []byte) []byte {
	c := l.lock(b)
	nonce := l.inner[:c.NonceSize()]
	_, _ = rand.Read(nonce)
	inner := c.Seal(nonce, nonce, value, l.ad)
	return l.gcm.Seal(l.out[:0], nil, inner, l.ad)
}

func (l *bareLocks) open(b *testing.B, blob []byte) []byte {
	inner, err := l.gcm.Open(l.inner[:0], nil, blob, l.ad)
	if err != nil {
		b.Fatal(err)
	}
	c := l.lock(b)
	n := c.NonceSize()
	out, err := c.Open(l.out[:0], inner[:n], inner[n:], l.ad)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func BenchmarkSeal(b *testing.B) {
	value := make([]byte, benchValue)
	lock, person, dst := outer(b), keys.NewSubjectKey(), make([]byte, 0, 256)
	for _, format := range usable() {
		b.Run(fmt.Sprintf("format=%d/bare", format), func(b *testing.B) {
			l := newBare(b, format)
			b.ReportAllocs()
			for b.Loop() {
				l.seal(b, value)
			}
		})
		for name, hash := range map[string]*[sha256.Size]byte{"real": nil, "hashed": new([sha256.Size]byte)} {
			b.Run(fmt.Sprintf("format=%d/%s", format, name), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := seal.SealAs(format, dst, lock, person.Expose(), &place, value, hash); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	value := make([]byte, benchValue)
	lock, person, dst := outer(b), keys.NewSubjectKey(), make([]byte, 0, 256)
	for _, format := range usable() {
		b.Run(fmt.Sprintf("format=%d/bare", format), func(b *testing.B) {
			l := newBare(b, format)
			blob := append([]byte(nil), l.seal(b, value)...)
			b.ReportAllocs()
			for b.Loop() {
				l.open(b, blob)
			}
		})
		blob := sealed(b, format, lock, person, &place, value)
		b.Run(fmt.Sprintf("format=%d/real", format), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := seal.Open(dst, lock, person.Expose(), &place, blob); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRewrap(b *testing.B) {
	lock, dst := outer(b), make([]byte, 0, 256)
	blob, err := seal.Seal(nil, lock, keys.NewSubjectKey().Expose(), &place, make([]byte, benchValue))
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := seal.Rewrap(dst, lock, lock, &place, blob); err != nil {
			b.Fatal(err)
		}
	}
}
