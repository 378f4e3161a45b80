package datatype_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

var benchValues = []struct{ name, typ, in string }{
	{"email", "email", " Jett_Grant72@Example.net"},
	{"email-idn", "email", "info@Bücher.example"},
	{"phone", "phone", "+12318833107"},
	{"phone-written", "phone", "0049 (0)30 1234567"},
	{"card", "payment_card", "4111 1111 1111 1111"},
	{"name", "person_name", "Mellie Ankunding"},
	{"name-cyrillic", "person_name", "Агафья Кононова"},
}

func BenchmarkCanonical(b *testing.B) {
	for _, v := range benchValues {
		b.Run(v.name, func(b *testing.B) {
			typ, in := compile(b, datatype.Spec{Type: v.typ}), []byte(v.in)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := typ.Canonical(in, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	for _, v := range benchValues {
		b.Run(v.name, func(b *testing.B) {
			typ := compile(b, datatype.Spec{Type: v.typ})
			canonical, err := typ.Canonical([]byte(v.in), now)
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				typ.Match(canonical)
			}
		})
	}
}

func BenchmarkAppendMask(b *testing.B) {
	for _, v := range benchValues {
		b.Run(v.name, func(b *testing.B) {
			typ := compile(b, datatype.Spec{Type: v.typ})
			canonical, err := typ.Canonical([]byte(v.in), now)
			if err != nil {
				b.Fatal(err)
			}
			dst := make([]byte, 0, 64)
			b.ReportAllocs()
			for b.Loop() {
				dst = typ.AppendMask(dst[:0], canonical)
			}
		})
	}
}
