package keys

import (
	"context"
	"time"
)

// A KEK wraps the root of a vault. It lives outside the vault: a file, a
// cloud key service, a hardware module. It is asked once at start and never
// on the data path. Every provider passes keystest.RunKEK. Implementations
// are safe for concurrent use.
type KEK interface {
	// Name says which key this is, for people: at most 255 bytes, no secret.
	Name() string

	// Wrap enciphers plaintext (0 to 4,096 bytes) and binds it to aad, which is
	// not stored in the result and may be visible to the provider. Wrapping
	// twice gives different results. Errors: ErrDenied, ErrAway, ErrNoKey,
	// ErrDestroyed, ErrDisabled, or the context's.
	Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error)

	// Unwrap opens what Wrap returned, given the same aad. Errors: those of
	// Wrap; ErrWrongKey when a byte of blob or aad differs or the key is
	// another one; a blob that no version of this provider wrote may be
	// ErrFormat instead. The result belongs to the caller, who clears it.
	Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error)
}

// An EpochKEK holds the keys that wrap the epoch keys, one for each epoch. It
// never stands under the root and is in no backup: what it destroyed cannot
// be had back from any copy of the vault, which is what makes an erasure
// reach old copies. Every provider passes keystest.RunEpochKEK.
// Implementations are safe for concurrent use.
type EpochKEK interface {
	// Name says which provider this is, for people: at most 255 bytes.
	Name() string

	// Create makes the key of an epoch; it is durable when Create returns nil.
	// A number is used once: ErrExists when the epoch has a key, ErrDestroyed
	// when it had one. Other errors: ErrDenied, ErrAway, or the context's.
	Create(ctx context.Context, epoch uint32) error

	// Wrap is KEK.Wrap under the key of an epoch. ErrNoKey when the epoch never
	// had a key here (or it was lost), ErrDestroyed after Destroy.
	Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error)

	// Unwrap is KEK.Unwrap under the key of an epoch, with the errors of Wrap.
	Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error)

	// Destroy makes the key of an epoch unusable for ever. It may be repeated,
	// and must be repeated when it returned an error: nil is the only proof.
	// ErrNoKey when the epoch never had a key here.
	Destroy(ctx context.Context, epoch uint32) error

	// Destruction says what a Destroy that returned nil is worth. It asks
	// nobody and is always the same.
	Destruction() Destruction
}

// Destruction says how a provider destroys the key of an epoch, for people and
// for the receipts of erasures.
type Destruction struct {
	// How is one line for people: what is done, and which copies it does not
	// reach. At most 255 bytes.
	How string
	// Delay is how long after Destroy the provider could still bring the key
	// back, for somebody with the right to. 0: it cannot from the answer on.
	Delay time.Duration
	// Certain is whether the provider answers for it that no copy is left after
	// the delay. Where it is false, only who keeps the copies that How names can
	// say when the last is gone.
	Certain bool
}
