package keystest

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// KEK is a keys.KEK in memory. Make it with NewKEK.
type KEK struct {
	fault
	gcm cipher.AEAD
}

// NewKEK returns a KEK with a fresh key.
func NewKEK() *KEK { return &KEK{gcm: freshGCM()} }

// Name implements keys.KEK.
func (*KEK) Name() string { return "memory" }

// Wrap implements keys.KEK.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := k.enter(ctx); err != nil {
		return nil, err
	}
	return k.gcm.Seal(nil, nil, plaintext, aad), nil
}

// Unwrap implements keys.KEK.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := k.enter(ctx); err != nil {
		return nil, err
	}
	return open(k.gcm, blob, aad)
}

// EpochKEK is a keys.EpochKEK in memory. Make it with NewEpochKEK.
type EpochKEK struct {
	fault
	keysMu sync.Mutex
	keys   map[uint32]cipher.AEAD // nil value: destroyed
}

// NewEpochKEK returns an EpochKEK without epochs.
func NewEpochKEK() *EpochKEK { return &EpochKEK{keys: make(map[uint32]cipher.AEAD)} }

// Name implements keys.EpochKEK.
func (*EpochKEK) Name() string { return "memory" }

// Create implements keys.EpochKEK.
func (k *EpochKEK) Create(ctx context.Context, epoch uint32) error {
	if err := k.enter(ctx); err != nil {
		return err
	}
	k.keysMu.Lock()
	defer k.keysMu.Unlock()
	if gcm, ok := k.keys[epoch]; ok {
		if gcm == nil {
			return fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, epoch)
		}
		return fmt.Errorf("%w: epoch %d", keys.ErrExists, epoch)
	}
	k.keys[epoch] = freshGCM()
	return nil
}

// Wrap implements keys.EpochKEK.
func (k *EpochKEK) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	gcm, err := k.find(ctx, epoch)
	if err != nil {
		return nil, err
	}
	return gcm.Seal(nil, nil, plaintext, bindEpoch(epoch, aad)), nil
}

// Unwrap implements keys.EpochKEK.
func (k *EpochKEK) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	gcm, err := k.find(ctx, epoch)
	if err != nil {
		return nil, err
	}
	return open(gcm, blob, bindEpoch(epoch, aad))
}

// Destroy implements keys.EpochKEK.
func (k *EpochKEK) Destroy(ctx context.Context, epoch uint32) error {
	if err := k.enter(ctx); err != nil {
		return err
	}
	k.keysMu.Lock()
	defer k.keysMu.Unlock()
	if _, ok := k.keys[epoch]; !ok {
		return fmt.Errorf("%w: epoch %d", keys.ErrNoKey, epoch)
	}
	k.keys[epoch] = nil
	return nil
}

// Destruction implements keys.EpochKEK.
func (*EpochKEK) Destruction() keys.Destruction {
	return keys.Destruction{How: "the key in memory is forgotten", Certain: true}
}

func (k *EpochKEK) find(ctx context.Context, epoch uint32) (cipher.AEAD, error) {
	if err := k.enter(ctx); err != nil {
		return nil, err
	}
	k.keysMu.Lock()
	defer k.keysMu.Unlock()
	switch gcm, ok := k.keys[epoch]; {
	case !ok:
		return nil, fmt.Errorf("%w: epoch %d", keys.ErrNoKey, epoch)
	case gcm == nil:
		return nil, fmt.Errorf("%w: epoch %d", keys.ErrDestroyed, epoch)
	default:
		return gcm, nil
	}
}

// Storage is a keys.Storage in memory. The zero value is empty.
type Storage struct {
	fault
	rowsMu sync.Mutex
	rows   []keys.Row
}

// NewStorage returns a Storage that holds a copy of rows.
func NewStorage(rows ...keys.Row) *Storage { return &Storage{rows: cloneRows(rows)} }

// Load implements keys.Storage.
func (s *Storage) Load(ctx context.Context) ([]keys.Row, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	s.rowsMu.Lock()
	defer s.rowsMu.Unlock()
	return cloneRows(s.rows), nil
}

// Save implements keys.Storage.
func (s *Storage) Save(ctx context.Context, create []keys.Row, replace []keys.Replace) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	s.rowsMu.Lock()
	defer s.rowsMu.Unlock()
	next := cloneRows(s.rows)
	for _, row := range create {
		if find(next, row.Name) != nil {
			return fmt.Errorf("%w: %s", keys.ErrConflict, row.Name)
		}
		next = append(next, keys.Row{Name: row.Name, Blob: bytes.Clone(row.Blob)})
	}
	for _, rp := range replace {
		row := find(next, rp.Name)
		if row == nil || !bytes.Equal(row.Blob, rp.Old) {
			return fmt.Errorf("%w: %s", keys.ErrConflict, rp.Name)
		}
		row.Blob = bytes.Clone(rp.New)
	}
	s.rows = next
	return nil
}

func find(rows []keys.Row, name string) *keys.Row {
	for i := range rows {
		if rows[i].Name == name {
			return &rows[i]
		}
	}
	return nil
}

func cloneRows(rows []keys.Row) []keys.Row {
	out := make([]keys.Row, len(rows))
	for i, r := range rows {
		out[i] = keys.Row{Name: r.Name, Blob: bytes.Clone(r.Blob)}
	}
	return out
}

func freshGCM() cipher.AEAD {
	var key [32]byte
	_, _ = rand.Read(key[:])
	block, err := aes.NewCipher(key[:])
	if err != nil {
		panic(err) // a 32-byte key is always accepted
	}
	gcm, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic(err) // the standard library's AES block is always accepted
	}
	return gcm
}

func open(gcm cipher.AEAD, blob, aad []byte) ([]byte, error) {
	out, err := gcm.Open(nil, nil, blob, aad)
	if err != nil {
		return nil, keys.ErrWrongKey
	}
	return out, nil
}

func bindEpoch(epoch uint32, aad []byte) []byte {
	return append(binary.BigEndian.AppendUint32(nil, epoch), aad...)
}
