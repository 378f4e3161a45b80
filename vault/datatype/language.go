package datatype

import (
	"time"

	"golang.org/x/text/language"
)

// canonicalLanguage reads a BCP 47 tag of registered subtags, with hyphens or
// underscores, and returns its canonical form ("iw" becomes "he").
func canonicalLanguage(t *Type, in []byte, _ time.Time) ([]byte, error) {
	s, err := codeText(in)
	if err != nil {
		return nil, err
	}
	if len(s) > t.max {
		return nil, tooLong(t.max, "characters")
	}
	for range 4 {
		tag, err := language.Parse(s)
		if err != nil {
			break
		}
		next := tag.String()
		if next == s {
			return []byte(s), nil
		}
		s = next
	}
	return nil, refuse(RuleLanguageTag, "must be a language tag as in BCP 47, such as en or pt-BR")
}
