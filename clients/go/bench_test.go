package cloakroom_test

import (
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

func BenchmarkDetokenize1000(b *testing.B) {
	client := dial(b, fakeserver.Start(b))
	tokens, _ := stored(b, client, 1000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := client.Detokenize(b.Context(), tokens, "order_updates"); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDetokenizeAll1000(b *testing.B) {
	client := dial(b, fakeserver.Start(b))
	tokens, _ := stored(b, client, 1000)
	b.ReportAllocs()
	for b.Loop() {
		for r, err := range client.DetokenizeAll(b.Context(), slices.Values(tokens), "order_updates") {
			if err != nil || r.Err != nil {
				b.Fatal(err, r.Err)
			}
		}
	}
}
