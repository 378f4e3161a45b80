package datatype

import (
	"time"
	"unicode"
)

// Lengths of an IBAN (ISO 13616); the shortest in the registry has 15.
const (
	minIBAN = 15
	maxIBAN = 34
)

// ibanLengths is the length for each country of the ISO 13616 registry, in
// rising order of the codes.
const ibanLengths = "AD24AE23AL28AT20AZ28BA20BE16BG22BH22BI27BR29BY28CH21CR22CY28CZ24DE22DJ27DK18DO28" +
	"EE20EG29ES24FI18FK18FO18FR27GB22GE22GI23GL18GR27GT28HN28HR21HU28IE22IL23IQ23IS26IT27JO30KW30KZ20" +
	"LB28LC32LI21LT20LU20LV21LY25MC27MD24ME22MK19MN20MR27MT31MU30NI28NL18NO15OM23PK24PL28PS29PT25QA29" +
	"RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SO23ST25SV28TL23TN24TR26UA29VA22VG24XK20YE30"

// canonicalIBAN checks the country's length and the check digits. Countries
// that use IBANs without being in the registry may have any length of 15 to
// 34.
func canonicalIBAN(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, maxIBAN)
	for _, r := range s {
		switch {
		case r < 0x80 && isDigit(byte(r)), r >= 'A' && r <= 'Z':
			out = append(out, byte(r))
		case r >= 'a' && r <= 'z':
			out = append(out, byte(r-'a'+'A'))
		case r == ' ', unicode.Is(unicode.Pd, r):
		default:
			return nil, refuse(RuleIBANSyntax, "must consist of letters A to Z, digits and blanks")
		}
	}
	if len(out) < 4 || !isLetter(out[0]) || !isLetter(out[1]) || !isDigit(out[2]) || !isDigit(out[3]) {
		return nil, refuse(RuleIBANSyntax, "must begin with two letters of a country and two check digits")
	}
	if want := ibanLength(out[0], out[1]); len(out) < minIBAN || len(out) > maxIBAN || want != 0 && len(out) != want {
		return nil, refuse(RuleIBANLength, "must have the length that the country's account numbers have")
	}
	if !ibanCheck(out) {
		return nil, refuse(RuleIBANCheckDigits, "the check digits must be right")
	}
	return out, nil
}

// ibanLength returns 0 for a country that is not in the registry.
func ibanLength(a, b byte) int {
	for i := 0; i < len(ibanLengths); i += 4 {
		if ibanLengths[i] == a && ibanLengths[i+1] == b {
			return int(ibanLengths[i+2]-'0')*10 + int(ibanLengths[i+3]-'0')
		}
	}
	return 0
}

// ibanCheck is ISO/IEC 7064 MOD 97-10 over the number with its first four
// characters at the end, letters read as 10 to 35. Check digits are 98 less a
// remainder, so that 00, 01 and 99 never stand there, though the sum would
// come out right for one of them.
func ibanCheck(iban []byte) bool {
	if check := int(iban[2]-'0')*10 + int(iban[3]-'0'); check < 2 || check > 98 {
		return false
	}
	rest := 0
	add := func(b byte) {
		if isDigit(b) {
			rest = (rest*10 + int(b-'0')) % 97
		} else {
			rest = (rest*100 + int(b-'A') + 10) % 97
		}
	}
	for _, b := range iban[4:] {
		add(b)
	}
	for _, b := range iban[:4] {
		add(b)
	}
	return rest == 1
}
