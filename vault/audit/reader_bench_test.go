package audit_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
)

func BenchmarkAt(b *testing.B) {
	const size = 200_000
	dir := filepath.Join(b.TempDir(), "audit")
	fill, err := audit.Open(dir, audit.Options{})
	if err != nil {
		b.Fatal(err)
	}
	s, err := newSigner()
	if err != nil {
		b.Fatal(err)
	}
	if err := fill.Publish(b.Context(), []*tree.Signer{s}, nil); err != nil {
		b.Fatal(err)
	}
	var last audit.Receipt
	for i := range size {
		last = fill.Append(numbered(i))
	}
	if err := waitFor(last); err != nil {
		b.Fatal(err)
	}
	if err := fill.Close(); err != nil {
		b.Fatal(err)
	}
	log := open(b, dir, audit.Options{})
	for _, published := range []bool{false, true} {
		if published {
			if err := log.Publish(b.Context(), []*tree.Signer{s}, nil); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("published=%t", published), func(b *testing.B) {
			rng := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				index := rng.Uint64N(size)
				err := log.At(b.Context(), []uint64{index}, func(index uint64, raw []byte) error {
					holds(b, index, raw)
					return nil
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("read=tail", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if err := log.Read(size-1, func(uint64, []byte) error { return nil }); err != nil {
				b.Fatal(err)
			}
		}
	})
}
