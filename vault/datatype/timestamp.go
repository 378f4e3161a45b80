package datatype

import (
	"strings"
	"time"
)

// canonicalTimestamp reads RFC 3339 with any offset and returns UTC. More than
// nine decimals of a second would be cut off, so they are refused.
func canonicalTimestamp(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	s = strings.ToUpper(s) // RFC 3339 allows "t" and "z"
	// time.Parse checks the ranges, but it also takes hours of one digit,
	// a comma before the decimals and offsets past a day, hence the shape.
	at, err := time.Parse(time.RFC3339Nano, s)
	if err != nil || !isTimestamp(s) {
		return nil, refuse(RuleTimestampSyntax,
			"must be a time as in RFC 3339, such as 2006-01-02T15:04:05Z, with at most 9 decimals of a second")
	}
	at = at.UTC()
	if at.Year() < 1 || at.Year() > 9999 {
		return nil, refuse(RuleTimestampOutOfRange, "must lie in the years 0001 to 9999 in UTC")
	}
	return at.AppendFormat(nil, time.RFC3339Nano), nil
}

// isTimestamp checks the shape of RFC 3339, upper case.
func isTimestamp(s string) bool {
	const head = "dddd-dd-ddTdd:dd:dd"
	if len(s) <= len(head) || !hasShape(s[:len(head)], head) {
		return false
	}
	s = s[len(head):]
	if s[0] == '.' {
		n := 1
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		if n < 2 || n > 10 {
			return false
		}
		s = s[n:]
	}
	return s == "Z" || hasShape(s, "+dd:dd") && s[1:] < "24:00" || hasShape(s, "-dd:dd") && s[1:] < "24:00"
}

// hasShape reports whether s has a digit where shape has a "d", and else is
// equal to it.
func hasShape(s, shape string) bool {
	if len(s) != len(shape) {
		return false
	}
	for i := range len(s) {
		if shape[i] == 'd' && !isDigit(s[i]) || shape[i] != 'd' && s[i] != shape[i] {
			return false
		}
	}
	return true
}
