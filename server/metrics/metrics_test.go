package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cloakroom-vault/cloakroom/server/metrics"
	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type fakeLog struct{ broken error }

func (fakeLog) Stats() audit.Stats {
	return audit.Stats{Entries: 11, Groups: 7, Fsyncs: 8, Bytes: 900, Segments: 2, Poisoned: 1}
}
func (fakeLog) First() uint64    { return 100 }
func (fakeLog) Size() uint64     { return 1011 }
func (l fakeLog) Healthy() error { return l.broken }

type fakeIndex uint64

func (i fakeIndex) Covered() uint64 { return uint64(i) }

type fakeAlarms struct{}

func (fakeAlarms) Stats() alarm.Stats {
	return alarm.Stats{Raised: map[alarm.Rule]uint64{alarm.Honey: 3, alarm.Corrupt: 0}, Lag: 5, Failures: 2}
}

const canary = "CANARY"

// all is a server with everything that there is to show.
func all(t *testing.T, broken error) *metrics.Server {
	t.Helper()
	decisions, calls := metrics.NewDecisions(), &metrics.Calls{}
	must(t, decisions.Deliver(t.Context(), []sink.Entry{
		{E: &audit.Entry{Action: audit.ActionReveal, Principal: canary, Object: canary, Request: canary, Purpose: canary, Outcome: audit.Mixed, Count: 3, Items: []audit.Item{
			{Outcome: audit.Allowed, Field: 4711}, {Outcome: audit.Allowed}, {Outcome: audit.Refused, Refusal: uint16(vault.FieldDenied)},
		}}},
		{E: &audit.Entry{Action: audit.ActionReveal, Outcome: audit.Refused, Refusal: "PRINCIPAL_UNKNOWN", Count: 1000}},
		{E: &audit.Entry{Action: audit.ActionRead, Outcome: audit.Refused, Refusal: canary}},
		{E: &audit.Entry{Action: 250, Outcome: audit.Allowed}},
		{E: &audit.Entry{Action: 251, Outcome: audit.Allowed}},
	}))
	for _, err := range []error{nil, nil, status.Error(codes.PermissionDenied, canary), context.DeadlineExceeded, errors.New(canary), status.Error(99, "")} {
		_, _ = calls.Unary(t.Context(), nil, &grpc.UnaryServerInfo{FullMethod: "/cloakroom.v1.RevealService/Reveal"},
			func(context.Context, any) (any, error) { return nil, err })
	}
	if err := calls.Stream(nil, nil, &grpc.StreamServerInfo{FullMethod: "/cloakroom.v1.RecordService/Import"}, func(any, grpc.ServerStream) error { return nil }); err != nil {
		t.Error(err)
	}
	s, err := metrics.New(metrics.Sources{
		Log: fakeLog{broken}, Index: fakeIndex(1000), Alarms: fakeAlarms{}, Decisions: decisions, Calls: calls,
		Sinks: []metrics.Sink{
			{Name: "siem", Stats: func() sink.Stats { return sink.Stats{Lag: 4, Delivered: 90, Failures: 6, Missed: 1, Failing: true} }},
			{Name: "otel", Stats: func() sink.Stats { return sink.Stats{} }, Rejected: func() uint64 { return 2 }},
		},
	}, slog.New(slog.DiscardHandler))
	must(t, err)
	return s
}

// scrape reads the metrics of the project over HTTP, sorted.
func scrape(t *testing.T, s *metrics.Server) []string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	defer func() {
		must(t, s.Close())
		must(t, <-done)
	}()
	response := get(t, "http://"+l.Addr().String()+"/metrics", http.MethodGet)
	if response.status != http.StatusOK || !strings.Contains(response.body, "go_goroutines") || !strings.Contains(response.body, "process_cpu_seconds_total") {
		t.Errorf("status %d:\n%s", response.status, response.body)
	}
	for path, method := range map[string]string{"/": http.MethodGet, "/debug/pprof/": http.MethodGet, "/metrics": http.MethodPost} {
		if other := get(t, "http://"+l.Addr().String()+path, method); other.status != http.StatusNotFound && other.status != http.StatusMethodNotAllowed {
			t.Errorf("%s %s: status %d", method, path, other.status)
		}
	}
	var lines []string
	for line := range strings.Lines(response.body) {
		if strings.HasPrefix(line, "cloakroom_") {
			lines = append(lines, strings.TrimSpace(line))
		}
	}
	return lines
}

type answer struct {
	status int
	body   string
}

func get(t *testing.T, url, method string) answer {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	must(t, err)
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(request)
	must(t, err)
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(t, err)
	return answer{response.StatusCode, string(body)}
}

func TestEverything(t *testing.T) {
	want := strings.Fields(strings.ReplaceAll(`
cloakroom_alarm_failures_total·2
cloakroom_alarm_lag·5
cloakroom_alarms_total{rule="corrupt"}·0
cloakroom_alarms_total{rule="honey"}·3
cloakroom_audit_bytes_total·900
cloakroom_audit_entries_total·11
cloakroom_audit_first·100
cloakroom_audit_fsyncs_total·8
cloakroom_audit_groups_total·7
cloakroom_audit_index_covered·1000
cloakroom_audit_index_lag·11
cloakroom_audit_segments_abandoned_total·1
cloakroom_audit_segments_total·2
cloakroom_audit_size·1011
cloakroom_audit_writable·1
cloakroom_decisions_total{action="other",outcome="allowed",reason=""}·2
cloakroom_decisions_total{action="read",outcome="refused",reason="other"}·1
cloakroom_decisions_total{action="reveal",outcome="allowed",reason=""}·2
cloakroom_decisions_total{action="reveal",outcome="refused",reason="FIELD_DENIED"}·1
cloakroom_decisions_total{action="reveal",outcome="refused",reason="PRINCIPAL_UNKNOWN"}·1000
cloakroom_grpc_calls_total{code="DeadlineExceeded",method="cloakroom.v1.RevealService/Reveal"}·1
cloakroom_grpc_calls_total{code="OK",method="cloakroom.v1.RecordService/Import"}·1
cloakroom_grpc_calls_total{code="OK",method="cloakroom.v1.RevealService/Reveal"}·2
cloakroom_grpc_calls_total{code="PermissionDenied",method="cloakroom.v1.RevealService/Reveal"}·1
cloakroom_grpc_calls_total{code="Unknown",method="cloakroom.v1.RevealService/Reveal"}·1
cloakroom_grpc_calls_total{code="other",method="cloakroom.v1.RevealService/Reveal"}·1
cloakroom_sink_delivered_total{sink="otel"}·0
cloakroom_sink_delivered_total{sink="siem"}·90
cloakroom_sink_failing{sink="otel"}·0
cloakroom_sink_failing{sink="siem"}·1
cloakroom_sink_failures_total{sink="otel"}·0
cloakroom_sink_failures_total{sink="siem"}·6
cloakroom_sink_lag{sink="otel"}·0
cloakroom_sink_lag{sink="siem"}·4
cloakroom_sink_missed_total{sink="otel"}·0
cloakroom_sink_missed_total{sink="siem"}·1
cloakroom_sink_rejected_total{sink="otel"}·2
`, "·", "="))
	s := all(t, nil)
	var got []string
	for _, line := range scrape(t, s) {
		got = append(got, strings.Replace(line, " ", "=", 1))
	}
	slices.Sort(got)
	slices.Sort(want)
	for _, line := range want {
		if !slices.Contains(got, line) {
			t.Errorf("missing: %s", line)
		}
	}
	for _, line := range got {
		if !slices.Contains(want, line) {
			t.Errorf("not expected: %s", line)
		}
		if strings.Contains(line, canary) || strings.Contains(line, "4711") {
			t.Errorf("tells what it must not: %s", line)
		}
	}
}

func TestNotWritable(t *testing.T) {
	if lines := scrape(t, all(t, audit.ErrUnavailable)); !slices.Contains(lines, "cloakroom_audit_writable 0") {
		t.Errorf("%v", lines)
	}
}

// The names and units are what people who use Prometheus expect.
func TestLint(t *testing.T) {
	problems, err := testutil.GatherAndLint(all(t, nil).Gatherer())
	must(t, err)
	for _, p := range problems {
		if strings.HasPrefix(p.Metric, "cloakroom_") {
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// What is not there is not shown.
func TestNothing(t *testing.T) {
	s, err := metrics.New(metrics.Sources{}, slog.New(slog.DiscardHandler))
	must(t, err)
	if lines := scrape(t, s); len(lines) != 0 {
		t.Errorf("%v", lines)
	}
	must(t, s.Close())
}

// Counted by a follower, behind the log and not in the path of an answer.
func TestFollowed(t *testing.T) {
	log, decisions := audit.Memory(), metrics.NewDecisions()
	f, err := sink.Start(sink.Options{
		Name: "metrics", Feed: sink.NewFeed(log, nil), Plain: true, Target: decisions, Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	for range 7 {
		if _, err := log.Append(&audit.Entry{Action: audit.ActionReveal, Outcome: audit.Allowed, Count: 2, Items: []audit.Item{{Outcome: audit.Allowed}, {Outcome: audit.Allowed}}}).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	must(t, f.Stop(t.Context()))
	s, err := metrics.New(metrics.Sources{Decisions: decisions}, slog.New(slog.DiscardHandler))
	must(t, err)
	if lines := scrape(t, s); !slices.Equal(lines, []string{`cloakroom_decisions_total{action="reveal",outcome="allowed",reason=""} 14`}) {
		t.Errorf("%v", lines)
	}
}

func BenchmarkCalls(b *testing.B) {
	calls := &metrics.Calls{}
	info := &grpc.UnaryServerInfo{FullMethod: "/cloakroom.v1.RevealService/Reveal"}
	handler := func(context.Context, any) (any, error) { return nil, nil }
	b.ReportAllocs()
	for b.Loop() {
		_, _ = calls.Unary(b.Context(), nil, info, handler)
	}
}

func BenchmarkDecisions(b *testing.B) {
	for _, items := range []int{1, 1000} {
		b.Run(fmt.Sprint(items, " items"), func(b *testing.B) {
			d := metrics.NewDecisions()
			batch := []sink.Entry{{E: &audit.Entry{Action: audit.ActionReveal, Outcome: audit.Allowed, Items: slices.Repeat([]audit.Item{{Outcome: audit.Allowed}}, items)}}}
			b.ReportAllocs()
			for b.Loop() {
				_ = d.Deliver(b.Context(), batch)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
