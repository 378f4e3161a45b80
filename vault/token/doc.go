// Package token is the text form of tokens.
//
// A token stands for one item of one person's field in one domain. It is
// arithmetic: nothing is stored for it, and making one is not a write.
//
// # Form
//
//	tok_ | 33 digits of base 62 (0-9 A-Z a-z)
//
// 37 characters in all. The digits are the number, most significant first and
// with leading zeros, of these 24 bytes, big-endian:
//
//	format u8 = 1 | domain u16 | version u16 | block 16 | checksum 3
//
// The block is one AES-256 block of
//
//	ref u64 | field u24 | item u16 | generation u8 | check u16 = 0
//
// under the key that the domain's PRF gives, in that version, for the label
// "cloakroom/token/v1" and the domain's number (u16). The checksum is the first
// three bytes of SHA-256 of "cloakroom/token/checksum/v1" and the 21 bytes before
// it. No token has a second
// spelling: a number of more than 24 bytes is refused. The texts under
// testdata/vectors parse for ever.
//
// # What is claimed
//
// Two different IDs of a domain and version have different tokens, and one ID
// has one: AES is a permutation. Without the domain's key a token tells its
// domain and version, and nothing of the person, field or item; tokens of two
// domains cannot be joined. Tokens do not sort by age.
//
// The checksum needs no key: it tells a mistyped token without a look-up, and
// hinders nobody who invents one. An invented token decrypts to a random
// block, which names an item that exists with probability P·F·I / 2^128 for P
// persons, F fields and I items each: 2^-80 for four thousand million persons
// with 4,096 fields of 16 items. The check alone stops all but one in 65,536
// before any look-up; the vault finds the rest absent.
//
// # What is not
//
// A token is no proof of a right: whoever has one still needs the right to
// what it stands for. Equality across versions of a domain's key is asked of
// the vault, never of the texts.
package token
