package datatype_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// Every character that normalising, folding or trimming may touch is tried in
// the places where its neighbours matter: what was stored must be stored the
// same again, and found under the same form.
func TestFormsAreStableForEveryCharacter(t *testing.T) {
	text := []string{"a%b", "%%\u0345\u0301x"}
	shapes := map[*datatype.Type][]string{
		compile(t, datatype.Spec{Type: "person_name"}):                              text,
		compile(t, datatype.Spec{Type: "national_id", Pattern: "(?s).+"}):           text,
		compile(t, datatype.Spec{Type: "email"}):                                    {"%@example.org", "a@b%.org"},
		compile(t, datatype.Spec{Type: "pattern", Pattern: "(?s).+", MaxLength: 9}): {"%"},
	}
	tried := 0
	for r := rune(0x80); r <= utf8.MaxRune && !t.Failed(); r++ {
		if !isLively(r) {
			continue
		}
		tried++
		for typ, shapes := range shapes {
			for _, shape := range shapes {
				checkStable(t, typ, []byte(strings.ReplaceAll(shape, "%", string(r))))
			}
		}
	}
	if tried < 10000 {
		t.Errorf("%d characters tried, want all that change", tried)
	}
}

// isLively picks what is not its own normal form, has case, combines, or
// cannot be seen, and a sample of the rest.
func isLively(r rune) bool {
	switch {
	case unicode.In(r, unicode.Co, unicode.Cs):
		return false
	case unicode.In(r, unicode.M, unicode.Cf, unicode.Z, unicode.Lu, unicode.Lt):
		return true
	case unicode.Is(unicode.Hangul, r), unicode.Is(unicode.Unified_Ideograph, r):
		return r%64 == 0
	}
	return !norm.NFKC.IsNormalString(string(r)) || !norm.NFD.IsNormalString(string(r)) || r < 0x20000 && r%64 == 0
}

func checkStable(t *testing.T, typ *datatype.Type, in []byte) {
	t.Helper()
	canonical, err := typ.Canonical(in, now)
	if err != nil {
		return
	}
	if again, err := typ.Canonical(canonical, now); err != nil || !bytes.Equal(again, canonical) {
		t.Errorf("%s: Canonical(%+q) = %+q, %v; want it unchanged", typ.Name(), canonical, again, err)
	}
	match := typ.Match(canonical)
	if twice := typ.Match(match); len(match) == 0 || !bytes.Equal(twice, match) {
		t.Errorf("%s: Match(%+q) = %+q; want it unchanged and not empty", typ.Name(), match, twice)
	}
}
