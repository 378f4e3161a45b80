// Package metrics shows Prometheus how the vault is doing, at /metrics of an
// HTTP server of its own.
//
// # What it shows
//
//	cloakroom_audit_entries_total               entries made durable since the start
//	cloakroom_audit_groups_total                writes that carried them
//	cloakroom_audit_fsyncs_total
//	cloakroom_audit_bytes_total
//	cloakroom_audit_segments_total
//	cloakroom_audit_segments_abandoned_total    after a failed write or fsync: look at the disk
//	cloakroom_audit_size                        entries of the whole log, pruned ones included
//	cloakroom_audit_first                       index of the first entry that is kept
//	cloakroom_audit_writable                    1; 0: no value leaves the vault
//	cloakroom_audit_index_covered               entries that the index finds
//	cloakroom_audit_index_lag                   entries that it does not find yet
//	cloakroom_sink_lag{sink}                    durable entries that the sink has not passed
//	cloakroom_sink_failing{sink}                1 while the last attempt failed
//	cloakroom_sink_delivered_total{sink}
//	cloakroom_sink_failures_total{sink}
//	cloakroom_sink_missed_total{sink}           removed by retention before they were delivered
//	cloakroom_sink_rejected_total{sink}         taken by a collector and not kept
//	cloakroom_alarms_total{rule}
//	cloakroom_alarm_lag                         entries that the rules have not seen
//	cloakroom_alarm_failures_total
//	cloakroom_decisions_total{action,outcome,reason}
//	cloakroom_grpc_calls_total{method,code}
//
// and those of the Go runtime and the process. Totals are since the start of
// the process. What /proc does not give to a process that refuses to be dumped
// (open files) is left out.
//
// cloakroom_decisions_total counts items: one for each value revealed, refused
// or written, and as many as were asked for when a call is refused as a whole.
// It is counted from the audit log by a follower, a moment behind it, so that an
// answer pays nothing for it.
//
// # What it does not show
//
// No label holds a principal, a token, a person, a field or a purpose. A stranger
// chooses his own principal, so that labels of it would grow without bound; and
// who looked at what, when, is what the audit log is for, behind a right of its
// own. Every label is from a list that the program or its configuration fixes;
// a name that is on none of them is counted as "other".
//
// Still, the numbers tell how much a vault is used and refuses. They are served
// in clear, to whoever reaches the listener.
package metrics
