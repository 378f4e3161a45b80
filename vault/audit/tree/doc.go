// Package tree publishes an append-only log as a Merkle tree that an outsider
// can verify with public tools, and checks such a tree against the log.
//
// # What is claimed
//
//   - A checkpoint covers only entries that the log calls durable.
//   - No checkpoint contradicts one that was published before from the same
//     folder: Start goes on from the last one, and refuses a log that is
//     shorter, or whose last 4096 entries before it are others.
//   - Who keeps one checkpoint can find every later change to what it covers:
//     a changed, removed, added or moved entry, and a log that was put back.
//   - All but checkpoint and pruned can be made again from the log, and is, when it is
//     found damaged. Hashes of entries that the log has pruned are the exception:
//     they are compared with those above them, and a tile of them that does not
//     hold is named and never replaced.
//   - Entries that are missing at the beginning were pruned: the signer said so
//     before the first of them went. An entry of the log that says it is not
//     enough, since the next checkpoint covers whatever stands at the log's end.
//   - Publishing never holds up the log. When the disk refuses, publishing
//     falls behind and catches up by itself.
//
// # What is not
//
// Who holds the signing key and the files can write another log from the
// start and sign it. Only a checkpoint kept elsewhere shows that, so copy
// checkpoints off the machine or have witnesses cosign them. Entries younger
// than the last checkpoint, of about a second, are not covered. Start does not
// read the whole log; Check does.
//
// # Format on disk
//
// The folder is laid out as C2SP tlog-tiles says, so that a web server could
// serve it (it should not: entries are for auditors only).
//
//	checkpoint             C2SP tlog-checkpoint: origin, size, root; signed note
//	vkey                   the verifier key of the checkpoint's first signature, one line
//	vkeys                  the verifier keys of all signers, one a line, the same first
//	pruned                 signed note of what was pruned, see below; none at first
//	tile/<L>/<N>           256 hashes of 32 bytes, level L, never changed
//	tile/<L>/<N>.p/<W>     the first W hashes of a tile that is not full
//	tile/entries/<N>       256 entries, each as length 2 (big-endian) | bytes
//	tile/entries/<N>.p/<W> the first W entries
//
// <N> is written in groups of three digits, all but the last after an x:
// 1234067 is x001/x234/067. Hashes are those of RFC 6962 with SHA-256; the
// leaf is the encoded entry and its index is the entry's. A file is written
// under its name plus ".new", forced to disk, and renamed; names are durable
// before the checkpoint that needs them. Partial tiles of the last checkpoint
// and of the one before it are there; older ones are removed. Bundles all of
// whose entries were pruned are removed as well, hash tiles never.
//
// While the signing key is changed two keys sign, the new one first, and who
// trusts either can verify. What was signed by a key that signs no more is
// verified by who kept that key; the checkpoint and the note of what was pruned
// are signed anew at each change ([Publisher.SetSigners]), so that today's keys
// verify all that the folder holds.
//
// The note of what was pruned ([PruneNote]) is a signed note
// (golang.org/x/mod/sumdb/note) of the checkpoint's keys and origin, with a text
// of exactly three lines:
//
//	cloakroom.vault/00112233
//	pruned before 745
//	2025-06-01T00:00:00Z
//
// The log's origin; an index, in decimal, before which entries may be missing;
// the time before which all of these were, in RFC 3339, UTC, in its shortest
// form, to the nanosecond. Its second line is no number, so it is no
// checkpoint, and no checkpoint is such a note. The log writes it, whole and
// durably, before each prune removes anything, in place of the one before. It
// cannot be made again: the tree of a log that was pruned does not start without.
package tree
