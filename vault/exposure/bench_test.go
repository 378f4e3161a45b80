package exposure_test

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/exposure"
)

// busy makes entry n of a busy vault: 20 callers, 8 fields, and persons whose
// references look random, as enciphered ones do.
func busy(e *audit.Entry, n, persons, items int) {
	*e = audit.Entry{
		ID: [16]byte{1}, Time: start.Add(time.Duration(n) * time.Millisecond), Action: audit.ActionReveal,
		Request: "01JQ8Z6C4V9R7XKTQ2M5W3N8YB", Principal: fmt.Sprintf("spiffe://example.org/caller/%d", n%20),
		Purpose: []string{"delivery", "payment"}[n%2], View: "plain", PolicyVersion: 7,
		Outcome: audit.Allowed, Count: uint32(items), Items: e.Items[:0],
	}
	for i := range items {
		it := audit.Item{Field: uint32(n+i)%8 + 1, Outcome: audit.Allowed, KeyVersion: 3}
		who := (uint64(n)*uint64(items) + uint64(i)) * 0x9e3779b97f4a7c15 % uint64(persons)
		binary.BigEndian.PutUint64(it.Subject[:], (who+1)*0xbf58476d1ce4e5b9)
		binary.BigEndian.PutUint64(it.Subject[8:], (who+1)*0x94d049bb133111eb)
		e.Items = append(e.Items, it)
	}
}

// BenchmarkAdd counts an entry into a million rows that are there.
func BenchmarkAdd(b *testing.B) {
	for _, items := range []int{1, 10, 1000} {
		b.Run(fmt.Sprintf("items=%d", items), func(b *testing.B) {
			tally := exposure.New(exposure.Query{})
			list := make([]audit.Entry, 250_000/items)
			for i := range list {
				busy(&list[i], i, 125_000, items)
				if err := tally.Add(uint64(i), &list[i]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportAllocs()
			for n := 0; b.Loop(); n++ {
				if err := tally.Add(uint64(n), &list[n%len(list)]); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(items), "ns/item")
		})
	}
}

// BenchmarkScan reads 200,000 entries in memory.
func BenchmarkScan(b *testing.B) {
	const entries = 200_000
	log := audit.Memory()
	var e audit.Entry
	for n := range entries {
		busy(&e, n, 50_000, 1)
		if _, err := log.Append(&e).Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	for name, q := range map[string]exposure.Query{
		"all":       {},
		"principal": {Principals: []string{"spiffe://example.org/caller/7"}},
		"window":    {From: start, To: start.Add(time.Second)},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := exposure.Scan(b.Context(), log, q, nil); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(entries*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
		})
	}
}

// BenchmarkRows reads 200,000 rows that are sorted already.
func BenchmarkRows(b *testing.B) {
	tally := exposure.New(exposure.Query{})
	var e audit.Entry
	for n := range 200_000 {
		busy(&e, n, 50_000, 1)
		if err := tally.Add(uint64(n), &e); err != nil {
			b.Fatal(err)
		}
	}
	rows := tally.Summary().Rows
	b.ReportAllocs()
	for b.Loop() {
		for range tally.Rows() {
		}
	}
	b.ReportMetric(float64(rows)*float64(b.N)/b.Elapsed().Seconds(), "rows/s")
}
