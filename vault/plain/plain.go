// Package plain holds values in clear while they pass through the vault.
//
// A Value prints, formats, logs and marshals as "[redacted]", so that no
// message, log line or error can carry one by accident. The bytes are read by
// one method, Expose, so that searching for it lists every reader.
package plain

import (
	"fmt"
	"log/slog"
)

// Redacted is what every printed form of a Value reads.
const Redacted = "[redacted]"

// Value is a value in clear. The zero Value holds nothing.
//
// The bytes are behind two pointers, because fmt does not call methods on
// unexported fields of other structs: there it prints what it can reach, and
// for a verb that does not fit it follows one pointer, but never two.
type Value struct{ ref **[]byte }

// holder keeps both steps of the indirection in one allocation.
type holder struct {
	bytes []byte
	ref   *[]byte
}

// New wraps b without copying it.
func New(b []byte) Value {
	h := &holder{bytes: b}
	h.ref = &h.bytes
	return Value{&h.ref}
}

// Text wraps a copy of s.
func Text(s string) Value { return New([]byte(s)) }

// Expose returns the bytes. They must not be logged, formatted or put into an
// error.
func (v Value) Expose() []byte {
	if v.ref == nil {
		return nil
	}
	return **v.ref
}

// Len returns the length in bytes.
func (v Value) Len() int { return len(v.Expose()) }

// Wipe overwrites the bytes with zeros.
func (v Value) Wipe() { clear(v.Expose()) }

// String implements fmt.Stringer.
func (Value) String() string { return Redacted }

// GoString implements fmt.GoStringer.
func (Value) GoString() string { return Redacted }

// Format implements fmt.Formatter: every verb prints the same.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(Redacted)) }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText implements encoding.TextMarshaler, which covers JSON and YAML.
func (Value) MarshalText() ([]byte, error) { return []byte(Redacted), nil }
