// Package keys holds the keys of a vault: the root that a key provider
// unwraps at start, the keysets under it, and the epoch keys that lock the
// persons' keys.
//
//	KEK (outside)                recovery key (split, outside)
//	 └─ root, 32 bytes ──────────┘
//	     └─ keysets: fields and rows (AES-256-GCM), indexes, domains,
//	        lookup and audit references (HMAC-SHA256 PRF), the signer of
//	        the audit log (Ed25519)
//	EpochKEK (outside, another one, never in a backup)
//	 └─ epoch key, 32 bytes
//	     └─ persons' keys, 32 bytes each
//
// A Ring owns the keysets and keeps them as rows of a Storage. A Snapshot of
// it is immutable and is what the data path uses: no lock, no call to a
// provider, no allocation. (The cipher of an old version is made when it is
// first asked for, so that a keyset with a long history opens fast and is
// small.)
//
// Every change of a Ring is one Save of its Storage: after a crash it is
// there as a whole or as if never begun. A Save that stored and then failed is
// taken over by the next change, or by Reload. Seal drops the root and waits
// for nothing, and Unseal opens it again.
//
// # Recovery
//
// The root may be sealed a second time, to a public key whose private half is
// split among people (package recovery), for the day on which the KEK is lost.
// The public key is part of the Storage, and the row that holds it is proved
// by the root, so that nobody who writes the disk can have the next root
// sealed to a key of theirs.
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
// libraries make, so Close, Seal and Wipe clear what they can reach, and the
// process must refuse core dumps. A copy of the Storage from before a change
// stays what it was: the KEK or the shares of that time open it.
//
// # Stored form
//
// Integers are big-endian, times are Unix seconds. Every blob starts with a
// format byte, 2 for the root and 1 for the others; an unknown one is
// ErrFormat.
//
//	row "root":       format u8 = 2 | numbers | len u8 | name of the KEK | wrapped root
//	  numbers: root version u32 | wrapping u32 | made i64 | wrapped i64
//	  the KEK binds it to "cloakroom/root/v2" | vault id 16 | numbers
//	row "recovery":   head | sealed root | proof
//	  head:    format u8 | generation u32 | root version u32 | made i64 |
//	           set 8 | shares u8 | threshold u8 |
//	           public key 65 | (threshold-1) × commitment 33
//	  sealed:  HPKE (RFC 9180, base mode) of the root, encapsulated key 65 and
//	           ciphertext 48: DHKEM(P-256, HKDF-SHA256), HKDF-SHA256, AES-256-GCM,
//	           info "cloakroom/recovery/v1" | vault id 16 | head
//	  proof:   nonce 12 | AES-256-GCM under the root of nothing | tag 16
//	           bound to "cloakroom/recovery-row/v1" | vault id 16 | head | sealed
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
// A root of format 1, which no release wrote, is still read: format u8 = 1 |
// len u8 | name of the KEK | wrapped root, bound to "cloakroom/root/v1" | vault
// id 16; it counts as version 1, wrapping 1. A recovery row with 0 shares and a
// threshold of 0 ends after them, before the proof, and says that there is no
// recovery key any more: rows are never removed.
//
// Versions of a keyset rise from 1 and are never reused; the header maps them
// to Tink's random key ids. A destroyed version stays in the header as a
// tombstone and is gone from the keyset. States and ids are read from the
// opened header and must agree with the opened keyset; nothing that stands
// beside a keyset in clear is believed.
package keys
