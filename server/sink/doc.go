// Package sink carries entries of the audit log off the node: each sink is a
// [Follower] that reads the log behind its end, hands batches to a [Target],
// and keeps in a file how far it came.
//
// # What is claimed
//
//   - At least once: the cursor moves only after the target said that a batch
//     is safe at the other side. What was delivered and not yet noted when the
//     process ended is delivered again, with the same index and id.
//   - In order: a batch is tried until it is taken, for ever, and nothing
//     passes it. A target that refuses one entry holds up those behind it; the
//     lag shows in the metrics, and one line in the program's log says so.
//   - Out of the way: a follower only reads. Neither the log nor an answer
//     waits for it, and it holds no lock of theirs.
//   - Bounded: one [Feed] holds about 1 MiB of encoded entries for all followers
//     near the end of the log, and each that is far behind half of that for
//     itself. Decoded and rendered they take up to ten times as much.
//
// # What is not
//
// A target whose protocol has no answer cannot promise that a batch is safe:
// see package syslog. Entries that retention removed from the log before they
// were delivered are lost to the sink; a line says how many.
//
// At most half a second passes between an entry and its delivery when the
// target works: entries are gathered for a moment, so that a busy log does not
// cost a sink a delivery, an fsync and a reading of the log for each entry.
//
// # Cursor
//
// The cursor is one JSON object in a file of mode 0600, which is replaced as
// a whole:
//
//	{"format":1,"index":4711,"last":"00112233445566778899aabbccddeeff"}
//
// index is the entry that comes next, last the id of the one before it. An
// entry with another id there, or a log that is shorter, is another log: the
// follower says so and begins anew at that log's first entry. Unknown formats
// and unknown keys are refused.
//
// The cursor is made durable under its name before the first entry is read.
// Later replacements are not forced into the folder: after a power cut the
// older cursor may stand there, which repeats entries and loses none.
//
// # Privacy
//
// An entry holds no value, no token and no caller's id of a person, and a sink
// adds nothing to it. Errors name a sink, a host and a rule, never an entry, a
// header, a secret or an answer of the other side.
package sink
