package datatype_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// everyType compiles each type with each of its masks, and with the options
// that change what passes.
func everyType(t testing.TB) []*datatype.Type {
	var all []*datatype.Type
	for _, name := range datatype.Names() {
		for _, mask := range datatype.Masks(name) {
			spec := datatype.Spec{Type: name, Mask: mask}
			if name == "pattern" {
				spec.Pattern = `(?s).+`
			}
			all = append(all, compile(t, spec))
		}
	}
	return append(all, compile(t, datatype.Spec{Type: "national_id", Pattern: `(?s).+`}))
}

// checkForms holds for the canonical form of every value of every type.
func checkForms(t *testing.T, typ *datatype.Type, canonical []byte) {
	t.Helper()
	before := bytes.Clone(canonical)
	again, err := typ.Canonical(canonical, now)
	if err != nil || !bytes.Equal(again, canonical) {
		t.Errorf("%s: Canonical(%q) = %q, %v; want it unchanged", typ.Name(), canonical, again, err)
	}
	match := typ.Match(canonical)
	if len(match) == 0 {
		t.Errorf("%s: the match form of %q is empty", typ.Name(), canonical)
	}
	if twice := typ.Match(match); !bytes.Equal(twice, match) {
		t.Errorf("%s: Match(%q) = %q; want it unchanged", typ.Name(), match, twice)
	}
	if !typ.Binary() && !utf8.Valid(match) {
		t.Errorf("%s: the match form of %q is no UTF-8", typ.Name(), canonical)
	}
	checkMask(t, typ, canonical)
	if !bytes.Equal(canonical, before) {
		t.Errorf("%s: %q was changed to %q", typ.Name(), before, canonical)
	}
}

// checkMask holds for any bytes.
func checkMask(t *testing.T, typ *datatype.Type, canonical []byte) {
	t.Helper()
	const prefix = "before "
	masked, ok := bytes.CutPrefix(typ.AppendMask([]byte(prefix), canonical), []byte(prefix))
	if !ok || len(masked) == 0 {
		t.Errorf("%s: the mask of %q is no addition: %q", typ.Name(), canonical, masked)
	}
	if bytes.Equal(masked, canonical) {
		t.Errorf("%s: the mask of %q is the value", typ.Name(), canonical)
	}
	if utf8.RuneCount(canonical) > 3 && bytes.Contains(masked, canonical) {
		t.Errorf("%s: the mask of %q holds the value: %q", typ.Name(), canonical, masked)
	}
	if !utf8.Valid(masked) {
		t.Errorf("%s: the mask of %q is no UTF-8: %q", typ.Name(), canonical, masked)
	}
}

func FuzzForms(f *testing.F) {
	for _, seed := range []string{
		"", " ", "\x00", "\xff", "Jett_Grant72@example.net", "用户@例子。广告", "a@xn--bcher-kva.example", "+49 (0)30 1234567",
		"0013468933579", "call me", "梓晨汤", "José  Emilio", "J. D.", "31/02/1990", "1977-12-19", "4111 1111 1111 1111",
		"GB82 WEST 1234 5698 7654 32", "440074674", "SW1A 1AA", "de", "::ffff:192.0.2.1", "e751::1", "-73.5454,-0.0", "*******", "****",
		"https://Bücher.example:443/ä?x=%zz#f", "http://[::1%25x]/", "007.50", "-0", "YES", "2021-09-05T02:40:17.44+05:30", "zh_hant-TW",
		"\u1E9B\u0323", "İıſKẞ", "ﷺ", "\u00A8", "e" + strings.Repeat("\u0301\u0323", 40), "a\u200Bb", "ΌΣΟΣ", "\u0345\u0390", "****1234", "**ab",
	} {
		f.Add([]byte(seed))
	}
	all := everyType(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		before := bytes.Clone(in)
		for _, typ := range all {
			canonical, err := typ.Canonical(in, now)
			if !bytes.Equal(in, before) {
				t.Fatalf("%s changed its input", typ.Name())
			}
			checkMask(t, typ, in)
			typ.Match(in)
			if err == nil {
				checkForms(t, typ, canonical)
				continue
			}
			var refused *datatype.RuleError
			if !errors.As(err, &refused) || refused.Rule == "" || refused.Detail == "" {
				t.Fatalf("%s: %#v is no RuleError", typ.Name(), err)
			}
			checkSilence(t, typ, err.Error(), in)
		}
	})
}

// checkSilence: the text of a refusal is a fixed sentence about the rule. A
// value that happens to be a piece of it proves nothing, so a second, marked
// value that breaks in the same way must give the same text or one that does
// not hold the mark.
func checkSilence(t *testing.T, typ *datatype.Type, text string, in []byte) {
	t.Helper()
	const mark = "q7Zk"
	_, err := typ.Canonical(append(bytes.Clone(in), mark...), now)
	if err != nil && strings.Contains(err.Error(), mark) {
		t.Errorf("%s: a refusal repeats its input: %v", typ.Name(), err)
	}
	if utf8.RuneCount(in) >= 16 && strings.Contains(text, string(in)) {
		t.Errorf("%s: a refusal repeats its input: %s", typ.Name(), text)
	}
}
