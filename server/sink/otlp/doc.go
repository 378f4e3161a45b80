// Package otlp sends the audit log to an OpenTelemetry collector, as logs over
// OTLP/HTTP in protobuf (OTLP 1.x), gzipped.
//
// # A record
//
// The resource is service.name=cloakroomd, the scope "cloakroom.audit". The body
// of a record is the entry as JSON text, its event name "cloakroom.audit." and
// the action. The attributes are those of the entry:
//
//	cloakroom.index, .id, .principal, .action, .outcome, .purpose, .view,
//	.reason, .collection, .object, .refusal, .request, .count,
//	.policy_version
//
// Empty ones are left out, index and count are numbers. The severity is INFO
// for what was allowed, WARN for what was refused in whole or in part, and ERROR
// for an alarm. What happened to each item stands in the body.
//
// # Delivery
//
// A 2xx answer means that the collector has the batch. After 429, 502, 503 and
// 504 it is tried again when Retry-After says. The protocol would have a sender
// drop what any other answer refuses; an audit log does not: the batch is tried
// again too, after a minute at least. One that is too large (413) is
// halved until it goes through.
//
// A partial success is the collector's word that it took the batch and will not
// take some records of it, however often they come. They are counted
// (Target.Rejected) and not sent again, as the protocol demands. The collector's
// text about them is not logged, since it may repeat them.
//
// What a collector does with records after its answer is its own matter: for an
// audit log, give it a queue on disk.
//
// # Headers
//
// The headers file, for a key of the collector, has mode 0600 or 0400 and a
// header a line: "Authorization: Bearer …". Blank lines and lines that begin
// with # are passed over. It is read for each batch, so that a key is changed
// without a restart.
package otlp
