// Package seal puts a value under two locks and takes it out again.
//
// The inner lock is the person's key, the outer lock is the field's keyset.
// Neither opens anything alone: who erases the person's key, or destroys the
// field's, makes the value unreadable in every copy.
//
// # What is claimed
//
// A blob opens only in the Place it was sealed for: vault, collection,
// person, field, item and generation of the person's key are bound to both
// locks. A blob shows the length of its value up to 16 bytes and the version
// of the field's key, and nothing else; equal values give unrelated blobs.
//
// # What is not
//
// An older blob of the same Place opens, if it is put back: telling that is
// the work of the audit log, which holds the hash of the inner lock
// (SealHashed, InnerHash).
//
// # Stored form
//
//	format u8 | outer
//	outer: Tink AES-256-GCM of inner, TINK prefix: 0x01 | key id u32 | nonce 12 | … | tag 16
//	inner, format 1: nonce 12 | ChaCha20-Poly1305 of padded | tag 16
//	inner, format 2: nonce 12 | AES-256-GCM of padded | tag 16
//	padded: value | 0x80 | 0x00 … up to the next multiple of 16 (ISO/IEC 7816-4)
//
// Both locks authenticate
//
//	format u8 | lock u8 (1 outer, 2 inner) | vault 16 | collection u16 |
//	ref u64 | field u32 | item u16 | key generation u32
//
// Integers are big-endian. The blobs under testdata/vectors open, or fail,
// for ever as they do today.
//
// # FIPS 140
//
// Values are sealed in format 2 where the Go Cryptographic Module is in FIPS
// mode (crypto/fips140.Enabled), in format 1 elsewhere: a person's key is set
// up for one value at a time, and ChaCha20-Poly1305 does that faster. Both
// formats open in every mode but one: under GODEBUG fips140=only a blob of
// format 1 is ErrNotFIPS. So a vault that shall run under fips140=only is best
// made in FIPS mode. One that was not runs under fips140=on, where both
// formats open and what is stored again gets format 2; what is written once,
// as the ids that callers gave their people, keeps its format until the person
// is erased. A Rewrap keeps the format, and works on both in every mode.
package seal
