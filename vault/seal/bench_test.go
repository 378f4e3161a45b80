package seal_test

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

const benchValue = 32

// bareLocks are the two primitives as a program would call them that did
// nothing else: no place, no padding, no keyset.
type bareLocks struct {
	person [32]byte
	gcm    cipher.AEAD
	ad     []byte
	inner  []byte
	out    []byte
}

func newBare(b *testing.B) *bareLocks {
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
		person: *keys.NewSubjectKey().Expose(), gcm: gcm, ad: associated(lockOuter, &place),
		inner: make([]byte, 0, 256), out: make([]byte, 0, 256),
	}
}

func (l *bareLocks) seal(b *testing.B, value []byte) []byte {
	c, err := chacha20poly1305.New(l.person[:])
	if err != nil {
		b.Fatal(err)
	}
	nonce := l.inner[:12]
	_, _ = rand.Read(nonce)
	inner := c.Seal(nonce, nonce, value, l.ad)
	return l.gcm.Seal(l.out[:0], nil, inner, l.ad)
}

func (l *bareLocks) open(b *testing.B, blob []byte) []byte {
	inner, err := l.gcm.Open(l.inner[:0], nil, blob, l.ad)
	if err != nil {
		b.Fatal(err)
	}
	c, err := chacha20poly1305.New(l.person[:])
	if err != nil {
		b.Fatal(err)
	}
	out, err := c.Open(l.out[:0], inner[:12], inner[12:], l.ad)
	if err != nil {
		b.Fatal(err)
	}
	return out
}

func BenchmarkSeal(b *testing.B) {
	value := make([]byte, benchValue)
	b.Run("bare", func(b *testing.B) {
		l := newBare(b)
		b.ReportAllocs()
		for b.Loop() {
			l.seal(b, value)
		}
	})
	lock, person, dst := outer(b), keys.NewSubjectKey(), make([]byte, 0, 256)
	b.Run("real", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal.Seal(dst, lock, person.Expose(), &place, value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("hashed", func(b *testing.B) {
		var hash [32]byte
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal.SealHashed(dst, lock, person.Expose(), &place, value, &hash); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkOpen(b *testing.B) {
	value := make([]byte, benchValue)
	b.Run("bare", func(b *testing.B) {
		l := newBare(b)
		blob := append([]byte(nil), l.seal(b, value)...)
		b.ReportAllocs()
		for b.Loop() {
			l.open(b, blob)
		}
	})
	lock, person, dst := outer(b), keys.NewSubjectKey(), make([]byte, 0, 256)
	blob, err := seal.Seal(nil, lock, person.Expose(), &place, value)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("real", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := seal.Open(dst, lock, person.Expose(), &place, blob); err != nil {
				b.Fatal(err)
			}
		}
	})
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
