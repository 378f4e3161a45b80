package datatype_test

import (
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

func TestNumbers(t *testing.T) {
	run(t, datatype.Spec{Type: "integer"}, []row{
		{name: "plus and zeros", in: "+0042", want: "42"},
		{name: "minus zero", in: "-0", want: "0"},
		{name: "greatest", in: "9223372036854775807", want: "9223372036854775807"},
		{name: "least", in: "-9223372036854775808", want: "-9223372036854775808"},
		{name: "one more", in: "9223372036854775808", rule: "integer_out_of_range"},
		{name: "point", in: "1.0", rule: "integer_syntax"},
		{name: "hexadecimal", in: "0x10", rule: "integer_syntax"},
		{name: "underscore", in: "1_000", rule: "integer_syntax"},
		{name: "sign alone", in: "-", rule: "integer_syntax"},
		{name: "two signs", in: "--1", rule: "integer_syntax"},
	})
	run(t, datatype.Spec{Type: "decimal"}, []row{
		{name: "money", in: "12504.50", want: "12504.5"},
		{name: "zeros all around", in: "+000.500", want: "0.5"},
		{name: "whole", in: "100.000", want: "100"},
		{name: "minus zero", in: "-0.00", want: "0"},
		{name: "negative", in: "-007.25", want: "-7.25"},
		{name: "nine digits", in: "0.123456789", want: "0.123456789"},
		{name: "nine digits and zeros", in: "0.1234567890000", want: "0.123456789"},
		{name: "ten digits", in: "0.1234567891", rule: "decimal_scale"},
		{name: "38 digits", in: strings.Repeat("9", 38), want: strings.Repeat("9", 38)},
		{name: "39 digits", in: strings.Repeat("9", 39), rule: "decimal_digits"},
		{name: "exponent", in: "1e5", rule: "decimal_syntax"},
		{name: "comma", in: "1,5", rule: "decimal_syntax"},
		{name: "no digit before", in: ".5", rule: "decimal_syntax"},
		{name: "no digit behind", in: "5.", rule: "decimal_syntax"},
		{name: "two points", in: "1.2.3", rule: "decimal_syntax"},
		{name: "not a number", in: "NaN", rule: "decimal_syntax"},
		{name: "minus alone", in: "-", rule: "decimal_syntax"},
	})
	run(t, datatype.Spec{Type: "decimal", Scale: 2}, []row{
		{name: "two", in: "1.250", want: "1.25"},
		{name: "three", in: "1.255", rule: "decimal_scale"},
	})
	run(t, datatype.Spec{Type: "boolean"}, []row{
		{name: "true", in: "True", want: "true"}, {name: "yes", in: "YES", want: "true"},
		{name: "on", in: "on", want: "true"}, {name: "1", in: "1", want: "true"},
		{name: "false", in: "FALSE", want: "false"}, {name: "no", in: "No", want: "false"},
		{name: "off", in: "off", want: "false"}, {name: "0", in: "0", want: "false"},
		{name: "letter", in: "t", rule: "boolean_syntax"}, {name: "2", in: "2", rule: "boolean_syntax"},
	})
	run(t, datatype.Spec{Type: "coordinates"}, []row{
		{name: "pair", in: "-73.5454,-71.6475", want: "-73.5454,-71.6475"},
		{name: "blanks", in: " 25.7370 , -18.73 ", want: "25.737,-18.73"},
		{name: "noise", in: "52.520006599999,13.404954", want: "52.5200066,13.404954"},
		{name: "minus zero", in: "-0.0,-0.00000001", want: "0,0"},
		{name: "corners", in: "-90,180.0", want: "-90,180"},
		{name: "past the pole", in: "90.00000001,0", rule: "coordinates_out_of_range"},
		{name: "past the date line", in: "0,-180.1", rule: "coordinates_out_of_range"},
		{name: "one", in: "12.5", rule: "coordinates_syntax"},
		{name: "three", in: "1,2,3", rule: "coordinates_syntax"},
		{name: "exponent", in: "1e1,2", rule: "coordinates_syntax"},
		{name: "infinity", in: "Inf,2", rule: "coordinates_syntax"},
		{name: "degrees and minutes", in: "52°31'N,13°24'E", rule: "coordinates_syntax"},
		{name: "empty half", in: ",2", rule: "coordinates_syntax"},
	})
}

func TestAddresses(t *testing.T) {
	run(t, datatype.Spec{Type: "ip_address"}, []row{
		{name: "v4", in: "112.47.58.217", want: "112.47.58.217"},
		{name: "v6", in: "E751:0:0:0::CDDD", want: "e751::cddd"},
		{name: "mapped", in: "::ffff:192.0.2.1", want: "192.0.2.1"},
		{name: "zone", in: "fe80::1%eth0", rule: "ip_syntax"},
		{name: "leading zero", in: "192.0.02.1", rule: "ip_syntax"},
		{name: "network", in: "192.0.2.0/24", rule: "ip_syntax"},
		{name: "port", in: "192.0.2.1:80", rule: "ip_syntax"},
		{name: "256", in: "192.0.2.256", rule: "ip_syntax"},
	})
	run(t, datatype.Spec{Type: "url"}, []row{
		{name: "case", in: "HTTPS://Example.ORG/Path?Q=1#F", want: "https://example.org/Path?Q=1#F"},
		{name: "no path", in: "http://example.org", want: "http://example.org/"},
		{name: "own port", in: "https://example.org:443/", want: "https://example.org/"},
		{name: "empty port", in: "https://example.org:/", want: "https://example.org/"},
		{name: "other port", in: "http://example.org:0443/", want: "http://example.org:443/"},
		{name: "encoded host", in: "https://Bücher.example/ä", want: "https://xn--bcher-kva.example/%C3%A4"},
		{name: "encoded host, upper case", in: "https://XN--BCHER-KVA.Example/", want: "https://xn--bcher-kva.example/"},
		{name: "address", in: "http://[2001:DB8::1]:8080/x", want: "http://[2001:db8::1]:8080/x"},
		{name: "user", in: "https://jett:pw@example.org/", rule: "url_syntax"},
		{name: "empty user", in: "https://@example.org/", rule: "url_syntax"},
		{name: "relative", in: "/path", rule: "url_syntax"},
		{name: "no scheme", in: "example.org", rule: "url_syntax"},
		{name: "script", in: "javascript:alert(1)", rule: "url_syntax"},
		{name: "file", in: "file:///etc/passwd", rule: "url_syntax"},
		{name: "opaque", in: "https:example.org", rule: "url_syntax"},
		{name: "blank", in: "https://example.org/a b", rule: "url_syntax"},
		{name: "backslash", in: `https://example.org\@evil.org/`, rule: "url_syntax"},
		{name: "no host", in: "https:///x", rule: "url_host"},
		{name: "zone", in: "https://[fe80::1%25eth0]/", rule: "url_host"},
		{name: "port past the end", in: "https://example.org:65536/", rule: "url_host"},
		{name: "2049", in: "https://example.org/" + strings.Repeat("a", 2029), rule: "too_long"},
	})
	run(t, datatype.Spec{Type: "language"}, []row{
		{name: "plain", in: "EN", want: "en"},
		{name: "underscore", in: "pt_br", want: "pt-BR"},
		{name: "script", in: "zh-hant-tw", want: "zh-Hant-TW"},
		{name: "old code", in: "iw", want: "he"},
		{name: "unknown", in: "qq-ZZZZZ-1", rule: "language_tag"},
		{name: "name", in: "English language", rule: "language_tag"},
		{name: "long", in: strings.Repeat("a-", 40) + "b", rule: "too_long"},
	})
}
