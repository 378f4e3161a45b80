// Package syslog sends the audit log as RFC 5424 messages.
//
// # Addresses
//
//	unix:/dev/log            a datagram socket, else a stream one
//	udp://host:514           RFC 5426, one message a datagram
//	tcp://host:601           RFC 6587, octet counting
//	tls://host:6514          RFC 5425, octet counting within TLS 1.2 or later
//
// # A message
//
//	<110>1 2026-01-02T03:04:05.678901Z vault-1 cloakroomd 4242 reveal
//	  [cloakroom@32473 index="4711" id="…" principal="…" outcome="allowed"
//	  purpose="…" collection="…" count="1"] {…}
//
// on one line. The facility is "log audit" (13). The severity is informational
// for what was allowed, notice for what was refused in whole or in part, and
// alert for an alarm. The MSGID is the action, the structured data the most
// asked-for parts of the entry, and the text the whole entry as JSON. The text
// has no byte order mark, because most parsers of JSON stumble over one, and is
// ASCII or UTF-8. 32473 is the enterprise number kept for documentation (RFC
// 5612), since the project has none of its own.
//
// On datagrams, a message longer than the socket takes is sent without its
// text, with shortened="true" in the structured data: the index leads to the
// entry in the log. Streams carry any length; many receivers cut at 8 KiB unless
// told otherwise (rsyslog's maxMessageSize), and an entry of 1,000 items is
// longer than that.
//
// # What is claimed, and what is not
//
// Syslog has no answer, so that no sender can know that a message was kept:
//
//   - UDP loses messages without a word. It cannot be at-least-once, whatever
//     this package does; it is there for receivers that offer nothing else.
//   - A local datagram socket delivers to the queue of the syslog daemon, and
//     says so when there is none.
//   - TCP and TLS: on Linux a batch counts as delivered once the other machine's
//     kernel has acknowledged every byte and the connection still stands, so
//     that a cut line or a machine that is gone loses nothing. What the receiver
//     had not yet read when it died is lost. On other systems a batch counts as
//     delivered when it is written.
//
// Where every entry must arrive, use the OTLP sink, whose other side answers.
package syslog
