package datatype_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// now is the present of every test.
var now = time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)

func compile(t testing.TB, s datatype.Spec) *datatype.Type {
	t.Helper()
	typ, err := datatype.Compile(s)
	if err != nil {
		t.Fatalf("Compile(%+v): %v", s, err)
	}
	return typ
}

// row is one input of a type: want is the canonical form, or rule the rule
// that refuses it.
type row struct {
	name, in, want, rule string
}

func run(t *testing.T, s datatype.Spec, rows []row) {
	t.Helper()
	typ := compile(t, s)
	for _, r := range rows {
		t.Run(s.Type+"/"+r.name, func(t *testing.T) {
			t.Helper()
			in := []byte(r.in)
			got, err := typ.Canonical(in, now)
			if string(in) != r.in {
				t.Error("the input was changed")
			}
			if r.rule != "" {
				var refused *datatype.RuleError
				if !errors.As(err, &refused) || refused.Rule != r.rule {
					t.Fatalf("%q: got %q, %v; want rule %s", r.in, got, err, r.rule)
				}
				if refused.Detail == "" {
					t.Error("the rule has no sentence")
				}
				return
			}
			if err != nil || string(got) != r.want {
				t.Fatalf("%q: got %q, %v; want %q", r.in, got, err, r.want)
			}
			again, err := typ.Canonical(got, now)
			if err != nil || string(again) != r.want {
				t.Fatalf("the canonical form is not stable: got %q, %v", again, err)
			}
		})
	}
}

func TestEveryTextTypeCleansItsInput(t *testing.T) {
	valid := map[string]string{
		"string": "x", "email": "a@b.org", "phone": "+390612345678", "person_name": "Li", "date": "2020-02-29",
		"birth_date": "1990-01-01", "payment_card": "4111111111111111", "iban": "GB82WEST12345698765432",
		"national_id": "A1234", "street": "x", "city": "x", "region": "x", "postal_code": "10115", "country": "DE",
		"ip_address": "192.0.2.1", "coordinates": "1,2", "url": "https://a.org/", "integer": "1", "decimal": "1.5",
		"boolean": "true", "timestamp": "2020-01-02T03:04:05Z", "language": "en", "pattern": "x",
	}
	for _, name := range datatype.Names() {
		if name == "bytes" {
			continue
		}
		v, ok := valid[name]
		if !ok {
			t.Errorf("type %s has no example here", name)
			continue
		}
		spec := datatype.Spec{Type: name}
		if name == "pattern" {
			spec.Pattern = "(?s).*"
		}
		run(t, spec, []row{
			{name: "as it is", in: v, want: v},
			{name: "blanks around it", in: " \t" + v + "\r\n", want: v},
			{name: "Unicode blanks around it", in: "\uFEFF\u00A0\u3000" + v + "\u2003\u200B\u2028", want: v},
			{name: "nothing", in: "", rule: "empty"},
			{name: "blanks", in: " \t\n", rule: "empty"},
			{name: "Unicode blanks", in: "\u3000\u200B\uFEFF", rule: "empty"},
			{name: "Latin-1", in: v + "\xE9", rule: "utf8"},
			{name: "surrogate", in: "\xED\xA0\x80" + v, rule: "utf8"},
			{name: "NUL", in: v + "\x00" + v, rule: "control_character"},
			{name: "escape", in: v + "\x1B[0m", rule: "control_character"},
			{name: "C1 control", in: v + "\u0085" + v, rule: "control_character"},
			{name: "noncharacter", in: v + "\uFFFE", rule: "control_character"},
			{name: "line separator inside", in: v + "\u2028" + v, rule: "control_character"},
			{name: "64 KiB and a byte", in: strings.Repeat("1", datatype.MaxInput+1), rule: "too_long"},
		})
	}
}

func TestFreeText(t *testing.T) {
	run(t, datatype.Spec{Type: "string"}, []row{
		{name: "composed", in: "Cafe\u0301", want: "Caf\u00E9"},
		{name: "compatibility forms stay", in: "\uFB01ne ２", want: "\uFB01ne ２"},
		{name: "inner blanks stay", in: "a  b\tc\nd", want: "a  b\tc\nd"},
		{name: "CR LF", in: "å\r\nb", want: "å\nb"},
		{name: "right-to-left override", in: "abc\u202Egpj.exe", rule: "control_character"},
		{name: "isolate", in: "a\u2066b", rule: "control_character"},
		{name: "joiners stay", in: "می\u200Cخواهم", want: "می\u200Cخواهم"},
		{name: "emoji", in: "👩\u200D🔬", want: "👩\u200D🔬"},
		{name: "1024 characters", in: strings.Repeat("ж", 1024), want: strings.Repeat("ж", 1024)},
		{name: "1025 characters", in: strings.Repeat("ж", 1025), rule: "too_long"},
	})
	run(t, datatype.Spec{Type: "person_name"}, []row{
		{name: "Latin", in: "José  Emilio Chavarría", want: "José Emilio Chavarría"},
		{name: "Han", in: "梓晨汤", want: "梓晨汤"},
		{name: "Japanese with a wide blank", in: "山田　太郎", want: "山田 太郎"},
		{name: "Arabic", in: "اروي المحجوب", want: "اروي المحجوب"},
		{name: "Cyrillic", in: "Фёкла Соболев", want: "Фёкла Соболев"},
		{name: "decomposed Hangul", in: "김철수", want: "김철수"},
		{name: "tab", in: "A\tB", rule: "control_character"},
		{name: "line feed", in: "Ж\nB", rule: "control_character"},
	})
	run(t, datatype.Spec{Type: "city", MaxLength: 3}, []row{
		{name: "three", in: "Öde", want: "Öde"},
		{name: "three after composing", in: "O\u0308de", want: "Öde"},
		{name: "four", in: "Ödes", rule: "too_long"},
	})
	run(t, datatype.Spec{Type: "pattern", Pattern: "[A-Z]{2}|[0-9]+", MaxLength: 8}, []row{
		{name: "first", in: "AB", want: "AB"},
		{name: "second", in: "1234", want: "1234"},
		{name: "anchored in front", in: "xAB", rule: "pattern"},
		{name: "anchored behind", in: "ABx", rule: "pattern"},
		{name: "too long", in: "123456789", rule: "too_long"},
	})
	run(t, datatype.Spec{Type: "pattern", Pattern: "(?m)^a$"}, []row{
		{name: "flags do not loosen the anchors", in: "a b", rule: "pattern"},
	})
	run(t, datatype.Spec{Type: "national_id"}, []row{
		{name: "digits", in: "440074674", want: "440074674"},
		{name: "separators", in: "12.345.678/9-K", want: "12.345.678/9-K"},
		{name: "other letters", in: "АН 1234567", want: "АН 1234567"},
		{name: "three", in: "123", rule: "pattern"},
		{name: "32", in: strings.Repeat("1", 32), want: strings.Repeat("1", 32)},
		{name: "33", in: strings.Repeat("1", 33), rule: "too_long"},
		{name: "dots", in: "....", rule: "pattern"},
		{name: "other sign", in: "1234_5", rule: "pattern"},
	})
	run(t, datatype.Spec{Type: "national_id", Pattern: "[0-9]{3}"}, []row{
		{name: "own pattern", in: "123", want: "123"},
		{name: "own pattern only", in: "440074674", rule: "pattern"},
	})
	run(t, datatype.Spec{Type: "postal_code"}, []row{
		{name: "German", in: "10115", want: "10115"},
		{name: "British", in: "sw1a  1aa", want: "SW1A 1AA"},
		{name: "Japanese, full width", in: "１２３－４５６７", want: "123-4567"},
		{name: "hyphen at the end", in: "123-", rule: "postal_code_syntax"},
		{name: "words", in: "n/a", rule: "postal_code_syntax"},
		{name: "one", in: "1", rule: "postal_code_syntax"},
		{name: "other letters", in: "Ж1234", rule: "postal_code_syntax"},
		{name: "17", in: strings.Repeat("1", 17), rule: "too_long"},
	})
}

func TestBytes(t *testing.T) {
	typ := compile(t, datatype.Spec{Type: "bytes", MaxLength: 4})
	in := []byte{0, 0xFF, ' ', '\n'}
	got, err := typ.Canonical(in, now)
	if err != nil || string(got) != string(in) {
		t.Fatalf("got %q, %v; want the bytes unchanged", got, err)
	}
	if clear(in); got[1] != 0xFF {
		t.Error("the result shares memory with the input")
	}
	for rule, in := range map[string][]byte{"empty": {}, "too_long": {1, 2, 3, 4, 5}} {
		var refused *datatype.RuleError
		if _, err := typ.Canonical(in, now); !errors.As(err, &refused) || refused.Rule != rule {
			t.Errorf("%d bytes: got %v, want %s", len(in), err, rule)
		}
	}
}

// The caller wipes its input as soon as it is sealed.
func TestResultsShareNoMemoryWithTheInput(t *testing.T) {
	for name, v := range map[string]string{
		"string": "abcd", "email": "a@b.org", "phone": "+390612345678", "person_name": "Ли Бо", "country": "DE",
		"ip_address": "192.0.2.1", "integer": "12", "url": "https://a.org/", "timestamp": "2020-01-02T03:04:05Z",
	} {
		in := []byte(v)
		got, err := compile(t, datatype.Spec{Type: name}).Canonical(in, now)
		if err != nil {
			t.Fatal(err)
		}
		if clear(in); string(got) != v {
			t.Errorf("%s: wiping the input changed the result to %q", name, got)
		}
	}
}
