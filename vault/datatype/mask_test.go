package datatype_test

import (
	"strings"
	"testing"

	"github.com/nyaruka/phonenumbers"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

func TestMasks(t *testing.T) {
	for _, r := range []struct{ typ, mask, canonical, want string }{
		{"email", "", "jett_grant72@example.org", "j***@e***.org"},
		{"email", "", "j@e.org", "j***@e***.org"},
		{"email", "", "用户@xn--fsqu00a.xn--4rr70v", "用***@x***.xn--4rr70v"},
		{"email", "", "a@mail.example.co.uk", "a***@m***.uk"},
		{"email", "", "no address", "***"},
		{"email", "", "@example.org", "***"},
		{"email", "", "a@nodot", "***"},
		{"email", "", "a@b.the rest of a secret", "***"},
		{"email", "", "a@b.org\xff", "***"},
		{"email", "last4", "jett@example.org", "***.org"},
		{"email", "first1", "jett@example.org", "j***"},
		{"phone", "", "+49301234547", "+49 *** 47"},
		{"phone", "", "+12318833107", "+1 *** 07"},
		{"phone", "", "+966501234567", "+966 *** 67"},
		{"phone", "", "+2901234", "+290 ***"},
		{"phone", "", "49301234547", "***"},
		{"phone", "", "+4930123454712345", "***"},
		{"phone", "", "+49 30", "***"},
		{"phone", "", "+0123456789", "***"},
		{"phone", "last2", "+49301234547", "***47"},
		{"payment_card", "", "4111111111111234", "**** **** **** 1234"},
		{"payment_card", "", "4876869379361", "**** **** **** 9361"},
		{"payment_card", "", "41111111111", "***"},
		{"payment_card", "", "4111 1111 1111 1234", "***"},
		{"iban", "", "DE89370400440532013000", "DE** **** **** 3000"},
		{"iban", "", "NO9386011117947", "NO** **** **** 7947"},
		{"iban", "", "DE89 3704", "***"},
		{"iban", "", "1289370400440532013000", "***"},
		{"person_name", "", "Mellie Ankunding", "M. A."},
		{"person_name", "", "José Emilio Fajardo Chavarría", "J. C."},
		{"person_name", "", "梓晨汤", "梓*"},
		{"person_name", "", "李明", "李*"},
		{"person_name", "", "李", "***"},
		{"person_name", "", "李 明", "***"},
		{"person_name", "", "J. D.", "***"},
		{"person_name", "", "Al Bo", "A. B."},
		{"person_name", "", "Al B", "***"},
		{"person_name", "", "Madonna", "M*"},
		{"person_name", "", "اروي المحجوب", "ا. ا."},
		{"person_name", "", "'t Hooft (Gerard)", "t. G."},
		{"person_name", "", "Agent 47", "A*"},
		{"person_name", "", "007", "***"},
		{"person_name", "", "g\u0303\u0301\u0302\u0300abc", "g\u0303\u0301*"},
		{"person_name", "", "\xff\xfe", "***"},
		{"date", "", "1977-12-19", "1977-**-**"},
		{"birth_date", "", "1977-12-19", "1977-**-**"},
		{"timestamp", "", "2021-09-05T02:40:17.44Z", "2021-**-**"},
		{"date", "", "31/02/1990", "***"},
		{"date", "", "1977", "***"},
		{"national_id", "", "440074674", "***74"},
		{"national_id", "", "123", "***"},
		{"national_id", "last4", "12345678", "***5678"},
		{"national_id", "last4", "1234567", "***"},
		{"postal_code", "", "10115", "10***"},
		{"postal_code", "", "101", "***"},
		{"ip_address", "", "112.47.58.217", "112.47.*.*"},
		{"ip_address", "", "e751:c1ef::1", "e751:***"},
		{"ip_address", "", "::1", "0:***"},
		{"ip_address", "", "112.47", "***"},
		{"coordinates", "", "-73.5454,-71.6475", "-73.*,-71.*"},
		{"coordinates", "", "-73,-71", "-73.*,-71.*"},
		{"coordinates", "", "0.25,-0.5", "0.*,-0.*"},
		{"coordinates", "", "73.5454", "***"},
		{"coordinates", "", "secret,1", "***"},
		{"coordinates", "", "1234.5,1", "***"},
		{"url", "", "https://example.org/u/jett?x=1", "https://example.org/***"},
		{"url", "", "http://example.org:8080/", "http://example.org/***"},
		{"url", "", "https://example.org/", "***"},
		{"url", "", "http://[2001:db8::1]:8080/x", "http://[2001:db8::1]/***"},
		{"url", "", "https://jett:pw@example.org/", "***"},
		{"url", "", "javascript://example.org/", "***"},
		{"url", "", "https://[secret]/", "***"},
		{"string", "", "anything", "***"},
		{"string", "", "***", "****"},
		{"string", "", "****", "***"},
		{"string", "first1", "ab", "a***"},
		{"string", "first1", "a", "***"},
		{"string", "first1", "\xffb", "***"},
		{"string", "last2", "**ab", "***"},
		{"string", "last4", "жжжжabcd", "***abcd"},
		{"country", "", "DE", "***"},
		{"integer", "", "42", "***"},
		{"decimal", "", "12.5", "***"},
		{"boolean", "", "true", "***"},
		{"bytes", "", "\x00\xff", "***"},
		{"bytes", "", "", "***"},
		{"street", "", "2787 Ridge Road", "***"},
		{"language", "", "en", "***"},
	} {
		t.Run(r.typ+"/"+r.mask+"/"+r.canonical, func(t *testing.T) {
			typ := compile(t, datatype.Spec{Type: r.typ, Mask: r.mask})
			if got := string(typ.AppendMask([]byte("> "), []byte(r.canonical))); got != "> "+r.want {
				t.Errorf("mask of %q: got %q, want %q behind what was there", r.canonical, got, r.want)
			}
		})
	}
}

// Values that differ only in what the mask hides, its length included, must
// look the same.
func TestMasksHideTheLength(t *testing.T) {
	for _, r := range []struct{ typ, a, b string }{
		{"email", "j@e.org", "jett.grant.the.third@example.mail.org"},
		{"phone", "+4912347", "+4930123456747"},
		{"person_name", "Jo Do", "Johann Sebastian Do"},
		{"payment_card", "487686931234", "6304000000000001234"},
		{"national_id", "1274", "123456789012345674"},
		{"postal_code", "1011", "10115-1234"},
		{"url", "https://a.org/x", "https://a.org/much/longer?and=a#query"},
		{"string", "a", strings.Repeat("long", 200)},
	} {
		typ := compile(t, datatype.Spec{Type: r.typ})
		a, b := typ.AppendMask(nil, []byte(r.a)), typ.AppendMask(nil, []byte(r.b))
		if string(a) != string(b) {
			t.Errorf("%s: %q and %q have the masks %q and %q", r.typ, r.a, r.b, a, b)
		}
	}
}

func TestPartialMasksShowAtMostHalf(t *testing.T) {
	for _, name := range datatype.Names() {
		for _, mask := range datatype.Masks(name) {
			n, partial := map[string]int{"first1": 1, "first2": 2, "last2": 2, "last4": 4}[mask]
			if !partial {
				continue
			}
			typ := compile(t, datatype.Spec{Type: name, Mask: mask, Pattern: patternFor(name)})
			for length := range 12 {
				canonical := []rune("жbцdфfшhыjэl")[:length]
				got := string(typ.AppendMask(nil, []byte(string(canonical))))
				shown := len([]rune(strings.ReplaceAll(got, "*", "")))
				want := 0
				if 2*n <= length {
					want = n
				}
				if shown != want {
					t.Errorf("%s/%s: %d of %d characters shown, want %d", name, mask, shown, length, want)
				}
			}
		}
	}
}

func patternFor(name string) string {
	if name == "pattern" {
		return ".+"
	}
	return ""
}

// The mask finds the country code with a table of its own; the library knows
// all that are in use.
func TestPhoneMaskKnowsEveryCountryCode(t *testing.T) {
	typ := compile(t, datatype.Spec{Type: "phone"})
	codes := phonenumbers.GetSupportedCallingCodes()
	if len(codes) < 200 {
		t.Fatalf("the library knows %d country codes", len(codes))
	}
	for code := range codes {
		number := &phonenumbers.PhoneNumber{}
		cc, national := int32(code), uint64(55555547)
		number.CountryCode, number.NationalNumber = &cc, &national
		e164 := phonenumbers.Format(number, phonenumbers.E164)
		want := strings.TrimSuffix(e164, "55555547") + " *** 47"
		if got := string(typ.AppendMask(nil, []byte(e164))); got != want {
			t.Errorf("%d: got %q, want %q", code, got, want)
		}
	}
}
