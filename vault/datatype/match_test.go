package datatype_test

import (
	"testing"

	"golang.org/x/text/unicode/norm"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

func TestMatch(t *testing.T) {
	for _, r := range []struct{ name, typ, in, want string }{
		{"same as stored", "email", "jett@example.org", "jett@example.org"},
		{"same as stored", "phone", "+49301234547", "+49301234547"},
		{"case", "person_name", "José EMILIO", "josé emilio"},
		{"sharp s", "person_name", "Groß", "gross"},
		{"final sigma", "person_name", "ΌΣΟΣ", "όσοσ"},
		{"full width", "person_name", "Ｊｅｔｔ", "jett"},
		{"ligature", "city", "\uFB01nland", "finland"},
		{"Cyrillic", "person_name", "Фёкла СОБОЛЕВ", "фёкла соболев"},
		{"Han stays", "person_name", "梓晨汤", "梓晨汤"},
		{"half-width kana", "person_name", "ﾔﾏﾀﾞ", "ヤマダ"},
		{"soft hyphen", "street", "Haupt\u00ADstraße", "hauptstrasse"},
		{"joiner", "string", "می\u200Cخواهم", "میخواهم"},
		{"lines and gaps", "string", "A  b\n\tC", "a b c"},
		{"lines and gaps beyond ASCII", "string", "Ä  b\n\tC", "ä b c"},
		{"only invisible characters", "string", "\u200D", "\u200D"},
		{"separators of an identifier", "national_id", "12.345.678/9-K", "123456789k"},
		{"nothing but separators", "national_id", "----", "----"},
		{"postal code", "postal_code", "SW1A 1AA", "SW1A1AA"},
		{"bytes", "bytes", "A\xff", "A\xff"},
		{"url", "url", "https://example.org/A", "https://example.org/A"},
	} {
		t.Run(r.typ+"/"+r.name, func(t *testing.T) {
			typ := compile(t, datatype.Spec{Type: r.typ})
			in := []byte(r.in)
			if got := string(typ.Match(in)); got != r.want {
				t.Errorf("Match(%q) = %q, want %q", r.in, got, r.want)
			}
			if string(in) != r.in {
				t.Error("the canonical form was changed")
			}
		})
	}
}

// Index entries and pseudonyms hold match forms, so a change of one without a
// change of MatchVersion loses values. Versions are pinned here with the
// Unicode version under them: when that rises, either show that no assigned
// character changed (Unicode promises that for normalisation and for case
// folding) and pin the new one, or raise the versions.
func TestMatchVersions(t *testing.T) {
	for _, name := range datatype.Names() {
		typ := compile(t, datatype.Spec{Type: name, Pattern: patternFor(name)})
		if v := typ.MatchVersion(); v != 1 {
			t.Errorf("%s: version %d, want 1", name, v)
		}
	}
	if norm.Version != "15.0.0" {
		t.Errorf("Unicode %s, want 15.0.0: see the comment of this test", norm.Version)
	}
}
