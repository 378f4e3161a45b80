// Package backup is the form in which copies of a vault's stores are kept
// outside of it: artefacts, one file each, and the folders they lie in.
//
// One run makes a pair: an artefact of the values, which holds everything
// but keys, and an artefact of the keys. They are told apart so that they can
// be kept in different places, for different times, under different KEKs.
// What the rows mean is not known here.
//
// # What is claimed
//
// Without the KEK an artefact tells which vault it is of, when it was made,
// how long it is, which erasure epochs its persons' keys are of, and nothing
// else. An artefact that was cut off, changed, reordered, or made of parts of
// several is refused: every row that Reader returns stood there, in this
// order, and io.EOF says that there were no more. A file in a folder is whole:
// it gets its name when all of it is on the disk.
//
// # What is not
//
// An artefact says what a vault held once. Whether something was erased since
// is for the audit log to tell, which is in no artefact. A folder that was put
// back to an older state is not noticed. Removing an artefact unlinks a file;
// whether its bytes are gone is the file system's matter. Epoch keys are never
// in an artefact: what was sealed under an epoch that has ended does not open
// any more, whoever holds the artefact and its KEK.
//
// # Format
//
// Integers are big-endian, uvarints those of encoding/binary. An artefact is a
// header in clear, then chunks.
//
//	header:  "cloakroom-backup" | format u8 = 1 | kind u8 (1 values, 2 keys) |
//	         id 16 | pair 16 | vault id 16 | Unix time ns i64 |
//	         count u8, count × epoch u32 |
//	         length u8, name of the KEK | length u16, wrapped key
//	chunk:   nonce 12 | AES-256-GCM of 1 to 65,536 bytes | tag 16
//
// The key is 32 fresh random bytes, wrapped by the KEK and bound to
// "cloakroom/backup/v1" | vault id | kind. All chunks but the last are of
// 65,536 bytes, and each is bound to
//
//	"cloakroom/backup-chunk/v1" | SHA-256 of the header | number u64 | last u8
//
// where numbers rise from 0 and last is 1 for the last chunk alone. So no
// chunk opens at another place or in another artefact, and an artefact that
// ends early ends in a chunk that does not open as the last. Nonces are
// random: 2^32 chunks of one key are 256 TiB.
//
// In the chunks stands
//
//	length u32, manifest in JSON |
//	rows:    table u8 (1 to 255) | uvarint, uvarint: length of key and value | key | value
//	trailer: 0 | count u8, count × (table u8, rows u64) | SHA-256 of all before it
//
// with the tables in rising order and the keys of each in rising order.
package backup
