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

// Secret is 32 bytes of key material that no printed form shows. Copies of a
// Secret share the bytes. The zero Secret holds no key.
//
// The bytes are behind two pointers. Package fmt cannot call the methods of an
// unexported field, but prints what it points to, one pointer deep; so a
// struct that holds a Secret in such a field prints an address.
type Secret struct {
	opaque
	b **[SecretSize]byte
}

func newSecret() Secret {
	box := &struct {
		p *[SecretSize]byte
		v [SecretSize]byte
	}{}
	box.p = &box.v
	return Secret{b: &box.p}
}

// NewSubjectKey returns the fresh random key of a person.
func NewSubjectKey() Secret {
	s := newSecret()
	_, _ = rand.Read(s.Expose()[:]) // crypto/rand.Read never fails; it ends the program instead
	return s
}

// CopySecret returns a Secret that holds a copy of b.
func CopySecret(b *[SecretSize]byte) Secret {
	s := newSecret()
	*s.Expose() = *b
	return s
}

// Expose returns the bytes themselves, nil for the zero Secret. They must not
// be logged, formatted or put into an error.
func (s Secret) Expose() *[SecretSize]byte {
	if s.b == nil {
		return nil
	}
	return *s.b
}

// Wipe overwrites the bytes with zeros, in every copy of the Secret. Nobody
// may be using them.
func (s Secret) Wipe() {
	if b := s.Expose(); b != nil {
		clear(b[:])
	}
}
