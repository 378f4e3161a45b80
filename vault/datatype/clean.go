package datatype

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// cleaning is how raw input becomes text that a type can read.
type cleaning struct {
	form      norm.Form
	multiline bool // line feeds and tabs may stay; CR LF becomes LF
	code      bool // invisible format characters are dropped
	oneSpace  bool // runs of blanks become one space
}

// clean checks and normalises the characters of in. The result is never empty.
func (c cleaning) clean(in []byte) (string, error) {
	if s, ok := cleanASCII(in); ok {
		if c.oneSpace && strings.Contains(s, "  ") {
			s = strings.Join(strings.Fields(s), " ")
		}
		if s == "" {
			return "", errEmpty()
		}
		return s, nil
	}
	if !utf8.Valid(in) {
		return "", refuse(RuleUTF8, "must be valid UTF-8")
	}
	s := string(in)
	if c.multiline {
		s = strings.ReplaceAll(s, "\r\n", "\n")
	}
	if c.code {
		s = dropInvisible(s)
	}
	// Trimmed first: a blank that a compatibility form brings out (an accent
	// that stands alone becomes one, with a mark) is part of the text.
	s = c.form.String(strings.TrimFunc(s, isBlank))
	for _, r := range s {
		if isForbidden(r) && (!c.multiline || r != '\n' && r != '\t') {
			return "", refuse(RuleControlCharacter, "must not contain control characters or characters that reorder text")
		}
	}
	if c.oneSpace {
		s = strings.Join(strings.Fields(s), " ")
	}
	if s == "" {
		return "", errEmpty()
	}
	return s, nil
}

func errEmpty() error { return refuse(RuleEmpty, "must not be empty or only blanks") }

// cleanASCII is the short way for printable ASCII between ASCII blanks, which
// no normal form changes.
func cleanASCII(in []byte) (string, bool) {
	for len(in) > 0 && isASCIIBlank(in[0]) {
		in = in[1:]
	}
	for len(in) > 0 && isASCIIBlank(in[len(in)-1]) {
		in = in[:len(in)-1]
	}
	for _, b := range in {
		if b < ' ' || b > '~' {
			return "", false
		}
	}
	return string(in), true
}

func isASCIIBlank(b byte) bool {
	return b == ' ' || b == '\t' || b == '\n' || b == '\r' || b == '\v' || b == '\f'
}

// isBlank reports characters that are trimmed from the ends: white space, and
// what stands invisibly at the ends of pasted text (soft hyphen, zero width
// space, direction marks, word joiner, byte order mark).
func isBlank(r rune) bool {
	switch r {
	case 0xAD, 0x200B, 0x200E, 0x200F, 0x2060, 0xFEFF:
		return true
	}
	return unicode.IsSpace(r)
}

// isForbidden reports control characters, line and paragraph separators,
// characters that reorder the text around them (so that it reads as another
// text than it is), and noncharacters.
func isForbidden(r rune) bool {
	switch {
	case r < 0x20, r >= 0x7F && r < 0xA0:
		return true
	case r >= 0x2028 && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
		return true
	case r >= 0xFDD0 && r <= 0xFDEF, r&0xFFFE == 0xFFFE:
		return true
	}
	return false
}

func dropInvisible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Cf, r) {
			return -1
		}
		return r
	}, s)
}

// codeText cleans the types that are codes: numbers, dates, cards and so on.
func codeText(in []byte) (string, error) {
	return cleaning{form: norm.NFKC, code: true}.clean(in)
}
