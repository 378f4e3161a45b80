package cloakroom

import (
	"bytes"
	"fmt"
	"log/slog"
)

// redacted is what every printed form of a Value reads.
const redacted = "[redacted]"

// Value is a value in clear: UTF-8 text, or bytes for fields of type "bytes".
// It prints, logs and marshals as "[redacted]". The zero Value holds nothing.
//
// The content is behind two pointers because fmt does not call methods on
// unexported fields of other structs: there it prints what it can reach, and
// for a verb that does not fit it follows one pointer, but never two.
type Value struct {
	_   [0]func() // Comparing addresses with == would mislead; see Equal.
	ref **content
}

type content struct {
	text   string
	data   []byte
	binary bool
}

// Text makes a Value of every type but "bytes": numbers, dates and coordinates
// in the text forms of the field's type, such as "1977-12-19".
func Text(s string) Value { return newValue(&content{text: s}) }

// Bytes makes a Value of type "bytes". It keeps b without copying it.
func Bytes(b []byte) Value { return newValue(&content{data: b, binary: true}) }

func newValue(c *content) Value { return Value{ref: &c} }

// Texts makes one Value of each text.
func Texts(texts ...string) []Value {
	values := make([]Value, len(texts))
	for i, s := range texts {
		values[i] = Text(s)
	}
	return values
}

// IsZero says whether v holds nothing. An empty text is something.
func (v Value) IsZero() bool { return v.ref == nil }

// IsBytes says whether v was made from bytes.
func (v Value) IsBytes() bool { return v.ref != nil && (*v.ref).binary }

// Len returns the length in bytes.
func (v Value) Len() int {
	if v.ref == nil {
		return 0
	}
	return len((*v.ref).text) + len((*v.ref).data)
}

// ExposeText returns the value as text. It must not be logged or put into an
// error.
func (v Value) ExposeText() string {
	switch {
	case v.ref == nil:
		return ""
	case (*v.ref).binary:
		return string((*v.ref).data)
	}
	return (*v.ref).text
}

// ExposeBytes returns the value as bytes, for a Value of type "bytes" without
// copying. They must not be logged or put into an error.
func (v Value) ExposeBytes() []byte {
	switch {
	case v.ref == nil:
		return nil
	case (*v.ref).binary:
		return (*v.ref).data
	}
	return []byte((*v.ref).text)
}

// Equal says whether both hold the same content of the same kind. It takes a
// time that depends on the content.
func (v Value) Equal(w Value) bool {
	if v.ref == nil || w.ref == nil {
		return v.ref == w.ref
	}
	a, b := *v.ref, *w.ref
	return a.binary == b.binary && a.text == b.text && bytes.Equal(a.data, b.data)
}

// String implements fmt.Stringer.
func (Value) String() string { return redacted }

// GoString implements fmt.GoStringer.
func (Value) GoString() string { return redacted }

// Format implements fmt.Formatter: every verb prints the same.
func (Value) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// LogValue implements slog.LogValuer.
func (Value) LogValue() slog.Value { return slog.StringValue(redacted) }

// MarshalText implements encoding.TextMarshaler, which covers JSON and YAML.
func (Value) MarshalText() ([]byte, error) { return []byte(redacted), nil }
