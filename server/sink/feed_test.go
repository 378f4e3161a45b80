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
