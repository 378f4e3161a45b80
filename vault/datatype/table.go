package datatype

import "time"

// definition is what is fixed for a type, whatever the policy says.
type definition struct {
	name    string
	number  uint8 // on disk; never reused
	version uint16
	length  int // default of MaxLength; 0: the form fixes the length
	ceiling int // greatest MaxLength; 0: none may be given
	pattern patternUse
	scaled  bool
	binary  bool
	masks   []string // the first is the default

	canonical func(t *Type, in []byte, now time.Time) ([]byte, error)
	match     func(canonical []byte) []byte // nil: the canonical form itself
}

type patternUse uint8

const (
	patternNone patternUse = iota
	patternOffered
	patternNeeded
)

// longText is the ceiling of free text: so many code points always fit in
// MaxInput bytes.
const longText = MaxInput / 4

// defaultNationalID begins and ends with a letter or digit, so that a row of
// dots is no identifier.
const defaultNationalID = `[\p{L}\p{Nd}][\p{L}\p{Nd} ./-]{2,30}[\p{L}\p{Nd}]`

func definitionOf(name string) (definition, bool) {
	for _, d := range definitions() {
		if d.name == name {
			return d, true
		}
	}
	return definition{}, false
}

// definitions is a function, not a variable, so that nothing can change it.
// It runs when a policy is compiled, never for a value.
func definitions() []definition {
	full := []string{maskFull}
	year := []string{maskYear, maskFull}
	text := func(first string) []string {
		all := []string{first}
		for _, m := range []string{maskFull, maskFirst1, maskFirst2, maskLast2, maskLast4} {
			if m != first {
				all = append(all, m)
			}
		}
		return all
	}
	return []definition{
		{name: "string", number: 1, version: 1, length: 1024, ceiling: longText, masks: text(maskFull), canonical: canonicalString, match: foldText},
		{name: "email", number: 2, version: 1, length: maxEmail, ceiling: maxEmail, masks: text(maskEmail), canonical: canonicalEmail},
		{name: "phone", number: 3, version: 1, length: maxPhone, ceiling: maxPhone, masks: text(maskPhone), canonical: canonicalPhone},
		{name: "person_name", number: 4, version: 1, length: 256, ceiling: longText, masks: text(maskInitials), canonical: canonicalLine, match: foldText},
		{name: "date", number: 5, version: 1, masks: year, canonical: canonicalDate},
		{name: "birth_date", number: 6, version: 1, masks: year, canonical: canonicalBirthDate},
		{name: "payment_card", number: 7, version: 1, length: maxCard, ceiling: maxCard, masks: text(maskCard), canonical: canonicalCard},
		{name: "iban", number: 8, version: 1, length: maxIBAN, ceiling: maxIBAN, masks: text(maskIBAN), canonical: canonicalIBAN},
		{name: "national_id", number: 9, version: 1, length: 32, ceiling: 256, pattern: patternOffered, masks: text(maskLast2), canonical: canonicalPattern, match: matchIdentifier},
		{name: "street", number: 10, version: 1, length: 256, ceiling: longText, masks: text(maskFull), canonical: canonicalLine, match: foldText},
		{name: "city", number: 11, version: 1, length: 128, ceiling: longText, masks: text(maskFull), canonical: canonicalLine, match: foldText},
		{name: "region", number: 12, version: 1, length: 128, ceiling: longText, masks: text(maskFull), canonical: canonicalLine, match: foldText},
		{name: "postal_code", number: 13, version: 1, length: 16, ceiling: 16, masks: text(maskFirst2), canonical: canonicalPostalCode, match: matchPostalCode},
		{name: "country", number: 14, version: 1, masks: full, canonical: canonicalCountry},
		{name: "ip_address", number: 15, version: 1, masks: []string{maskNetwork, maskFull}, canonical: canonicalIP},
		{name: "coordinates", number: 16, version: 1, masks: []string{maskDegrees, maskFull}, canonical: canonicalCoordinates},
		{name: "url", number: 17, version: 1, length: 2048, ceiling: longText, masks: text(maskOrigin), canonical: canonicalURL},
		{name: "bytes", number: 18, version: 1, length: MaxInput, ceiling: MaxInput, binary: true, masks: full, canonical: canonicalBytes},
		{name: "integer", number: 19, version: 1, masks: full, canonical: canonicalInteger},
		{name: "decimal", number: 20, version: 1, scaled: true, masks: full, canonical: canonicalDecimal},
		{name: "boolean", number: 21, version: 1, masks: full, canonical: canonicalBoolean},
		{name: "timestamp", number: 22, version: 1, masks: year, canonical: canonicalTimestamp},
		{name: "language", number: 23, version: 1, length: 64, ceiling: 64, masks: full, canonical: canonicalLanguage},
		{name: "pattern", number: 24, version: 1, length: 256, ceiling: longText, pattern: patternNeeded, masks: text(maskFull), canonical: canonicalPattern},
	}
}
