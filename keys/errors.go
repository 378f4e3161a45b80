package keys

import "errors"

// Errors of this package and of every key provider. Callers tell them apart
// with errors.Is. No error of this package holds key bytes or plaintext.
var (
	// ErrDenied: the provider is there and refuses this caller. Trying again
	// does not help; the vault must stop using the key at once.
	ErrDenied = errors.New("use of the key is denied")
	// ErrAway: the provider could not be reached or did not answer in time. The
	// call may be tried again.
	ErrAway = errors.New("key provider is away")
	// ErrWrongKey: the bytes do not open. They were changed, or belong to another
	// key, or were made with other associated data; cryptography cannot tell
	// which.
	ErrWrongKey = errors.New("does not open: wrong key, wrong place, or changed bytes")
	// ErrNoKey: there is no such key, and nothing says that there ever was.
	ErrNoKey = errors.New("no such key")
	// ErrDestroyed: the key existed and was destroyed on purpose.
	ErrDestroyed = errors.New("key is destroyed")
	// ErrDisabled: the key exists and was disabled on purpose.
	ErrDisabled = errors.New("key is disabled")
	// ErrExists: what was to be created is there already; nothing was changed.
	ErrExists = errors.New("key exists already")
	// ErrFormat: the bytes are not of a form that this version writes.
	ErrFormat = errors.New("unknown or damaged key format")
	// ErrConflict: a Storage row was not as the Save expected; nothing was
	// changed.
	ErrConflict = errors.New("stored key row changed meanwhile")
	// ErrUsage: the call breaks a rule of this package; nothing was done.
	ErrUsage = errors.New("keys used wrongly")
	// ErrClosed: the Ring was closed.
	ErrClosed = errors.New("key ring is closed")
	// ErrSealed: the Ring was sealed and holds no root; Unseal opens it again.
	ErrSealed = errors.New("key ring is sealed")
)
