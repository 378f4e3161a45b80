// Package auditentry reads entries of the audit log as the log encodes them: in
// exports, and in proofs that are checked offline. No vault is asked.
//
// # What is claimed
//
//   - [Decode] takes exactly the encodings that a vault writes, or wrote: every
//     byte is accounted for, and no entry has two encodings in one format. So two
//     readers cannot read two things out of one proven entry.
//   - What it allocates is bounded by the input's size times a constant.
//
// # What is not
//
// That an entry is in the log is for package auditproof to prove. Fields stand
// in an encoding as numbers; their names are in the vault, and the collection's
// name is in the entry.
//
// # Format
//
// Numbers (uvarint) are those of encoding/binary, in their shortest form.
//
//	format          1 byte   2
//	id             16 bytes
//	time            8 bytes  nanoseconds since 1970 UTC, big-endian; 0 when not set
//	action          1 byte
//	outcome         1 byte   1 allowed, 2 refused, 3 mixed
//	policy version  uvarint
//	count           uvarint
//	eight texts     uvarint length and bytes each: request, principal,
//	                purpose, view, reason, collection, refusal, object
//	items           uvarint number, then for each item
//	    flags       1 byte   bits 0 refused, 1 version follows, 2 subject
//	                         follows, 3 subject as before, 4 field as before,
//	                         5 number follows, 6 reason follows, 7 hash follows
//	    subject    16 bytes  if bit 2; zero if neither bit 2 nor 3
//	    field       uvarint  unless bit 4
//	    number      uvarint  if bit 5, else 0
//	    reason      uvarint  if bit 6, else 0
//	    hash       16 bytes  if bit 7, else zero
//	    version     uvarint  if bit 1, else as before; before the first it is 0
//
// Format 1 has seven texts (no object), in bits 0 and 1 of an item's flags the
// number of its outcome, and no version.
package auditentry
