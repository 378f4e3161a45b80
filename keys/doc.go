// Package keys holds the keys of a vault: the root that a key provider
// unwraps at start, the keysets under it, and the epoch keys that lock the
// persons' keys.
//
//	KEK (outside)
//	 └─ root, 32 bytes
//	     └─ keysets: fields and rows (AES-256-GCM), indexes, domains,
//	        lookup and audit references (HMAC-SHA256 PRF), the signer of
//	        the audit log (Ed25519)
//	EpochKEK (outside, another one, never in a backup)
//	 └─ epoch key, 32 bytes
//	     └─ persons' keys, 32 bytes each
//
// A Ring owns the keysets and keeps them as rows of a Storage. A Snapshot of
// it is immutable and is what the data path uses: no lock, no call to a
// provider, no allocation.
//
// # What is claimed
//
// Without the KEK the rows tell which keysets and versions exist and when
// they were made, and nothing else. A row that was changed, moved to another
// name, or taken from another vault does not open. Key material shows in no
// printed form of any type here.
//
// # What is not
//
// A row that was put back to an older state, or taken away, is not noticed
// here: the store that a keyset protects keeps the keyset's generation, and
// the vault compares. Go gives no hold on copies that the runtime and the
// libraries make, so Close and Wipe clear what they can reach, and the
// process must refuse core dumps.
//
// # Stored form
//
// Integers are big-endian. Every blob starts with a format byte, 1 for all
// that are written today; an unknown one is ErrFormat.
//
//	row "root":       format u8 | len u8 | name of the KEK | wrapped root
//	  the KEK binds it to "cloakroom/root/v1" | vault id 16
//	row "kind/number": header | sealed keyset
//	  header:  format u8 | kind u8 | number u32 | generation u64 |
//	           next version u16 | count u16 |
//	           count × (version u16, Tink key id u32, state u8, made i64)
//	  sealed:  nonce 12 | AES-256-GCM under the root of Tink's binary keyset | tag 16
//	           bound to "cloakroom/keyset/v1" | vault id 16 | header
//	epoch key:        format u8 | epoch u32 | wrapped key
//	  the EpochKEK binds it to "cloakroom/epoch/v1" | vault id 16 | epoch u32
//	person's key:     format u8 | epoch u32 | generation u32 | nonce 12 |
//	                  AES-256-GCM under the epoch key | tag 16
//	  bound to "cloakroom/subject-key/v1" | vault id 16 | epoch u32 | ref u64 |
//	  generation u32
//
// Versions of a keyset rise from 1 and are never reused; the header maps them
// to Tink's random key ids. A destroyed version stays in the header as a
// tombstone and is gone from the keyset. States and ids are read from the
// opened header and must agree with the opened keyset; nothing that stands
// beside a keyset in clear is believed.
package keys
