// Package recovery splits the private half of a recovery key among people, so
// that a number of them together, and no fewer, can open the root of a vault
// whose KEK is lost.
//
// Split makes a fresh key of P-256 and returns its public half, which a Ring
// seals the root to (keys.Ring.SetRecovery), and the shares, which are shown
// once and kept nowhere by the vault. ParseShare and Combine put the private
// half together again for keys.Recover. The splitting is Shamir's over the
// order of P-256, with Feldman's commitments, as the library circl makes them:
// the commitments are in the public half, so a wrong share is named before
// anything is opened with it.
//
// # What is claimed
//
// Fewer shares than the threshold tell nothing of the key. A share that was
// mistyped, belongs to another set or vault, or was made up, is refused by its
// number. No error and no printed form of a Share holds bytes of it; Expose is
// the one way to its text.
//
// # What is not
//
// The key is whole in the memory of the process that splits or combines it,
// and circl's arithmetic over P-256 is not of constant time: run both on a
// machine that you trust, where nobody measures. Who had enough shares once
// may have kept the key; make a new set and rotate the root after a recovery.
//
// # Share text
//
//	cloakroom-share-1-<number>of<shares>-need<threshold>-<body>
//
// in lower case and one line, about 140 bytes. The body is RFC 4648 base32
// without padding of
//
//	vault id 16 | set 8 | shares u8 | threshold u8 | number u8 | value 32 | check 4
//
// where value is a scalar of P-256, big-endian, and check is the beginning of
// SHA-256 over "cloakroom/recovery-share/v1" and all before it. The part in
// clear is for people, and must say what the body says. Capitals and white
// space around the text are accepted.
package recovery
