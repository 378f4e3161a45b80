package keys_test

import (
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func BenchmarkAEAD(b *testing.B) {
	ring := keystest.NewRing(b, field7)
	a, plaintext, ad, dst := ring.Snapshot().Field(7), make([]byte, 32), make([]byte, 48), make([]byte, 0, 256)
	sealed := a.Seal(nil, plaintext, ad)
	b.Run("seal", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			a.Seal(dst, plaintext, ad)
		}
	})
	b.Run("open", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := a.Open(dst, sealed, ad); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkPRF(b *testing.B) {
	p, input := keystest.NewRing(b, domain1).Snapshot().PRF(domain1), make([]byte, 32)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := p.Compute(1, "cloakroom/bench/v1", input); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSnapshotField(b *testing.B) {
	var ids []keys.ID
	for n := range uint32(100) {
		ids = append(ids, keys.ID{Kind: keys.KindField, Number: n + 1})
	}
	ring := keystest.NewRing(b, ids...)
	b.ReportAllocs()
	for b.Loop() {
		if ring.Snapshot().Field(57) == nil {
			b.Fatal("no key")
		}
	}
}

func BenchmarkSubjectKey(b *testing.B) {
	e, _ := newEpoch(b, keystest.NewEpochKEK(), 1)
	person, dst := keys.NewSubjectKey(), make([]byte, 0, 128)
	blob := e.WrapSubjectKey(nil, 1, 1, person.Expose())
	b.Run("wrap", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e.WrapSubjectKey(dst, 1, 1, person.Expose())
		}
	})
	b.Run("unwrap", func(b *testing.B) {
		var got [32]byte
		b.ReportAllocs()
		for b.Loop() {
			if err := e.UnwrapSubjectKey(blob, 1, 1, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
}
