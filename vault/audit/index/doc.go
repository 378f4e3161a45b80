// Package index finds entries of the audit log: who looked at a person, what
// a principal did, who saw a field. It answers in milliseconds over ten
// million entries.
//
// The index follows the log. It is made from the log alone, can be made again
// at any time, and nothing in the vault waits for it.
//
// # What is claimed
//
//   - No entry below the number that [Index.Find] returns is missing from its
//     answer. The caller reads the rest of the log himself.
//   - A row that was damaged by accident, a missing row and an index of another
//     log never hide an entry. A lot with a row that cannot be used answers "every entry", and
//     the index is emptied and built anew, which the logger is told.
//   - A crash at any point leaves whole lots and nothing else: a lot is one
//     commit, and the lots in the store say how far they reach.
//   - The index shows no more than the log: subjects are in it as hashes of
//     their enciphered references, principals and purposes as hashes.
//
// # What is not
//
// An answer is a set of candidates. Keys are kept as hashes of 36 bits, so
// that about one lot in a million answers with an entry that does not match,
// and times are kept a lot, not an entry. The caller reads the entry and
// checks. The hashes are no secret: whoever can read index.db can test a
// guessed principal, as whoever can read the log can.
//
// The index is not authenticated: who can write index.db can make it hide
// entries. What must hold against him is read from the log; and an index that
// was removed is built again from it.
//
// A log that is damaged, or that holds an entry of a newer format, is indexed
// up to that entry and no further; Healthy says so.
//
// # Lots
//
// The log is cut into lots of consecutive entries: 65,536 entries, or fewer
// when they have about 500,000 postings. The lot that is being built is in
// memory, at most some ten megabytes, and is built again from the log after a
// start. A full lot is written once and never changed, so rows arrive in
// rising order. A query reads one row a key and lot. A lot knows the first and
// the last time in it, so that a window of time passes over the others. Lots
// that lie wholly before the first entry of a pruned log are dropped.
//
// The posting lists of a lot are kept in blocks of about 36 keys, cut by the
// top bits of the hash, and not in a row each. A subject mostly has one entry
// in a lot: a row of its own would cost 36 bytes for a list of 2, and a block
// brings that to 7. And every block has a row, be it empty. So a row that is
// missing is damage, and cannot be taken for "nobody looked".
//
// # Format on disk
//
// Three ordered tables; numbers are big-endian, "uvarint" is that of
// encoding/binary, sums are CRC-32C over the row's key and what follows the sum.
//
//	about    "format"              1 byte: 1; not there while the index is emptied
//	lots     first entry 8         sum 4 | entries 4 | postings 4 | bits 1 |
//	                               first time 8 | last time 8 | last entry 16
//	blocks   first entry 8, block 2
//	                               sum 4 | kind 1 | records, if kind is 0
//	record   gap uvarint | form 1 | list
//
// A lot has 2^bits blocks. Times are nanoseconds since 1970. "last entry" is
// the beginning of the SHA-256 of the lot's last entry, by which an index of
// another log is known. A block of kind 1 stands for lists of every entry,
// for every key. The gap of a record is the key's hash less the one before;
// the first one stands after the smallest hash of the block. Lists hold
// offsets in the lot, rising:
//
//	form 0   one offset, 2 bytes
//	form 1   length uvarint, then uvarints: the first offset, then each
//	         offset less the one before
//	form 2   length uvarint, then a bit an entry, low bits first
//	form 3   every entry of the lot
//
// The hash of a key is 36 bits: 35 of a hash of the subject's reference and a
// zero bit, or 35 of the SHA-256 of another key's kind and text and a one.
package index
