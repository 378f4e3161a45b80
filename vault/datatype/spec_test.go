package datatype_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// The numbers are on disk. A new type takes the next one; none may change.
func TestNumbersOfTypes(t *testing.T) {
	want := []string{
		"string", "email", "phone", "person_name", "date", "birth_date", "payment_card", "iban", "national_id",
		"street", "city", "region", "postal_code", "country", "ip_address", "coordinates", "url", "bytes",
		"integer", "decimal", "boolean", "timestamp", "language", "pattern",
	}
	if got := datatype.Names(); !slices.Equal(got, want) {
		t.Fatalf("Names() = %q, want %q", got, want)
	}
	for i, name := range want {
		typ := compile(t, datatype.Spec{Type: name, Pattern: patternFor(name)})
		if typ.Name() != name || int(typ.Number()) != i+1 {
			t.Errorf("%s: name %q, number %d; want %d", name, typ.Name(), typ.Number(), i+1)
		}
		if typ.Binary() != (name == "bytes") {
			t.Errorf("%s: Binary() = %v", name, typ.Binary())
		}
	}
}

func TestCompileRefuses(t *testing.T) {
	for _, r := range []struct {
		name string
		spec datatype.Spec
		want error
		says string
	}{
		{"no type", datatype.Spec{}, datatype.ErrUnknownType, "person_name"},
		{"unknown type", datatype.Spec{Type: "Email"}, datatype.ErrUnknownType, `"Email"`},
		{"negative length", datatype.Spec{Type: "string", MaxLength: -1}, datatype.ErrLength, "1 to 16384"},
		{"length past the ceiling", datatype.Spec{Type: "string", MaxLength: 16385}, datatype.ErrLength, "1 to 16384"},
		{"e-mail past 254", datatype.Spec{Type: "email", MaxLength: 255}, datatype.ErrLength, "1 to 254"},
		{"bytes past 64 KiB", datatype.Spec{Type: "bytes", MaxLength: 65537}, datatype.ErrLength, "1 to 65536"},
		{"length of a date", datatype.Spec{Type: "date", MaxLength: 10}, datatype.ErrLength, "takes no maximum length"},
		{"missing pattern", datatype.Spec{Type: "pattern"}, datatype.ErrPattern, "needs one"},
		{"pattern of an e-mail", datatype.Spec{Type: "email", Pattern: "a"}, datatype.ErrPattern, "takes no pattern"},
		{"not RE2", datatype.Spec{Type: "pattern", Pattern: `(?=a)`}, datatype.ErrPattern, "invalid"},
		{"escape from the anchors", datatype.Spec{Type: "pattern", Pattern: `a)|(?:b`}, datatype.ErrPattern, "unexpected )"},
		{"long pattern", datatype.Spec{Type: "pattern", Pattern: strings.Repeat("a", 1025)}, datatype.ErrPattern, "1024"},
		{"unknown mask", datatype.Spec{Type: "email", Mask: "half"}, datatype.ErrMask, "email, full"},
		{"mask of another type", datatype.Spec{Type: "integer", Mask: "last4"}, datatype.ErrMask, "integer offers full"},
		{"scale of an integer", datatype.Spec{Type: "integer", Scale: 1}, datatype.ErrScale, "takes no scale"},
		{"negative scale", datatype.Spec{Type: "decimal", Scale: -1}, datatype.ErrScale, "1 to 18"},
		{"scale past 18", datatype.Spec{Type: "decimal", Scale: 19}, datatype.ErrScale, "1 to 18"},
	} {
		t.Run(r.name, func(t *testing.T) {
			typ, err := datatype.Compile(r.spec)
			if typ != nil || !errors.Is(err, r.want) || !strings.Contains(err.Error(), r.says) {
				t.Errorf("got %v; want %v that says %q", err, r.want, r.says)
			}
		})
	}
}

func TestMasksOfTypes(t *testing.T) {
	for _, name := range datatype.Names() {
		masks := datatype.Masks(name)
		if !slices.Contains(masks, "full") {
			t.Errorf("%s offers no full mask: %q", name, masks)
		}
		for _, mask := range masks {
			compile(t, datatype.Spec{Type: name, Mask: mask, Pattern: patternFor(name)})
		}
		masks[0] = "changed"
		if datatype.Masks(name)[0] == "changed" {
			t.Errorf("%s: the caller can change the list", name)
		}
	}
	if datatype.Masks("Email") != nil {
		t.Error("an unknown type offers masks")
	}
}
