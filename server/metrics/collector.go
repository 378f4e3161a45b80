package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Log is the audit log.
type Log interface {
	Stats() audit.Stats
	First() uint64
	Size() uint64
	Healthy() error
}

// Index is the index over the audit log.
type Index interface {
	// Covered returns the index after the last entry that is found.
	Covered() uint64
}

// Alarms is what watches the audit log.
type Alarms interface{ Stats() alarm.Stats }

// Sink is one sink of the audit log.
type Sink struct {
	// Name is from the configuration and unique.
	Name  string
	Stats func() sink.Stats
	// Rejected counts entries that the other side took and did not keep; nil
	// where there is no such thing.
	Rejected func() uint64
}

// Sources is what metrics are read from, at each scrape. All of it must be
// quick and safe for concurrent use. What is nil is not shown.
type Sources struct {
	Log       Log
	Index     Index
	Alarms    Alarms
	Sinks     []Sink
	Decisions *Decisions
	Calls     *Calls
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("cloakroom_"+name, help, labels, nil)
}

// The descriptions never change.
var (
	entriesDesc   = desc("audit_entries_total", "Entries of the audit log made durable.")
	groupsDesc    = desc("audit_groups_total", "Writes that carried entries.")
	fsyncsDesc    = desc("audit_fsyncs_total", "Times that the audit log was forced to disk.")
	bytesDesc     = desc("audit_bytes_total", "Bytes written for durable entries.")
	segmentsDesc  = desc("audit_segments_total", "Segments begun.")
	abandonedDesc = desc("audit_segments_abandoned_total", "Segments given up after a failed write or fsync.")
	sizeDesc      = desc("audit_size", "Entries of the audit log, pruned ones included.")
	firstDesc     = desc("audit_first", "Index of the first entry that is kept.")
	writableDesc  = desc("audit_writable", "1 when the audit log can be written; 0 when no value leaves the vault.")

	coveredDesc  = desc("audit_index_covered", "Entries that the index of the audit log finds.")
	indexLagDesc = desc("audit_index_lag", "Durable entries that the index does not find yet.")

	sinkLagDesc       = desc("sink_lag", "Durable entries that a sink has not passed.", "sink")
	sinkFailingDesc   = desc("sink_failing", "1 while the last attempt of a sink failed.", "sink")
	sinkDeliveredDesc = desc("sink_delivered_total", "Entries that a sink delivered.", "sink")
	sinkFailuresDesc  = desc("sink_failures_total", "Attempts of a sink that failed.", "sink")
	sinkMissedDesc    = desc("sink_missed_total", "Entries that retention removed before a sink delivered them.", "sink")
	sinkRejectedDesc  = desc("sink_rejected_total", "Entries that the other side took and did not keep.", "sink")

	alarmsDesc        = desc("alarms_total", "Alarms raised.", "rule")
	alarmLagDesc      = desc("alarm_lag", "Durable entries that the rules of alarms have not seen.")
	alarmFailuresDesc = desc("alarm_failures_total", "Attempts to read, append or save that failed while looking for alarms.")

	decisionsDesc = desc("decisions_total", "Items decided, counted from the audit log.", "action", "outcome", "reason")
	callsDesc     = desc("grpc_calls_total", "gRPC calls that ended.", "method", "code")
)

// collector reads the sources at each scrape.
type collector struct{ s Sources }

// Describe sends nothing, which makes the collector unchecked: what it sends
// depends on what there is. The tests check it.
func (collector) Describe(chan<- *prometheus.Desc) {}

// Collect implements prometheus.Collector.
func (c collector) Collect(out chan<- prometheus.Metric) {
	if c.s.Log != nil {
		c.log(out)
	}
	if c.s.Alarms != nil {
		c.alarms(out)
	}
	for _, s := range c.s.Sinks {
		s.collect(out)
	}
	if c.s.Decisions != nil {
		c.s.Decisions.collect(out)
	}
	if c.s.Calls != nil {
		c.s.Calls.collect(out)
	}
}

func total(out chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
}

func gauge(out chan<- prometheus.Metric, d *prometheus.Desc, v uint64, labels ...string) {
	out <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v), labels...)
}

func one(yes bool) uint64 {
	if yes {
		return 1
	}
	return 0
}

func (c collector) log(out chan<- prometheus.Metric) {
	covered := uint64(0)
	if c.s.Index != nil {
		covered = c.s.Index.Covered() // before the size, so that the lag is never negative
	}
	size, stats := c.s.Log.Size(), c.s.Log.Stats()
	total(out, entriesDesc, stats.Entries)
	total(out, groupsDesc, stats.Groups)
	total(out, fsyncsDesc, stats.Fsyncs)
	total(out, bytesDesc, stats.Bytes)
	total(out, segmentsDesc, stats.Segments)
	total(out, abandonedDesc, stats.Poisoned)
	gauge(out, sizeDesc, size)
	gauge(out, firstDesc, c.s.Log.First())
	gauge(out, writableDesc, one(c.s.Log.Healthy() == nil))
	if c.s.Index != nil {
		gauge(out, coveredDesc, covered)
		gauge(out, indexLagDesc, size-min(covered, size))
	}
}

func (c collector) alarms(out chan<- prometheus.Metric) {
	s := c.s.Alarms.Stats()
	for rule, n := range s.Raised {
		total(out, alarmsDesc, n, string(rule))
	}
	gauge(out, alarmLagDesc, s.Lag)
	total(out, alarmFailuresDesc, s.Failures)
}

func (s Sink) collect(out chan<- prometheus.Metric) {
	stats := s.Stats()
	gauge(out, sinkLagDesc, stats.Lag, s.Name)
	gauge(out, sinkFailingDesc, one(stats.Failing), s.Name)
	total(out, sinkDeliveredDesc, stats.Delivered, s.Name)
	total(out, sinkFailuresDesc, stats.Failures, s.Name)
	total(out, sinkMissedDesc, stats.Missed, s.Name)
	if s.Rejected != nil {
		total(out, sinkRejectedDesc, s.Rejected(), s.Name)
	}
}
