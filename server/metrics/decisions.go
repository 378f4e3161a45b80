package metrics

import (
	"context"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// decision is the labels of a counter. They come from fixed lists.
type decision struct {
	action  audit.Action
	outcome audit.Outcome
	reason  string // empty: none
}

// other stands for names that are on no list.
const other = "other"

// Decisions counts what was decided, as a sink.Target of a plain follower that
// begins at the log's end:
//
//	sink.Start(sink.Options{Name: "metrics", Target: decisions, Plain: true, Begin: sink.AtEnd, …})
type Decisions struct {
	reasons map[string]bool // the names that the vault gives

	mu     sync.Mutex
	counts map[decision]float64
}

var _ sink.Target = (*Decisions)(nil)

// NewDecisions returns a target that has counted nothing.
func NewDecisions() *Decisions {
	d := &Decisions{reasons: map[string]bool{}, counts: map[decision]float64{}}
	for _, name := range vault.Reasons() {
		d.reasons[name] = true
	}
	return d
}

// Deliver implements sink.Target. It never fails.
func (d *Decisions) Deliver(_ context.Context, batch []sink.Entry) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, e := range batch {
		d.count(e.E)
	}
	return nil
}

func (d *Decisions) count(e *audit.Entry) {
	action := e.Action
	if !action.Known() {
		action = 0
	}
	for i := range e.Items {
		it := &e.Items[i]
		reason := ""
		if it.Refusal != 0 {
			reason = vault.Reason(it.Refusal).String()
		}
		d.counts[decision{action, it.Outcome, d.known(reason)}]++
	}
	if len(e.Items) == 0 {
		d.counts[decision{action, e.Outcome, d.known(e.Refusal)}] += float64(max(e.Count, 1))
	}
}

func (d *Decisions) known(reason string) string {
	if reason == "" || d.reasons[reason] {
		return reason
	}
	return other
}

// Close implements sink.Target.
func (d *Decisions) Close() error { return nil }

func (d *Decisions) collect(out chan<- prometheus.Metric) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for k, n := range d.counts {
		action := other
		if k.action != 0 {
			action = k.action.String()
		}
		out <- prometheus.MustNewConstMetric(decisionsDesc, prometheus.CounterValue, n, action, k.outcome.String(), k.reason)
	}
}
