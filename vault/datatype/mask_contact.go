package datatype

import (
	"bytes"
	"unicode"
	"unicode/utf8"
)

// appendEmailMask: j***@e***.org.
func appendEmailMask(dst, c []byte) ([]byte, bool) {
	at := bytes.LastIndexByte(c, '@')
	if at < 1 || !utf8.Valid(c) || !isHostName(string(c[at+1:])) {
		return dst, false
	}
	domain := c[at+1:]
	dot := bytes.LastIndexByte(domain, '.')
	if dot < 1 {
		return dst, false
	}
	_, size := utf8.DecodeRune(c)
	dst = append(append(dst, c[:size]...), stars...)
	dst = append(append(dst, '@', domain[0]), stars...)
	return append(dst, domain[dot:]...), true
}

// appendPhoneMask: +49 *** 47. Of a number with fewer than five digits behind
// the country code the last two are hidden as well.
func appendPhoneMask(dst, c []byte) ([]byte, bool) {
	if len(c) < 2 || len(c) > maxPhone || c[0] != '+' || !allDigits(string(c[1:])) {
		return dst, false
	}
	code := countryCodeLength(c[1:])
	if code == 0 {
		return dst, false
	}
	dst = append(append(append(dst, c[:1+code]...), ' '), stars...)
	if national := c[1+code:]; len(national) >= 5 {
		dst = append(append(dst, ' '), national[len(national)-2:]...)
	}
	return dst, true
}

// countryCodeLength returns how many of the digits of an E.164 number are its
// country code, or 0. The code is prefix-free: zones 1 and 7 have one digit,
// the listed pairs are codes of two, all others have three (ITU-T E.164,
// annex).
func countryCodeLength(digits []byte) int {
	switch {
	case len(digits) < 4 || digits[0] == '0':
		return 0
	case digits[0] == '1' || digits[0] == '7':
		return 1
	}
	const two = "20 27 30 31 32 33 34 36 39 40 41 43 44 45 46 47 48 49 51 52 53 54 55 56 57 58 " +
		"60 61 62 63 64 65 66 81 82 84 86 90 91 92 93 94 95 98"
	for i := 0; i < len(two); i += 3 {
		if two[i] == digits[0] && two[i+1] == digits[1] {
			return 2
		}
	}
	return 3
}

// appendInitials: "J. D." of a name of several words, "J*" of one word. An
// initial takes the combining marks that belong to it with it, two at most.
func appendInitials(dst, c []byte) ([]byte, bool) {
	if !utf8.Valid(c) {
		return dst, false
	}
	var first, last []byte
	letters, words := 0, 0
	for word := range bytes.FieldsSeq(c) {
		initial, n := initialOf(word)
		if n == 0 {
			continue // a word of digits or punctuation
		}
		if words == 0 {
			first = initial
		}
		last = initial
		words++
		letters += n
	}
	if shown := min(words, 2); shown == 0 || 2*shown > letters {
		return dst, false
	}
	dst = append(dst, first...)
	if words == 1 {
		return append(dst, '*'), true
	}
	dst = append(append(dst, ". "...), last...)
	return append(dst, '.'), true
}

// initialOf returns the first letter of word and the number of its letters.
func initialOf(word []byte) (initial []byte, letters int) {
	marks := -1 // not behind the first letter
	for i := 0; i < len(word); {
		r, size := utf8.DecodeRune(word[i:])
		switch {
		case unicode.IsLetter(r):
			if letters == 0 {
				initial, marks = word[i:i+size], 0
			} else {
				marks = -1
			}
			letters++
		case marks >= 0 && marks < 2 && unicode.IsMark(r):
			initial = initial[:len(initial)+size]
			marks++
		default:
			marks = -1
		}
		i += size
	}
	return initial, letters
}
