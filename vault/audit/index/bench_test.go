package index_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
)

// load is a log that is made up while it is read: reveals of a number of
// subjects each out of many, by twenty principals.
type load struct {
	size     uint64
	subjects int // in an entry
	of       uint64
}

func (l load) First() uint64 { return 0 }
func (l load) Size() uint64  { return l.size }

func (l load) Wait(ctx context.Context, size uint64) error {
	if l.size > size {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (l load) Read(from uint64, fn func(uint64, []byte) error) error {
	var raw []byte
	e := &audit.Entry{Action: audit.ActionReveal, Outcome: audit.Allowed, Request: "a request", View: "masked"}
	for i := from; i < l.size; i++ {
		l.fill(e, i)
		raw = e.Append(raw[:0])
		if err := fn(i, raw); err != nil {
			return err
		}
	}
	return nil
}

// fill makes e the entry number i.
func (l load) fill(e *audit.Entry, i uint64) {
	r := rand.NewPCG(i, 1)
	binary.BigEndian.PutUint64(e.ID[:], i+1)
	e.Time = at(int(i / 100))
	e.Principal = fmt.Sprintf("spiffe://example/service/%d", r.Uint64()%20)
	e.Purpose = purposes[i%2+1]
	e.Action, e.Outcome = audit.ActionReveal, audit.Allowed
	if i%50 == 7 {
		e.Action, e.Outcome = audit.ActionUpdate, audit.Refused
	}
	e.Items = e.Items[:0]
	for range l.subjects {
		e.Items = append(e.Items, audit.Item{Subject: number16(r.Uint64() % l.of), Field: uint32(1 + i%5), Outcome: audit.Allowed})
	}
}

// number16 is a subject's reference as a cipher would give it.
func number16(n uint64) (ref [16]byte) {
	r := rand.NewPCG(n, 2)
	binary.BigEndian.PutUint64(ref[:], r.Uint64())
	binary.BigEndian.PutUint64(ref[8:], r.Uint64())
	return ref
}

// onDisk opens a store in a folder of the benchmark.
func onDisk(b *testing.B) (*boltstore.Store, string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "index.db")
	s, err := boltstore.Open(boltstore.Options{Path: path, Tables: index.Tables()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s, path
}

// BenchmarkBuild measures a whole build, the making of the log included (see
// source=only); one operation is an entry.
func BenchmarkBuild(b *testing.B) {
	for _, subjects := range []int{1, 100, 1000} {
		l := load{subjects: subjects, of: 1_000_000}
		b.Run(fmt.Sprintf("subjects=%d/source=only", subjects), func(b *testing.B) {
			l.size = uint64(b.N)
			var d audit.Decoder
			b.ReportAllocs()
			b.ResetTimer()
			if err := l.Read(0, func(_ uint64, raw []byte) error { _, err := d.Decode(raw); return err }); err != nil {
				b.Fatal(err)
			}
		})
		b.Run(fmt.Sprintf("subjects=%d", subjects), func(b *testing.B) {
			l.size = uint64(b.N)
			s, path := onDisk(b)
			b.ReportAllocs()
			b.ResetTimer()
			x := open(b, index.Options{Log: l, Store: s})
			if err := x.Await(b.Context(), l.size); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			_ = x.Close()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "entries/s")
			if info, err := os.Stat(path); err == nil {
				b.ReportMetric(float64(info.Size())/float64(b.N), "B/entry")
			}
		})
	}
}

// BenchmarkFind asks for random keys among a million entries on disk.
func BenchmarkFind(b *testing.B) {
	l := load{size: 1_000_000, subjects: 1, of: 200_000}
	s, _ := onDisk(b)
	x := open(b, index.Options{Log: l, Store: s})
	defer x.Close()
	if err := x.Await(b.Context(), l.size); err != nil {
		b.Fatal(err)
	}
	queries := []struct {
		name string
		make func(i uint64) index.Query
		page int
	}{
		{"subject", func(i uint64) index.Query {
			return index.Query{All: []index.Key{index.Subject(number16(i % l.of))}}
		}, 0},
		{"subject and action", func(i uint64) index.Query {
			return index.Query{All: []index.Key{index.Subject(number16(i % l.of)), index.Action(audit.ActionUpdate)}}
		}, 0},
		{"principal, a page", func(i uint64) index.Query {
			return index.Query{All: []index.Key{index.Principal(fmt.Sprintf("spiffe://example/service/%d", i%20))}, Newest: true}
		}, 100},
		{"principal and field, all", func(i uint64) index.Query {
			return index.Query{All: []index.Key{index.Principal(fmt.Sprintf("spiffe://example/service/%d", i%20)), index.Field(uint32(1 + i%5))}}
		}, 0},
	}
	for _, q := range queries {
		b.Run(q.name, func(b *testing.B) {
			found, asked := 0, uint64(0)
			b.ReportAllocs()
			for b.Loop() {
				asked += 7919
				n := 0
				_, err := x.Find(b.Context(), q.make(asked), func(uint64) error {
					if n++; n == q.page {
						return errInjected
					}
					return nil
				})
				if err != nil && err != errInjected {
					b.Fatal(err)
				}
				found += n
			}
			b.ReportMetric(float64(found)/float64(b.N), "entries/op")
		})
	}
}
