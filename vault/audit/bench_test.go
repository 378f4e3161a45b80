package audit_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// BenchmarkAppend measures Append and Wait in a closed loop of callers.
func BenchmarkAppend(b *testing.B) {
	for _, callers := range []int{1, 16, 64, 256} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			log, err := audit.Open(b.TempDir(), audit.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer log.Close()
			before := log.Stats()
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for i := range callers {
				n := b.N / callers
				if i < b.N%callers {
					n++
				}
				wg.Go(func() {
					e := *sample()
					for range n {
						e.ID = [16]byte{}
						if _, err := log.Append(&e).Wait(context.Background()); err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			after := log.Stats()
			b.ReportMetric(float64(after.Fsyncs-before.Fsyncs)/float64(b.N), "fsyncs/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// large is the entry of a reveal of a thousand items.
func large() *audit.Entry {
	e := sample()
	e.Items = nil
	for i := range 1000 {
		e.Items = append(e.Items, audit.Item{Subject: [16]byte{byte(i >> 8), byte(i), 7}, Field: 3, Outcome: audit.Allowed})
	}
	return e
}

func BenchmarkEncode(b *testing.B) {
	for name, e := range map[string]*audit.Entry{"items=3": sample(), "items=1000": large()} {
		b.Run(name, func(b *testing.B) {
			buf := e.Append(nil)
			b.ReportMetric(float64(len(buf)), "bytes")
			b.ReportAllocs()
			for b.Loop() {
				buf = e.Append(buf[:0])
			}
		})
	}
}

func BenchmarkDecode(b *testing.B) {
	for name, e := range map[string]*audit.Entry{"items=3": sample(), "items=1000": large()} {
		b.Run(name, func(b *testing.B) {
			raw := e.Append(nil)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := audit.Decode(raw); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	e := large()
	b.ReportAllocs()
	for b.Loop() {
		if err := e.Validate(); err != nil {
			b.Fatal(err)
		}
	}
}
