package keys

import (
	"crypto/rand"
	"fmt"
	"log/slog"
)

// SecretSize is the length of a Secret in bytes.
const SecretSize = 32

// redacted is what every printed form of key material reads.
const redacted = "[redacted]"

// opaque gives the type that embeds it printed forms which show nothing.
type opaque struct{}

// String implements fmt.Stringer.
func (opaque) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (opaque) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints the same.
func (opaque) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (opaque) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, which covers JSON and YAML.
func (opaque) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// Secret is 32 bytes of key material that no printed form shows. The bytes
// are behind a pointer, so that a struct which holds a Secret in an
// unexported field prints an address and not the bytes; copies of a Secret
// share them. The zero Secret holds no key.
type Secret struct {
	opaque
	b *[SecretSize]byte
}

// NewSubjectKey returns the fresh random key of a person.
func NewSubjectKey() Secret {
	b := new([SecretSize]byte)
	_, _ = rand.Read(b[:]) // crypto/rand.Read never fails; it ends the program instead
	return Secret{b: b}
}

// CopySecret returns a Secret that holds a copy of b.
func CopySecret(b *[SecretSize]byte) Secret {
	c := *b
	return Secret{b: &c}
}

// Expose returns the bytes themselves, nil for the zero Secret. They must not
// be logged, formatted or put into an error.
func (s Secret) Expose() *[SecretSize]byte { return s.b }

// Wipe overwrites the bytes with zeros, in every copy of the Secret. Nobody
// may be using them.
func (s Secret) Wipe() {
	if s.b != nil {
		clear(s.b[:])
	}
}
