// Package auditproof verifies what a vault says of its audit log: with the key
// of the log and public formats, and without trust in the vault.
//
// # What is claimed
//
//   - [VerifyLog] reads every entry that the log still keeps, makes the root of
//     the tree from them, and compares it with the signed checkpoint. A changed,
//     missing, added or moved entry is found, and the first one is named.
//   - With a checkpoint that was kept from an earlier time, a log that was put
//     back, or written anew, is found too.
//   - A [Proof] shows offline, to anybody who has the log's key, that one entry
//     is in the log.
//   - Memory does not grow with the log.
//
// # What is not
//
// Who holds the log's key can sign another log. While that key is being changed
// the old and the new one sign, and either verifies the log; but nothing that
// the old one signs names the new one, and anybody can add a signature to a
// checkpoint. So no key is ever taken over from what a log says: the new one has
// to come, as the first one did, from a source that is trusted. Only a
// checkpoint kept from an earlier time, or by others, shows another log. Entries younger than the checkpoint
// are not covered. Of entries that the log's retention has removed, the hashes
// are verified to be in the tree; what they said is gone. That an entry is true
// is the vault's word; that nobody changed it since is what is verified.
//
// # Formats
//
// Hashes are those of RFC 6962 with SHA-256; the leaf is the encoded entry.
// Checkpoints are signed notes after C2SP tlog-checkpoint, proofs are texts
// after C2SP tlog-proof, with the encoded entry as their extra data. A key is
// the text form of golang.org/x/mod/sumdb/note.
package auditproof
