package keys_test

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// withHistory returns a vault with so many fields, each of so many versions.
// The first field is made by the package, one version after the other; the
// others are copies of it under their own numbers, sealed by hand.
func withHistory(t testing.TB, fields, versions int) (*keystest.Storage, keys.KEK) {
	t.Helper()
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	first := keys.ID{Kind: keys.KindField, Number: 1}
	ring, err := keys.Create(t.Context(), st, kek, vaultA)
	if err == nil {
		err = ring.Ensure(t.Context(), first)
	}
	for range versions - 1 {
		if err == nil {
			_, err = ring.Rotate(t.Context(), first)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	o := byHand(t, st, kek, "field/1")
	var rows []keys.Row
	for n := 2; n <= fields; n++ {
		o.header[4], o.header[5] = byte(n>>8), byte(n)
		rows = append(rows, keys.Row{Name: fmt.Sprintf("field/%d", n), Blob: o.seal(t)})
	}
	if err := st.Save(t.Context(), rows, nil); err != nil {
		t.Fatal(err)
	}
	return st, kek
}

// An old version opens as fast as it did, from many at once, whether its cipher
// was made already or not.
func TestManyVersions(t *testing.T) {
	st, kek := withHistory(t, 2, 100)
	ring := must(keys.Open(t.Context(), st, kek, vaultA))(t)
	a := ring.Snapshot().Field(2)
	done := make(chan error)
	for v := uint16(1); v <= 100; v++ {
		old := sealedUnder(t, ring, 2, v)
		for range 2 {
			go func() {
				out, err := a.Open(nil, old, nil)
				if err == nil && string(out) != "value" {
					err = fmt.Errorf("version %d opened to something else", v)
				}
				done <- err
			}()
		}
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("version %d: %v", v, err)
			}
		}
		if got := must(a.KeyVersion(old))(t); got != v {
			t.Errorf("version %d, want %d", got, v)
		}
	}
}

// sealedUnder seals under an old version, by way of a Ring in which it is the
// primary one.
func sealedUnder(t *testing.T, ring *keys.Ring, field uint32, version uint16) []byte {
	t.Helper()
	id := keys.ID{Kind: keys.KindField, Number: field}
	check(t, ring.Promote(t.Context(), id, version))
	return ring.Snapshot().Field(field).Seal(nil, []byte("value"), nil)
}

// BenchmarkOpenRing is a start with a long history of keys.
func BenchmarkOpenRing(b *testing.B) {
	for _, size := range [][2]int{{1000, 1}, {1000, 10}, {1000, 100}} {
		b.Run(fmt.Sprintf("fields=%d/versions=%d", size[0], size[1]), func(b *testing.B) {
			st, kek := withHistory(b, size[0], size[1])
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			ring, err := keys.Open(b.Context(), st, kek, vaultA)
			if err != nil {
				b.Fatal(err)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			heap := float64(after.HeapAlloc) - float64(before.HeapAlloc)
			runtime.KeepAlive(ring)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := keys.Open(b.Context(), st, kek, vaultA); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(heap/float64(size[0]*size[1]), "held-B/version")
		})
	}
}

// BenchmarkHistory opens under the newest and an old one of so many versions:
// the time must not rise with their number.
func BenchmarkHistory(b *testing.B) {
	for _, versions := range []int{1, 2, 8, 9, 100} {
		st, kek := withHistory(b, 1, versions)
		ring, err := keys.Open(b.Context(), st, kek, vaultA)
		if err != nil {
			b.Fatal(err)
		}
		first := ring.Snapshot().Field(1)
		ad, dst := make([]byte, 48), make([]byte, 0, 256)
		newest := first.Seal(nil, make([]byte, 32), ad)
		if err := ring.Promote(b.Context(), keys.ID{Kind: keys.KindField, Number: 1}, uint16(versions+1)/2); err != nil {
			b.Fatal(err)
		}
		old := ring.Snapshot().Field(1).Seal(nil, make([]byte, 32), ad)
		for name, sealed := range map[string][]byte{"newest": newest, "old": old} {
			b.Run(fmt.Sprintf("%s/versions=%d", name, versions), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					if _, err := first.Open(dst, sealed, ad); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}

// BenchmarkSealParallel seals under one version, and under two, from all
// processors: the counts must not get in the way.
func BenchmarkSealParallel(b *testing.B) {
	for _, fields := range []uint32{1, 2} {
		b.Run(fmt.Sprintf("fields=%d", fields), func(b *testing.B) {
			ring := keystest.NewRing(b, field7, keys.ID{Kind: keys.KindField, Number: 8})
			turn := make(chan uint32, 1024)
			for i := range uint32(1024) {
				turn <- 7 + i%fields
			}
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				a := ring.Snapshot().Field(<-turn)
				plaintext, ad, dst := make([]byte, 32), make([]byte, 48), make([]byte, 0, 256)
				for pb.Next() {
					a.Seal(dst, plaintext, ad)
				}
			})
		})
	}
}
