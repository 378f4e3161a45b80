package bench

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/fips140"
	"crypto/rand"
	"fmt"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/cloakroom-vault/cloakroom/server/demo"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// each times n calls of f and returns nanoseconds a call.
func each(n int, f func()) float64 {
	begun := time.Now()
	for range n {
		f()
	}
	return float64(time.Since(begun).Nanoseconds()) / float64(n)
}

// measureMicro times a decision, in this process.
func measureMicro(o Options) ([]Result, error) {
	file, err := policy.Parse(demo.Policy())
	if err != nil {
		return nil, err
	}
	registry, err := file.Register(nil)
	if err != nil {
		return nil, err
	}
	p, err := policy.Compile(file, registry, 1)
	if err != nil {
		return nil, err
	}
	billing := p.Principal("spiffe://cloakroom.example/billing")
	request := policy.Request{
		Action: policy.ActionReveal, Field: p.FieldByName("customers", "card_pan").ID,
		Purpose: p.Purpose("payment").ID, View: policy.ViewPlain, Domain: policy.DefaultDomain,
	}
	var rounds []float64
	for range o.Rounds {
		rounds = append(rounds, each(1_000_000, func() {
			if !p.Decide(billing, request).Allowed {
				panic("bench: the example policy refuses billing")
			}
		}))
	}
	return []Result{{
		Name: "decision", Figure: fmt.Sprintf("%.1f ns", median(rounds)), Goal: "< 100 ns",
	}}, nil
}

// bareLocks are the two AEADs of a value without anything around them.
type bareLocks struct {
	outer  cipher.AEAD
	people [][32]byte
	blobs  [][]byte
	ad     []byte
	inner  []byte // scratch, so that nothing but the locks is measured
}

// newBareLocks seals a value of size bytes for each of n persons.
func newBareLocks(n, size int) (*bareLocks, error) {
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	b := &bareLocks{people: make([][32]byte, n), blobs: make([][]byte, n), ad: make([]byte, placeSize)}
	if b.outer, err = cipher.NewGCMWithRandomNonce(block); err != nil {
		return nil, err
	}
	value := make([]byte, size)
	for i := range b.people {
		if _, err := rand.Read(b.people[i][:]); err != nil {
			return nil, err
		}
		b.blobs[i] = b.seal(nil, i, value)
	}
	return b, nil
}

// placeSize is about the length of the associated data of a value.
const placeSize = 50

// lock sets up the lock of person i: the one that package seal takes in the
// mode of this process.
func (b *bareLocks) lock(i int) (cipher.AEAD, error) {
	if !fips140.Enabled() {
		return chacha20poly1305.New(b.people[i][:])
	}
	block, err := aes.NewCipher(b.people[i][:])
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// seal seals a value of person i onto dst.
func (b *bareLocks) seal(dst []byte, i int, value []byte) []byte {
	inner, err := b.lock(i)
	if err != nil {
		panic(err) // the key has the right length
	}
	if cap(b.inner) < inner.NonceSize() {
		b.inner = make([]byte, 256)
	}
	nonce := b.inner[:inner.NonceSize()] // empty where the lock draws it itself
	_, _ = rand.Read(nonce)              // never fails: it ends the program instead
	b.inner = inner.Seal(nonce, nonce, value, b.ad)
	return b.outer.Seal(dst, nil, b.inner, b.ad)
}

// open opens the value of person i into dst.
func (b *bareLocks) open(dst []byte, i int) ([]byte, error) {
	inner, err := b.outer.Open(b.inner[:0], nil, b.blobs[i], b.ad)
	if err != nil {
		return nil, err
	}
	b.inner = inner
	aead, err := b.lock(i)
	if err != nil {
		return nil, err
	}
	n := aead.NonceSize()
	return aead.Open(dst, inner[:n], inner[n:], b.ad)
}

// unwrap opens what stands for a wrapped person's key.
func (b *bareLocks) unwrap(dst []byte, i int) ([]byte, error) {
	return b.outer.Open(dst, nil, b.blobs[i], b.ad)
}
