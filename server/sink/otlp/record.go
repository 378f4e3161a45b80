package otlp

import (
	"encoding/hex"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/slim/otlp/common/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	resource "go.opentelemetry.io/proto/slim/otlp/resource/v1"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	serviceName = "cloakroomd"
	scopeName   = "cloakroom.audit"
	prefix      = "cloakroom."
)

// request puts a batch into the message of the protocol. observed is the time
// of sending, in nanoseconds since 1970.
func request(batch []sink.Entry, observed uint64) *collector.ExportLogsServiceRequest {
	records := make([]*logs.LogRecord, len(batch))
	for i, e := range batch {
		records[i] = record(e, observed)
	}
	return &collector.ExportLogsServiceRequest{ResourceLogs: []*logs.ResourceLogs{{
		Resource:  &resource.Resource{Attributes: []*common.KeyValue{text("service.name", serviceName)}},
		ScopeLogs: []*logs.ScopeLogs{{Scope: &common.InstrumentationScope{Name: scopeName}, LogRecords: records}},
	}}}
}

func record(s sink.Entry, observed uint64) *logs.LogRecord {
	e := s.E
	level := severity(e)
	r := &logs.LogRecord{
		TimeUnixNano:         uint64(e.Time.UnixNano()),
		ObservedTimeUnixNano: observed,
		SeverityNumber:       level,
		SeverityText:         severityText(level),
		EventName:            scopeName + "." + e.Action.String(),
		Body:                 &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: string(s.JSON)}},
		Attributes: []*common.KeyValue{
			number(prefix+"index", s.Index),
			text(prefix+"id", hex.EncodeToString(e.ID[:])),
			text(prefix+"action", e.Action.String()),
			text(prefix+"outcome", e.Outcome.String()),
			number(prefix+"count", uint64(e.Count)),
		},
	}
	for _, t := range []struct{ name, value string }{
		{"principal", e.Principal},
		{"purpose", e.Purpose},
		{"view", e.View},
		{"reason", e.Reason},
		{"collection", e.Collection},
		{"object", e.Object},
		{"refusal", e.Refusal},
		{"request", e.Request},
	} {
		if t.value != "" {
			r.Attributes = append(r.Attributes, text(prefix+t.name, t.value))
		}
	}
	if e.PolicyVersion != 0 {
		r.Attributes = append(r.Attributes, number(prefix+"policy_version", e.PolicyVersion))
	}
	return r
}

func severity(e *audit.Entry) logs.SeverityNumber {
	switch {
	case e.Action == audit.ActionAlarm:
		return logs.SeverityNumber_SEVERITY_NUMBER_ERROR
	case e.Outcome == audit.Allowed:
		return logs.SeverityNumber_SEVERITY_NUMBER_INFO
	}
	return logs.SeverityNumber_SEVERITY_NUMBER_WARN
}

func severityText(n logs.SeverityNumber) string {
	switch n {
	case logs.SeverityNumber_SEVERITY_NUMBER_ERROR:
		return "ERROR"
	case logs.SeverityNumber_SEVERITY_NUMBER_WARN:
		return "WARN"
	}
	return "INFO"
}

func text(key, value string) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_StringValue{StringValue: value}}}
}

func number(key string, value uint64) *common.KeyValue {
	return &common.KeyValue{Key: key, Value: &common.AnyValue{Value: &common.AnyValue_IntValue{IntValue: int64(value)}}}
}
