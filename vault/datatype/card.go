package datatype

import (
	"time"
	"unicode"
)

// Lengths of a primary account number (ISO/IEC 7812).
const (
	minCard = 12
	maxCard = 19
)

func canonicalCard(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, maxCard)
	for _, r := range s {
		if d, ok := digit(r); ok {
			out = append(out, d)
			continue
		}
		if r != ' ' && !unicode.Is(unicode.Pd, r) {
			return nil, refuse(RuleCardSyntax, "must consist of digits, with spaces or hyphens between them")
		}
	}
	if len(out) < minCard || len(out) > maxCard {
		return nil, refuse(RuleCardLength, "must have 12 to 19 digits")
	}
	if !luhn(out) {
		return nil, refuse(RuleLuhn, "the check digit must be right")
	}
	return out, nil
}

// luhn checks digits with the formula of ISO/IEC 7812-1, annex B.
func luhn(digits []byte) bool {
	sum := 0
	double := false
	for i := len(digits) - 1; i >= 0; i-- {
		d := int(digits[i] - '0')
		if double {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
		double = !double
	}
	return sum%10 == 0
}
