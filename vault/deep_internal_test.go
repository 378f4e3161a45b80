package vault

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// The book finds what was entered, each item once, and every slot of a person
// from any of theirs.
func TestBook(t *testing.T) {
	type key struct {
		ref   uint64
		field uint32
		item  uint16
	}
	rapid.Check(t, func(t *rapid.T) {
		b, known := newBook(), map[key]uint32{}
		n := rapid.IntRange(1, 400).Draw(t, "items")
		for range n {
			k := key{rapid.Uint64Range(1, 20).Draw(t, "ref"), rapid.Uint32Range(0, 4).Draw(t, "field"), rapid.Uint16Range(0, 5).Draw(t, "item")}
			if rapid.Bool().Draw(t, "large") {
				k.ref, k.field, k.item = k.ref|1<<48, slotField-k.field, ^k.item
			}
			at, fresh := b.enter(k.ref, k.field, k.item)
			was, had := known[k]
			if fresh == had || had && was != at {
				t.Fatalf("slot %d, new: %t; it was %d, %t", at, fresh, was, had)
			}
			known[k] = at
			b.at(at).set(slotGone | slotUnsure)
			b.at(at).setEntry(EntryNumber(at))
		}
		if int(b.used) != len(known) {
			t.Fatalf("%d slots for %d items", b.used, len(known))
		}
		persons := map[uint64][]uint32{}
		for k, at := range known {
			s := b.at(at)
			if b.find(k.ref, k.field, k.item) != at || s.ref != k.ref || s.field() != k.field || s.item() != k.item || s.entry() != EntryNumber(at) || s.has(slotSeen) || !s.has(slotGone) {
				t.Fatalf("slot %d is %+v", at, s)
			}
			persons[k.ref] = append(persons[k.ref], at)
		}
		for ref, want := range persons {
			var got []uint32
			for at := b.person(ref); at != 0; at = b.at(at).next {
				got = append(got, at)
			}
			slices.Sort(got)
			slices.Sort(want)
			if !slices.Equal(got, want) {
				t.Fatalf("a person has the slots %v, want %v", got, want)
			}
		}
		if b.find(99, 1, 1) != 0 || b.person(99) != 0 {
			t.Fatal("somebody is known whom nobody entered")
		}
	})
}

// An entry may be the last when none comes after it both in order and in time.
func TestLastOf(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var events []event
		for i, at := range rapid.SliceOfN(rapid.Int64Range(0, 6), 1, 12).Draw(t, "times") {
			events = append(events, event{order: uint64(i), at: at})
		}
		var want []uint64
		for i, e := range events {
			if !slices.ContainsFunc(events[i+1:], func(later event) bool { return later.at >= e.at }) {
				want = append(want, e.order)
			}
		}
		slices.Reverse(want)
		var got []uint64
		for _, e := range lastOf(events) {
			got = append(got, e.order)
		}
		if !slices.Equal(got, want) {
			t.Fatalf("the last are %v, want %v", got, want)
		}
		// What a slot keeps is the same, as long as it is sure.
		var s slot
		for i := range events {
			events[i].hash[0], events[i].entry = byte(i), EntryNumber(i+1)
			s.note(i == 0, &events[i])
		}
		if last := events[want[0]]; !s.has(slotUnsure) && (len(want) != 1 || s.hash != last.hash || s.entry() != last.entry) {
			t.Fatalf("the slot is sure of entry %v, and the last are %v", s.entry(), want)
		}
	})
}

// BenchmarkBook enters a million persons with a record of five items each.
func BenchmarkBook(b *testing.B) {
	b.ReportAllocs()
	const persons, items = 1_000_000, 5
	for b.Loop() {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		book := newBook()
		for ref := range uint64(persons) {
			for item := range uint32(items + 1) {
				n, fresh := book.enter(1<<48|ref, item, 1)
				book.at(n).note(fresh, &event{at: int64(ref), entry: EntryNumber(ref), hash: [16]byte{byte(rand.Uint32())}})
			}
		}
		runtime.GC()
		runtime.ReadMemStats(&after)
		b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/float64(book.used), "B/slot")
		runtime.KeepAlive(book)
	}
}
