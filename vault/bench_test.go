package vault_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
)

const benchPeople = 10_000

// benchVault is a vault on files with a real log, and the tokens of a card of
// each of its people.
func benchVault(b *testing.B) (*vault.Vault, []string) {
	b.Helper()
	dir := b.TempDir()
	if err := filekek.Generate(filepath.Join(dir, "kek")); err != nil {
		b.Fatal(err)
	}
	if _, err := filekek.CreateEpochs(filepath.Join(dir, "epochs")); err != nil {
		b.Fatal(err)
	}
	p, err := openParts(b.Context(), dir, true)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := p.close(); err != nil {
			b.Error(err)
		}
	})
	if _, _, err := p.vault.ApplyPolicy(b.Context(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy)}); err != nil {
		b.Fatal(err)
	}
	var tokens []string
	for first := 0; first < benchPeople; first += vault.MaxBatch {
		r, err := p.vault.PutRecords(b.Context(), as("shop"), benchBatch(first, vault.MaxBatch, false))
		if err != nil {
			b.Fatal(err)
		}
		for i := range r {
			tokens = append(tokens, tokensOf(r[i].Record, "card")[0])
		}
	}
	return p.vault, tokens
}

func benchBatch(first, n int, upsert bool) vault.PutRequest {
	q := vault.PutRequest{Collection: "customers", Upsert: upsert}
	for i := range n {
		q.Records = append(q.Records, record(fmt.Sprintf("c-%d", first+i), "full_name", "Ada Lovelace", "card", "4111111111111111", "note", "likes tea"))
	}
	return q
}

func BenchmarkDetokenize(b *testing.B) {
	v, tokens := benchVault(b)
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			var out vault.Revealed
			at := 0
			b.ReportAllocs()
			for b.Loop() {
				if at+n > len(tokens) {
					at = 0
				}
				err := v.Detokenize(b.Context(), as("billing"), vault.DetokenizeRequest{Tokens: tokens[at : at+n], Purpose: "payment"}, &out)
				if err != nil || out.Items[0].Err != nil {
					b.Fatal(err)
				}
				at += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/item")
		})
	}
}

// BenchmarkRefused is the path of a decision that refuses every item: parse,
// decide, and the entry in the log.
func BenchmarkRefused(b *testing.B) {
	v, tokens := benchVault(b)
	var out vault.Revealed
	b.ReportAllocs()
	for b.Loop() {
		err := v.Detokenize(b.Context(), as("billing"), vault.DetokenizeRequest{Tokens: tokens[:1000], Purpose: "support"}, &out)
		if err != nil || out.Items[0].Err == nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*1000), "ns/item")
}

func BenchmarkPutRecords(b *testing.B) {
	for _, upsert := range []bool{false, true} {
		for _, n := range []int{1, 1000} {
			b.Run(fmt.Sprintf("upsert=%t/%d", upsert, n), func(b *testing.B) {
				v, _ := benchVault(b)
				first := benchPeople
				if upsert {
					first = 0
				}
				b.ReportAllocs()
				for b.Loop() {
					r, err := v.PutRecords(b.Context(), as("shop"), benchBatch(first, n, upsert))
					if err != nil || r[0].Err != nil {
						b.Fatal(err)
					}
					if first += n; upsert && first+n > benchPeople {
						first = 0
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/item")
			})
		}
	}
}

// BenchmarkPutParallel is many callers of single records: they share commits.
func BenchmarkPutParallel(b *testing.B) {
	v, _ := benchVault(b)
	var next = make(chan int, 1)
	next <- benchPeople
	b.SetParallelism(32)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			n := <-next
			next <- n + 1
			if r, err := v.PutRecords(b.Context(), as("shop"), benchBatch(n, 1, false)); err != nil || r[0].Err != nil {
				b.Error(err)
				return
			}
		}
	})
}
