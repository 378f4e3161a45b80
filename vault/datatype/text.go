package datatype

import (
	"bytes"
	"strings"
	"time"

	"golang.org/x/text/unicode/norm"
)

func canonicalString(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := cleaning{form: norm.NFC, multiline: true}.clean(in)
	if err != nil {
		return nil, err
	}
	return []byte(s), nil
}

// canonicalLine is for names and parts of addresses: one line, in which the
// width of a gap says nothing.
func canonicalLine(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := cleaning{form: norm.NFC, oneSpace: true}.clean(in)
	if err != nil {
		return nil, err
	}
	return []byte(s), nil
}

// canonicalPattern is for text that the policy describes. The length is
// checked first, since matching costs time in proportion to it.
func canonicalPattern(t *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := cleaning{form: norm.NFC}.clean(in)
	if err != nil {
		return nil, err
	}
	if runesExceed(s, t.max) {
		return nil, tooLong(t.max, "characters")
	}
	if !t.pattern.MatchString(s) {
		return nil, refuse(RulePattern, "must match the pattern of the field")
	}
	return []byte(s), nil
}

func canonicalPostalCode(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := cleaning{form: norm.NFKC, code: true, oneSpace: true}.clean(in)
	if err != nil {
		return nil, err
	}
	out := []byte(s)
	for i, b := range out {
		switch {
		case b >= 'a' && b <= 'z':
			out[i] = b - 'a' + 'A'
		case isDigit(b), b >= 'A' && b <= 'Z':
		case (b == ' ' || b == '-') && i > 0 && i < len(out)-1:
		default:
			return nil, refuse(RulePostalCodeSyntax,
				"must consist of letters A to Z and digits, with spaces or hyphens between them")
		}
	}
	if len(out) < 2 {
		return nil, refuse(RulePostalCodeSyntax, "must have at least 2 characters")
	}
	return out, nil
}

// matchPostalCode drops the separators: "SW1A 1AA" and "SW1A1AA" are one code.
func matchPostalCode(canonical []byte) []byte { return without(canonical, " -") }

// matchIdentifier folds and drops the separators that people write into
// identifiers or leave out. What consists of separators alone, which a
// policy's own pattern may allow, stays.
func matchIdentifier(canonical []byte) []byte {
	folded := foldText(canonical)
	m := without(folded, " -./")
	if len(m) == 0 {
		return folded
	}
	// A mark that stood behind a separator may join the letter before it now.
	// That settles in two rounds; the bound is for malformed input.
	for range 8 {
		next := without(foldText(m), " -./")
		if bytes.Equal(next, m) {
			break
		}
		m = next
	}
	return m
}

func without(b []byte, cut string) []byte {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if strings.IndexByte(cut, c) < 0 {
			out = append(out, c)
		}
	}
	return out
}

// runesExceed reports whether s has more than limit code points, without
// reading further than needed.
func runesExceed(s string, limit int) bool {
	if len(s) <= limit {
		return false
	}
	n := 0
	for range s {
		if n++; n > limit {
			return true
		}
	}
	return false
}

func isDigit(b byte) bool { return b >= '0' && b <= '9' }

func isLetter(b byte) bool { return b >= 'a' && b <= 'z' || b >= 'A' && b <= 'Z' }
