package datatype

import (
	"bytes"
	"unicode/utf8"
)

// Names of the masks; the package documentation says what each keeps.
const (
	maskFull     = "full"
	maskFirst1   = "first1"
	maskFirst2   = "first2"
	maskLast2    = "last2"
	maskLast4    = "last4"
	maskEmail    = "email"
	maskPhone    = "phone"
	maskCard     = "card"
	maskIBAN     = "iban"
	maskInitials = "initials"
	maskYear     = "year"
	maskNetwork  = "network"
	maskDegrees  = "degrees"
	maskOrigin   = "origin"
)

// stars is the hidden part. Its length is fixed, so that it says nothing.
const stars = "***"

// maskFunc appends the masked form of canonical and true, or dst unchanged
// and false when canonical has not the shape that the mask is made for.
type maskFunc func(dst, canonical []byte) ([]byte, bool)

func maskOf(name string) maskFunc {
	switch name {
	case maskFirst1:
		return func(dst, c []byte) ([]byte, bool) { return appendFirst(dst, c, 1) }
	case maskFirst2:
		return func(dst, c []byte) ([]byte, bool) { return appendFirst(dst, c, 2) }
	case maskLast2:
		return func(dst, c []byte) ([]byte, bool) { return appendLast(dst, c, 2) }
	case maskLast4:
		return func(dst, c []byte) ([]byte, bool) { return appendLast(dst, c, 4) }
	case maskEmail:
		return appendEmailMask
	case maskPhone:
		return appendPhoneMask
	case maskCard:
		return appendCardMask
	case maskIBAN:
		return appendIBANMask
	case maskInitials:
		return appendInitials
	case maskYear:
		return appendYear
	case maskNetwork:
		return appendNetwork
	case maskDegrees:
		return appendDegreesMask
	case maskOrigin:
		return appendOrigin
	}
	return func(dst, _ []byte) ([]byte, bool) { return dst, false }
}

// appendMask falls back to the full mask for what mask does not take, and for
// a result in which the value itself stands.
func appendMask(dst, canonical []byte, mask maskFunc) []byte {
	start := len(dst)
	out, ok := mask(dst, canonical)
	if ok && (len(canonical) == 0 || !bytes.Contains(out[start:], canonical)) {
		return out
	}
	out = append(out[:start], stars...)
	if string(canonical) == stars { // somebody stored a mask
		out = append(out, '*')
	}
	return out
}

func appendFirst(dst, c []byte, n int) ([]byte, bool) {
	if !halfHidden(c, n) {
		return dst, false
	}
	end := 0
	for range n {
		_, size := utf8.DecodeRune(c[end:])
		end += size
	}
	return append(append(dst, c[:end]...), stars...), true
}

func appendLast(dst, c []byte, n int) ([]byte, bool) {
	if !halfHidden(c, n) {
		return dst, false
	}
	start := len(c)
	for range n {
		_, size := utf8.DecodeLastRune(c[:start])
		start -= size
	}
	return append(append(dst, stars...), c[start:]...), true
}

// halfHidden reports whether n characters are at most half of c.
func halfHidden(c []byte, n int) bool { return utf8.Valid(c) && 2*n <= utf8.RuneCount(c) }
