package datatype

import (
	"strings"

	"golang.org/x/net/idna"
)

// Limits of RFC 1035, in octets, without the root's dot.
const (
	maxDomain = 253
	maxLabel  = 63
)

// asciiDomain returns a domain name in lower-case ASCII, its labels beyond
// ASCII in Punycode (UTS #46, lookup profile), and whether it is one.
func asciiDomain(s string) (string, bool) {
	if isPlainDomain(s) {
		return s, true
	}
	if runesExceed(s, maxDomain) {
		return "", false
	}
	a, err := idna.Lookup.ToASCII(s)
	if err != nil {
		return "", false
	}
	return a, isHostName(a)
}

// isPlainDomain reports names that the lookup profile returns unchanged: lower
// case, and no label with two hyphens in the third and fourth place, which
// marks encoded labels. They need no tables.
func isPlainDomain(s string) bool {
	if !isHostName(s) {
		return false
	}
	for label := range strings.SplitSeq(s, ".") {
		if len(label) >= 4 && label[2] == '-' && label[3] == '-' {
			return false
		}
	}
	return true
}

// isHostName reports whether s consists of labels of lower-case letters,
// digits and inner hyphens, within the limits.
func isHostName(s string) bool {
	if s == "" || len(s) > maxDomain {
		return false
	}
	start := 0
	for i := 0; i <= len(s); i++ {
		if i < len(s) && s[i] != '.' {
			if b := s[i]; !isDigit(b) && b != '-' && (b < 'a' || b > 'z') {
				return false
			}
			continue
		}
		if n := i - start; n == 0 || n > maxLabel || s[start] == '-' || s[i-1] == '-' {
			return false
		}
		start = i + 1
	}
	return true
}
