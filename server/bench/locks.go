package bench

import (
	"context"
	"crypto/rand"
	"fmt"
	"path/filepath"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

// valueSize is the length of the values that are measured, in bytes: 24, with
// the time of a cell two blocks of 16 after padding, as a card number takes.
const valueSize = 24

// measureLocks compares sealing and opening a value with the bare two AEADs.
func measureLocks(ctx context.Context, o Options) ([]Result, error) {
	ring, err := newRing(ctx, o.Dir)
	if err != nil {
		return nil, err
	}
	defer ring.Close()
	outer := ring.Snapshot().Field(1)
	bare, err := newBareLocks(1, 32)
	if err != nil {
		return nil, err
	}
	var person [32]byte
	if _, err := rand.Read(person[:]); err != nil {
		return nil, err
	}
	place := seal.Place{Collection: 1, Ref: 1, Field: 1, Item: 1, KeyGeneration: 1}
	value := make([]byte, valueSize)
	blob, err := seal.Seal(nil, outer, &person, &place, value)
	if err != nil {
		return nil, err
	}
	var sealing, opening pairs
	dst := make([]byte, 0, 512)
	for range o.Rounds {
		sealed := each(200_000, func() { _, err = seal.Seal(dst, outer, &person, &place, value) })
		bareSealed := each(200_000, func() { bare.seal(dst, 0, value) })
		opened := each(200_000, func() { _, err = seal.Open(dst, outer, &person, &place, blob) })
		if err != nil {
			return nil, err
		}
		bareOpened := each(200_000, func() { _, err = bare.open(dst, 0) })
		if err != nil {
			return nil, err
		}
		sealing.add(sealed, bareSealed)
		opening.add(opened, bareOpened)
	}
	return []Result{
		sealing.result("seal a value / two AEADs", "ns", "<= 1.3"),
		opening.result("open a value / two AEADs", "ns", "<= 1.3"),
	}, nil
}

// newRing makes a key ring with the keyset of field 1, in memory.
func newRing(ctx context.Context, dir string) (*keys.Ring, error) {
	path := filepath.Join(dir, "locks.key")
	if err := filekek.Generate(path); err != nil {
		return nil, err
	}
	kek, err := filekek.Open(path)
	if err != nil {
		return nil, err
	}
	ring, err := keys.Create(ctx, &memory{rows: make(map[string][]byte)}, kek, [16]byte{1})
	if err != nil {
		return nil, err
	}
	return ring, ring.Ensure(ctx, keys.ID{Kind: keys.KindField, Number: 1})
}

// memory keeps the rows of a ring.
type memory struct {
	mu   sync.Mutex
	rows map[string][]byte
}

// Load implements keys.Storage.
func (m *memory) Load(context.Context) ([]keys.Row, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var out []keys.Row
	for name, blob := range m.rows {
		out = append(out, keys.Row{Name: name, Blob: blob})
	}
	return out, nil
}

// Save implements keys.Storage.
func (m *memory) Save(_ context.Context, create []keys.Row, replace []keys.Replace) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, r := range create {
		if _, ok := m.rows[r.Name]; ok {
			return fmt.Errorf("bench: %w", keys.ErrConflict)
		}
		m.rows[r.Name] = r.Blob
	}
	for _, r := range replace {
		m.rows[r.Name] = r.New
	}
	return nil
}
