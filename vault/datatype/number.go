package datatype

import (
	"strconv"
	"strings"
	"time"
)

// maxDecimalDigits is what databases and Decimal128 formats can carry (38),
// leading zeros and trailing zeros after the point not counted.
const maxDecimalDigits = 38

func canonicalInteger(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	if !allDigits(unsigned(s)) {
		return nil, refuse(RuleIntegerSyntax, "must be a whole number in digits, with at most one sign")
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		return nil, refuse(RuleIntegerOutOfRange, "must fit in a signed number of 64 bits")
	}
	return strconv.AppendInt(nil, n, 10), nil
}

// canonicalDecimal drops the plus sign, leading zeros, trailing zeros after
// the point, and the sign of zero, so that 12.50 and 12.5 are one value.
func canonicalDecimal(t *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	whole, fraction, point := strings.Cut(unsigned(s), ".")
	if !allDigits(whole) || point && !allDigits(fraction) {
		return nil, refuse(RuleDecimalSyntax, "must be a number in digits, with at most one sign and one point between digits, without exponent")
	}
	whole, fraction = strings.TrimLeft(whole, "0"), strings.TrimRight(fraction, "0")
	if len(fraction) > t.scale {
		return nil, refuse(RuleDecimalScale, "must have at most "+strconv.Itoa(t.scale)+" digits after the point")
	}
	if len(whole)+len(fraction) > maxDecimalDigits {
		return nil, refuse(RuleDecimalDigits, "must have at most 38 digits")
	}
	return appendDecimal(make([]byte, 0, len(s)+1), s[0] == '-', whole, fraction), nil
}

// appendDecimal writes a number whose whole part has no leading and whose
// fraction has no trailing zeros.
func appendDecimal(dst []byte, negative bool, whole, fraction string) []byte {
	if negative && whole+fraction != "" {
		dst = append(dst, '-')
	}
	if whole == "" {
		whole = "0"
	}
	dst = append(dst, whole...)
	if fraction != "" {
		dst = append(append(dst, '.'), fraction...)
	}
	return dst
}

func unsigned(s string) string {
	if s[0] == '+' || s[0] == '-' {
		return s[1:]
	}
	return s
}

func canonicalBoolean(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	switch strings.ToLower(s) {
	case "true", "1", "yes", "on":
		return []byte("true"), nil
	case "false", "0", "no", "off":
		return []byte("false"), nil
	}
	return nil, refuse(RuleBooleanSyntax, "must be true or false (or 1, 0, yes, no, on, off)")
}
