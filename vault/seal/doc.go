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
//	format u8 = 1 | outer
//	outer: Tink AES-256-GCM of inner, TINK prefix: 0x01 | key id u32 | nonce 12 | … | tag 16
//	inner: nonce 12 | ChaCha20-Poly1305 of padded | tag 16
//	padded: value | 0x80 | 0x00 … up to the next multiple of 16 (ISO/IEC 7816-4)
//
// Both locks authenticate
//
//	format u8 = 1 | lock u8 (1 outer, 2 inner) | vault 16 | collection u16 |
//	ref u64 | field u32 | item u16 | key generation u32
//
// Integers are big-endian. The blobs under testdata/vectors open, or fail,
// for ever as they do today.
package seal
