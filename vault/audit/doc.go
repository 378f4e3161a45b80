// Package audit keeps the vault's audit log: what was asked of the vault, by
// whom, for what purpose, and what was decided. Values leave the vault only
// after their entry is durable.
//
// # What is claimed
//
//   - A receipt without an error means that the entry is on the disk: it is
//     there after the program was killed and after the power was cut.
//   - Entries are numbered from 0 without gaps, and none is ever changed. An
//     entry whose receipt failed, or was never waited for, is wholly there or
//     wholly absent.
//   - The log fails closed. When it cannot write, every receipt says so, until
//     it can again; it finds out by itself.
//   - Damage in the middle of the log is found and named. It is never taken
//     for the end.
//   - A published log ([FileLog.Publish]) is a Merkle tree with a signed
//     checkpoint each second, which shows an outsider that no covered entry was
//     changed, removed, added or moved. [Verify] names the first that was.
//     Package tree tells the formats, and what a checkpoint proves and does not.
//   - Old entries leave by [FileLog.Prune] and no other way. An entry that a
//     checkpoint covered before tells of it, and a note that the key of the
//     checkpoints has signed; a beginning that is missing without both is damage.
//     Nothing is signed for and removed that is not what the checkpoint covers.
//     Proofs for entries that are gone can be made for ever.
//
// # What is not
//
// The sums in the log find accidents, not forgers: who can write the files can
// write a log that reads well. That is what the tree is for. Entries younger
// than the last checkpoint have the sums alone; and damage to the last group
// after it cannot be told from an interrupted write. A whole folder put back
// to an older state is found only with a checkpoint that was kept elsewhere.
// Who can write the files of a log that lies still can remove its beginning
// up to what a note was once signed for, which was then old enough to go; and,
// by putting back an older note or none, can have a good log called damaged.
// [Open], Read, and Check of a log that is not published know no key, and take
// the word of an entry for what was pruned.
// Recovery looks at the last segment only, and Publish at the last 4096 entries
// that the checkpoint covers; [FileLog.Check] and Verify read everything. Time
// need not rise with the index.
//
// # Entries
//
// An [Entry] is encoded once, by [Entry.Append], which describes the bytes.
// The log keeps these bytes as they are, since a tree of hashes stands on
// them. Entries of format 1 are read for ever; format 2 is written. An entry
// states what was authorised, which is an upper bound of what was done.
//
// # Format on disk
//
// The log is a folder of segments, which belongs to one process at a time
// (flock on the folder). Names are the index of the first entry in twenty
// digits and ".wal". A segment has a header of 28 bytes, then records, then
// zeros up to its reserved size. All numbers are big-endian, all sums CRC-32C.
//
//	segment  "CLKAUDIT" | format 4 = 1 | first index 8 | salt 4 | sum 4
//	record   sum 4 | payload length 4 | index 8 | position in group 4 | payload
//
// The sum of a record begins with the segment's salt and covers all that
// follows it in the record. A group is the records that were written at once
// and forced to disk together; its first record has position 0. A group never
// spans segments.
//
// A segment supersedes what those before it hold from its first index on. So,
// after a failed write or fsync, the group is written again in a new segment,
// and the old one is never touched again. A new segment is made under its
// name plus ".new", forced to disk, and then renamed; one without an
// acknowledged entry may be replaced so. Segments with fewer entries than the
// next one's first index needs are corrupt.
//
// The tree's files are in the folder tlog below. All of them but the checkpoint,
// the hashes of pruned entries, and the signed note of what was pruned can be
// made again from the segments.
//
// The name of the first segment is 0 until the log is pruned. Prune removes
// segments from the first on, each durably before the next, and leaves the hash
// tiles and what is not all old. Before the first of them goes, the entry that
// says so is covered by a checkpoint, and the signed note tlog/pruned is durable,
// which tells before which index entries may be missing. The file "pruned" beside
// the segments says, in decimal and a newline, at which index that entry stands;
// it saves a search and may be lost.
//
// A segment's format number other than 1, and an entry's other than 1 and 2,
// is refused with [ErrFormat].
package audit
