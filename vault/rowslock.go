package vault

import (
	"sync/atomic"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// rowsLock is the lock of rows for who was given one when the vault was opened
// and uses it for as long: it seals under the version that is the primary now,
// and opens what any enabled version sealed.
type rowsLock struct {
	ring *keys.Ring
	last atomic.Pointer[keys.AEAD] // for what an engine writes while the ring is closing
}

// lock returns the keyset as it is, or as it was last.
func (r *rowsLock) lock() *keys.AEAD {
	if now := r.ring.Snapshot().Rows(); now != nil {
		if r.last.Load() != now {
			r.last.Store(now)
		}
		return now
	}
	return r.last.Load()
}

// Seal implements Sealer.
func (r *rowsLock) Seal(dst, plaintext, associatedData []byte) []byte {
	return r.lock().Seal(dst, plaintext, associatedData)
}

// Open implements Sealer. ErrNoKey when there was never a keyset.
func (r *rowsLock) Open(dst, ciphertext, associatedData []byte) ([]byte, error) {
	lock := r.lock()
	if lock == nil {
		return dst, keys.ErrNoKey
	}
	return lock.Open(dst, ciphertext, associatedData)
}
