package datatype_test

import (
	"strings"
	"testing"
	"unicode"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

func TestEmail(t *testing.T) {
	domain := strings.Repeat("a", 63) + "." + strings.Repeat("b", 63) + "." + strings.Repeat("c", 58)
	run(t, datatype.Spec{Type: "email"}, []row{
		{name: "case", in: "Jett_Grant72@example.net", want: "jett_grant72@example.net"},
		{name: "upper-case domain", in: "KHALID.HEGMANN@EXAMPLE.NET", want: "khalid.hegmann@example.net"},
		{name: "dots and plus stay", in: "a.b+c@gmail.com", want: "a.b+c@gmail.com"},
		{name: "full width", in: "ｊｅｔｔ＠ｅｘａｍｐｌｅ．ｏｒｇ", want: "jett@example.org"},
		{name: "German domain", in: "info@Bücher.example", want: "info@xn--bcher-kva.example"},
		{name: "sharp s keeps its own domain", in: "a@straße.de", want: "a@xn--strae-oqa.de"},
		{name: "Chinese", in: "用户@例子.广告", want: "用户@xn--fsqu00a.xn--4rr70v"},
		{name: "ideographic stop", in: "a@例子。广告", want: "a@xn--fsqu00a.xn--4rr70v"},
		{name: "Russian, upper case", in: "ПОЧТА@ПРИМЕР.РФ", want: "почта@xn--e1afmkfd.xn--p1ai"},
		{name: "Arabic", in: "بريد@مثال.إختبار", want: "بريد@xn--mgbh0fb.xn--kgbechtv"},
		{name: "dotted capital I", in: "İ@example.org", want: "i@example.org"},
		{name: "all signs", in: "!#$%&'*+/=?^_`{|}~-@example.org", want: "!#$%&'*+/=?^_`{|}~-@example.org"},
		{name: "encoded domain stays", in: "a@xn--bcher-kva.example", want: "a@xn--bcher-kva.example"},
		{name: "local part of 64", in: strings.Repeat("a", 64) + "@b.org", want: strings.Repeat("a", 64) + "@b.org"},
		{name: "local part of 65", in: strings.Repeat("a", 65) + "@b.org", rule: "too_long"},
		{name: "local part of 66 octets", in: strings.Repeat("ж", 33) + "@b.org", rule: "too_long"},
		{name: "254", in: strings.Repeat("a", 64) + "@" + domain + ".de", want: strings.Repeat("a", 64) + "@" + domain + ".de"},
		{name: "255", in: strings.Repeat("a", 64) + "@" + domain + ".com", rule: "too_long"},
		{name: "300 without an at", in: strings.Repeat("a", 300), rule: "too_long"},
		{name: "at as a word", in: "Leora.MacGyver at example.net", rule: "email_syntax"},
		{name: "display name", in: "Jett <jett@example.net>", rule: "email_syntax"},
		{name: "angle brackets", in: "<jett@example.net>", rule: "email_syntax"},
		{name: "comment", in: "jett(home)@example.net", rule: "email_syntax"},
		{name: "quoted", in: `"a b"@example.net`, rule: "email_syntax"},
		{name: "two ats", in: "a@b@example.net", rule: "email_syntax"},
		{name: "two addresses", in: "a@example.net, b@example.net", rule: "email_syntax"},
		{name: "no local part", in: "@example.net", rule: "email_syntax"},
		{name: "dot in front", in: ".a@example.net", rule: "email_syntax"},
		{name: "dot behind", in: "a.@example.net", rule: "email_syntax"},
		{name: "two dots", in: "a..b@example.net", rule: "email_syntax"},
		{name: "invisible character", in: "a\u200Bb@example.net", rule: "email_syntax"},
		{name: "accent alone in front", in: "\u00B4jett@example.net", rule: "email_syntax"},
		{name: "mark in front", in: "\u0301jett@example.net", rule: "email_syntax"},
		{name: "no domain", in: "a@", rule: "email_domain"},
		{name: "no dot", in: "a@localhost", rule: "email_domain"},
		{name: "empty label", in: "a@b..org", rule: "email_domain"},
		{name: "root dot", in: "a@b.org.", rule: "email_domain"},
		{name: "address literal", in: "a@[192.0.2.1]", rule: "email_domain"},
		{name: "address", in: "a@192.0.2.1", rule: "email_domain"},
		{name: "underscore", in: "a@b_c.org", rule: "email_domain"},
		{name: "hyphen in front", in: "a@-b.org", rule: "email_domain"},
		{name: "blank in the domain", in: "a@exa mple.org", rule: "email_domain"},
		{name: "label of 64", in: "a@" + strings.Repeat("a", 64) + ".org", rule: "email_domain"},
		{name: "encoding of nothing", in: "a@xn--example-.org", rule: "email_domain"},
		{name: "two hyphens where encodings have them", in: "a@ab--cd.org", rule: "email_domain"},
		{name: "broken encoding", in: "a@xn--a.example", rule: "email_domain"},
	})
}

func TestPhone(t *testing.T) {
	run(t, datatype.Spec{Type: "phone"}, []row{
		{name: "E.164", in: "+12318833107", want: "+12318833107"},
		{name: "written out", in: "+1 (231) 883-3107", want: "+12318833107"},
		{name: "double zero", in: "0013468933579", want: "+13468933579"},
		{name: "double zero with blanks", in: "00 49 / 30 1234567", want: "+49301234567"},
		{name: "trunk zero in brackets", in: "+44 (0)20 7946 0958", want: "+442079460958"},
		{name: "trunk zero", in: "+490746743178", want: "+49746743178"},
		{name: "two trunk zeros", in: "+4900608197451", want: "+49608197451"},
		{name: "Italian zero stays", in: "+39 06 1234 5678", want: "+390612345678"},
		{name: "unassigned but possible", in: "+864987188160", want: "+864987188160"},
		{name: "Arabic digits", in: "+٩٦٦ ٥٠ ١٢٣ ٤٥٦٧", want: "+966501234567"},
		{name: "full width", in: "＋８１ ９０－１２３４－５６７８", want: "+819012345678"},
		{name: "direction marks of an address book", in: "\u202A+49 30 1234567\u202C", want: "+49301234567"},
		{name: "no-break hyphen", in: "+49\u201130\u20111234567", want: "+49301234567"},
		{name: "words", in: "call me", rule: "phone_syntax"},
		{name: "vanity", in: "+1-800-FLOWERS", rule: "phone_syntax"},
		{name: "extension", in: "+12318833107 x5", rule: "phone_syntax"},
		{name: "extension of RFC 3966", in: "+12318833107;ext=5", rule: "phone_syntax"},
		{name: "dialled extension", in: "+12318833107#5", rule: "phone_syntax"},
		{name: "two numbers", in: "+12318833107, +12318833108", rule: "phone_syntax"},
		{name: "second plus", in: "++12318833107", rule: "phone_syntax"},
		{name: "plus alone", in: "+", rule: "phone_syntax"},
		{name: "national", in: "030 1234567", rule: "phone_not_international"},
		{name: "national without zero", in: "2318833107", rule: "phone_not_international"},
		{name: "too short", in: "+49 1", rule: "phone_not_possible"},
		{name: "too long", in: "+1 231 883 31070", rule: "phone_not_possible"},
		{name: "local only", in: "+1 883 3107", rule: "phone_not_possible"},
		{name: "no such country", in: "+999 1234 5678", rule: "phone_not_possible"},
		{name: "more than E.164 carries", in: "+49 30 12345678901234", rule: "phone_not_possible"},
		{name: "hundred digits", in: "+" + strings.Repeat("1", 100), rule: "phone_not_possible"},
		{name: "plus and double zero", in: "+0049301234567", rule: "phone_not_possible"},
	})
}

// The value of a digit is taken from its place in Unicode's table; that is
// right only while the table has whole runs of ten.
func TestDigitsOfEveryScript(t *testing.T) {
	typ := compile(t, datatype.Spec{Type: "phone"})
	place := 0
	check := func(lo, hi, stride uint32) {
		if stride != 1 || (hi-lo+1)%10 != 0 {
			t.Errorf("digits %U to %U are no runs of ten", lo, hi)
		}
		for r := lo; r <= hi; r++ {
			digit := byte('0' + (r-lo)%10)
			got, err := typ.Canonical([]byte("+4930123456"+string(rune(r))), now)
			if want := "+4930123456" + string(digit); err != nil || string(got) != want {
				t.Errorf("%U: got %q, %v; want %q", r, got, err, want)
			}
			place++
		}
	}
	for _, run := range unicode.Nd.R16 {
		check(uint32(run.Lo), uint32(run.Hi), uint32(run.Stride))
	}
	for _, run := range unicode.Nd.R32 {
		check(run.Lo, run.Hi, run.Stride)
	}
	if place < 600 {
		t.Errorf("%d digits seen, want those of all scripts", place)
	}
}
