package otlp_test

import (
	"log/slog"
	"net/http"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// A collector that is overloaded for a while gets everything, in order, once.
func TestFollowsThroughRefusals(t *testing.T) {
	c := newCollector(t, "/v1/logs")
	var asked atomic.Int64
	c.answer = func(w http.ResponseWriter, _ int) {
		if n := asked.Add(1); n <= 3 {
			w.WriteHeader([]int{0, 429, 503, 504}[n])
		}
	}
	log := audit.Memory()
	for range 25 {
		log.Append(&audit.Entry{Action: audit.ActionReveal, Outcome: audit.Allowed})
	}
	f, err := sink.Start(sink.Options{
		Name: "otel", Target: c.target(t, nil), Begin: sink.AtZero, MaxEntries: 10, Logger: slog.New(slog.DiscardHandler),
		MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
		Feed: sink.NewFeed(log, func(uint64, *audit.Entry) ([]byte, error) { return []byte("{}"), nil }),
	})
	must(t, err)
	var got []uint64
	for i := range 6 { // three refused and three taken
		message := <-c.got
		if i < 3 {
			continue
		}
		for _, r := range records(message) {
			got = append(got, uint64(r.GetAttributes()[0].GetValue().GetIntValue()))
		}
	}
	must(t, f.Stop(t.Context()))
	want := make([]uint64, 25)
	for i := range want {
		want[i] = uint64(i)
	}
	if s := f.Stats(); !slices.Equal(got, want) || s.Failures != 3 || s.Delivered != 25 || s.Failing {
		t.Errorf("got %v, %+v", got, s)
	}
}
