package datatype

import (
	"strings"
	"time"
	"unicode"

	"github.com/nyaruka/phonenumbers"
)

// maxPhone is the plus sign and the 15 digits of E.164.
const maxPhone = 16

// canonicalPhone reads a number in international form, with "+" or the "00"
// that many countries dial for it, and returns it as E.164. The number must be
// possible, that is, of a length its country has; ranges are not checked,
// since new ones are assigned all the time. Letters are refused: the library
// would read them as the keys of a telephone ("call me" as 2255 63), and
// extensions, which E.164 cannot carry.
func canonicalPhone(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	number, err := internationalDigits(s)
	if err != nil {
		return nil, err
	}
	// Each round drops a trunk prefix written behind the country code, as in
	// +49 (0)30. Most numbers are stable at once and cost one round.
	for range 4 {
		next, ok := e164(number)
		if !ok {
			break
		}
		if next == number {
			return []byte(number), nil
		}
		number = next
	}
	return nil, refuse(RulePhoneNotPossible, "must have a country code and a length that the country's numbers have")
}

// internationalDigits returns "+" and the digits of s.
func internationalDigits(s string) (string, error) {
	out := append(make([]byte, 0, 24), '+')
	plus := false
	for _, r := range s {
		if d, ok := digit(r); ok {
			out = append(out, d)
			continue
		}
		switch {
		case r == '+' && !plus && len(out) == 1:
			plus = true
		case strings.ContainsRune(" .()/", r), unicode.Is(unicode.Pd, r):
		default:
			return "", refuse(RulePhoneSyntax, "must consist of digits, spaces and -.()/ behind a +, without letters or extension")
		}
	}
	switch {
	case len(out) == 1:
		return "", refuse(RulePhoneSyntax, "must have digits")
	case !plus && len(out) > 3 && out[1] == '0' && out[2] == '0':
		out = append(out[:1], out[3:]...)
	case !plus:
		return "", refuse(RulePhoneInternational, "must be in international form: + and the country code first")
	}
	// Twice the digits of any number: no need to bother the library.
	if len(out) > 2*maxPhone {
		return "", refuse(RulePhoneNotPossible, "must have at most 15 digits")
	}
	return string(out), nil
}

func e164(number string) (string, bool) {
	parsed, err := phonenumbers.Parse(number, "")
	if err != nil || phonenumbers.IsPossibleNumberWithReason(parsed) != phonenumbers.IS_POSSIBLE {
		return "", false
	}
	out := phonenumbers.Format(parsed, phonenumbers.E164)
	return out, len(out) <= maxPhone
}

// digit returns the ASCII digit of a decimal digit of any script.
func digit(r rune) (byte, bool) {
	if r < 0x80 {
		return byte(r), r >= '0' && r <= '9'
	}
	// Unicode gives the decimal digits of a script in one run from zero to
	// nine, so that their value is their place.
	for _, run := range unicode.Nd.R16 {
		if uint32(r) >= uint32(run.Lo) && uint32(r) <= uint32(run.Hi) {
			return '0' + byte((uint32(r)-uint32(run.Lo))%10), true
		}
	}
	for _, run := range unicode.Nd.R32 {
		if uint32(r) >= run.Lo && uint32(r) <= run.Hi {
			return '0' + byte((uint32(r)-run.Lo)%10), true
		}
	}
	return 0, false
}
