package datatype

import (
	"strings"
	"time"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// Limits of RFC 5321, in octets.
const (
	maxEmail = 254
	maxLocal = 64
)

// canonicalEmail reads one addr-spec: a dot-atom, "@", a domain name. There is
// no dot or plus game: only the mailbox's provider knows what those mean.
// Quoted local parts, comments, display names and address literals are
// refused; in real data they are mistakes.
func canonicalEmail(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := cleaning{form: norm.NFKC}.clean(in)
	if err != nil {
		return nil, err
	}
	// No addr-spec of more characters has an ASCII form of so few octets, and
	// encoding a domain name costs time in the square of its length.
	if runesExceed(s, maxEmail) {
		return nil, errEmailLength()
	}
	s = lower(s)
	at := strings.LastIndexByte(s, '@')
	if at < 0 {
		return nil, refuse(RuleEmailSyntax, "must have the form name@domain")
	}
	local, domain := s[:at], s[at+1:]
	if !isDotAtom(local) {
		return nil, refuse(RuleEmailSyntax,
			"the part before the @ must be letters, digits and !#$%&'*+/=?^_`{|}~- with single dots between them")
	}
	if len(local) > maxLocal {
		return nil, refuse(RuleTooLong, "the part before the @ must be at most 64 octets long")
	}
	domain, ok := asciiDomain(domain)
	if !ok {
		return nil, refuse(RuleEmailDomain, "the part after the @ must be a domain name")
	}
	if dot := strings.LastIndexByte(domain, '.'); dot < 0 || isDigit(domain[dot+1]) && allDigits(domain[dot+1:]) {
		return nil, refuse(RuleEmailDomain, "the domain must have a dot and a top-level name that is no number")
	}
	if len(local)+1+len(domain) > maxEmail {
		return nil, errEmailLength()
	}
	out := make([]byte, 0, len(local)+1+len(domain))
	return append(append(append(out, local...), '@'), domain...), nil
}

func errEmailLength() error { return refuse(RuleTooLong, "must be at most 254 octets long") }

// lower returns the lower case of s in NFKC, stable under another round.
func lower(s string) string {
	for {
		next := norm.NFKC.String(strings.ToLower(s))
		if next == s {
			return s
		}
		s = next
	}
}

// isDotAtom reports whether s is a dot-atom of RFC 5322, with the printable
// characters beyond ASCII that RFC 6531 adds.
func isDotAtom(s string) bool {
	dot := true // no dot at the start
	for _, r := range s {
		switch {
		case r == '.':
			if dot {
				return false
			}
			dot = true
			continue
		case r < 0x80:
			if !isLetter(byte(r)) && !isDigit(byte(r)) && !strings.ContainsRune("!#$%&'*+/=?^_`{|}~-", r) {
				return false
			}
		case !unicode.IsPrint(r), dot && unicode.IsMark(r):
			return false
		}
		dot = false
	}
	return !dot
}

func allDigits(s string) bool {
	for i := range len(s) {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != ""
}
