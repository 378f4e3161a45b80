package sink_test

import (
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Sinks near the end of the log share one reading and one rendering of each
// entry, however many they are.
func TestSharedFeed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(0)
		var rendered atomic.Int64
		feed := sink.NewFeed(log, func(index uint64, e *audit.Entry) ([]byte, error) {
			rendered.Add(1)
			return render(index, e)
		})
		targets := make([]*fakeTarget, 4)
		followers := make([]*sink.Follower, len(targets))
		for i := range targets {
			targets[i] = &fakeTarget{}
			followers[i] = start(t, log, targets[i], func(o *sink.Options) { o.Feed = feed })
		}
		for range 10 {
			log.add(100)
			<-time.After(time.Second)
		}
		synctest.Wait()
		for i, f := range followers {
			stop(t, f)
			if !slices.Equal(targets[i].got, upTo(0, 1000)) {
				t.Errorf("sink %d got %d entries", i, len(targets[i].got))
			}
		}
		if n := rendered.Load(); n != 1000 {
			t.Errorf("%d renderings of 1000 entries", n)
		}
		if log.reads > 20 {
			t.Errorf("the log was read %d times for 10 additions", log.reads)
		}
	})
}

// A sink that is far behind reads for itself and takes nothing from the others.
func TestOneSinkBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(30_000) // several times what a feed keeps
		feed := sink.NewFeed(log, render)
		fast, slow := &fakeTarget{}, &fakeTarget{err: errAway}
		behind := start(t, log, slow, func(o *sink.Options) { o.Feed = feed })
		near := start(t, log, fast, func(o *sink.Options) { o.Feed, o.Begin = feed, sink.AtEnd })
		log.add(10)
		<-time.After(time.Second)
		slow.fail(nil)
		for range 120 {
			log.add(1)
			<-time.After(time.Second)
		}
		synctest.Wait()
		if got := fast.indexes(); !slices.Equal(got, upTo(30_000, log.Size())) {
			t.Errorf("the sink at the end got %d entries", len(got))
		}
		if got := slow.indexes(); !slices.Equal(got, upTo(0, log.Size())) {
			t.Errorf("the sink behind got %d entries", len(got))
		}
		stop(t, behind)
		stop(t, near)
	})
}

// While one sink catches up, the others go on sharing what they read.
func TestCatchingUpTakesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const old = 30_000
		log := newLog(old)
		var twice atomic.Int64
		seen := map[uint64]bool{}
		feed := sink.NewFeed(log, func(index uint64, e *audit.Entry) ([]byte, error) {
			if index >= old && seen[index] {
				twice.Add(1)
			}
			seen[index] = true // all sinks but the one behind render at different times
			return render(index, e)
		})
		plain := start(t, log, &slow{left: 1000, each: 30 * time.Millisecond}, func(o *sink.Options) { o.Feed, o.Plain = feed, true })
		var near []*sink.Follower
		for i, linger := range []time.Duration{110 * time.Millisecond, 510 * time.Millisecond} {
			near = append(near, start(t, log, &fakeTarget{}, func(o *sink.Options) {
				o.Feed, o.Begin, o.Linger, o.Name = feed, sink.AtEnd, linger, string(rune('a'+i))
			}))
		}
		for range 20 {
			log.add(1)
			<-time.After(70 * time.Millisecond)
		}
		for _, f := range near {
			stop(t, f)
		}
		if plain.Stats().Lag == 0 {
			t.Error("the sink behind was not behind")
		}
		stop(t, plain)
		if n := twice.Load(); n != 0 {
			t.Errorf("%d entries were rendered twice", n)
		}
		if entries, size := sink.Recent(feed); size > sink.KeptRecent || entries == 0 {
			t.Errorf("%d entries of %d bytes are kept", entries, size)
		}
	})
}

func TestRecentIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(60_000)
		feed, target := sink.NewFeed(log, render), &fakeTarget{}
		f := start(t, log, target, func(o *sink.Options) { o.Feed = feed })
		synctest.Wait()
		entries, size := sink.Recent(feed)
		if size > sink.KeptRecent || size < sink.KeptRecent/2 || entries > 30_000 {
			t.Errorf("%d entries of %d bytes are kept", entries, size)
		}
		stop(t, f)
		if !slices.Equal(target.got, upTo(0, 60_000)) {
			t.Errorf("%d entries delivered", len(target.got))
		}
	})
}

// A gap that pruning leaves under a running sink does not shift what follows.
func TestGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := newLog(10)
		feed := sink.NewFeed(log, render)
		first, second := &fakeTarget{}, &fakeTarget{}
		a := start(t, log, first, func(o *sink.Options) { o.Feed, o.MaxEntries = feed, 1 })
		b := start(t, log, second, func(o *sink.Options) { o.Feed, o.MaxEntries, o.Linger = feed, 3, time.Second })
		synctest.Wait()
		log.add(12)
		log.prune(12)
		<-time.After(3 * time.Second)
		synctest.Wait()
		stop(t, a)
		stop(t, b)
		want := append(upTo(0, 10), upTo(12, 22)...)
		if !slices.Equal(first.got, want) || !slices.Equal(second.got, want) || a.Stats().Missed != 2 || b.Stats().Missed != 2 {
			t.Errorf("got %v (%+v) and %v (%+v)", first.got, a.Stats(), second.got, b.Stats())
		}
	})
}

func BenchmarkFollow(b *testing.B) {
	const entries = 10_000
	log := newLog(entries)
	b.ReportAllocs()
	for b.Loop() {
		target := &counter{want: entries, all: make(chan struct{})}
		f, err := sink.Start(sink.Options{
			Name: "x", Feed: sink.NewFeed(log, render), Target: target, Logger: (&lines{}).logger(), Begin: sink.AtZero,
		})
		if err != nil {
			b.Fatal(err)
		}
		<-target.all
		if err := f.Stop(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(entries)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
