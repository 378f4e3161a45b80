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

// Value is a value in clear.
type Value struct{ b []byte }

// New wraps b without copying it.
func New(b []byte) Value { return Value{b} }

// Text wraps a copy of s.
func Text(s string) Value { return Value{[]byte(s)} }

// Expose returns the bytes. They must not be logged, formatted or put into an
// error.
func (v Value) Expose() []byte { return v.b }

// Len returns the length in bytes.
func (v Value) Len() int { return len(v.b) }

// Wipe overwrites the bytes with zeros.
func (v Value) Wipe() { clear(v.b) }

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
