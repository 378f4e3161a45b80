// Package pkcs11kek keeps key-encryption keys in a PKCS#11 token: a hardware
// module, a smart card, or SoftHSM. The keys are made in the token, are not
// extractable, and are used there; the process never sees them.
//
// The package speaks to the vendor's library (a shared object) in this
// process and needs cgo. A binary built with CGO_ENABLED=0, or with the tag
// nopkcs11, has the same names and answers ErrNotBuilt.
//
// # Blobs
//
//	format u8 = 1 | mechanism u32 = 0x1087 (CKM_AES_GCM) | IV 12 | ciphertext | tag 16
//
// Integers are big-endian. The token binds the ciphertext to
//
//	KEK:    "cloakroom/pkcs11kek/kek/v1"   | the caller's associated data
//	Epochs: "cloakroom/pkcs11kek/epoch/v1" | epoch u32 | the caller's associated data
//
// The IV is 12 random bytes of this process, or of the module where
// Config.ModuleIV says so; the blob holds the IV that was used. Random IVs are
// safe here: a KEK wraps a root, an epoch key wraps an epoch, a handful of
// messages in all.
//
// # Objects of the token
//
//	KEK         CKO_SECRET_KEY, CKK_AES, 32 bytes, found by label, id or both
//	epoch key   the same, label prefix + "epoch-0000000001", random id
//	tombstone   CKO_DATA, label prefix + "epoch-0000000001.destroyed"
//
// Every use finds the key anew and refuses one that could be read out
// (CKA_EXTRACTABLE, or not CKA_SENSITIVE) as ErrDenied. A key whose
// CKA_ENCRYPT and CKA_DECRYPT an administrator took away is ErrDisabled.
//
// # The PIN
//
// The PIN is one line in a file of mode 0600 or 0400, owned by the user that
// the process runs as. It is read for each login and not kept. A refused PIN
// is never tried twice: the Token answers ErrDenied until the file holds
// another one. When the module says that one try is left before it locks the
// PIN, no login is tried at all, so that a service that is restarted again
// and again cannot lock the token: log in once by hand, with the vendor's
// tool, and the module counts anew.
//
// # Trouble
//
// A lost session, login or token is set up again, once for each call. What
// stays lost is ErrAway. Some libraries (SoftHSM) look for tokens only when a
// process starts, so that one which was taken away comes back by a restart:
// PKCS#11 has one state a process, which others in it may use, and so nothing
// here calls C_Finalize. Library calls cannot be cancelled: a caller whose
// context ends leaves at once, and the call goes on in the background, at
// most Config.Sessions of them. Some modules (SoftHSM) answer a wrong tag with
// CKR_GENERAL_ERROR; then the key seals and opens a probe, and only when that
// works the blob is to blame (ErrWrongKey).
//
// # What Destroy can do, and what it cannot
//
// Destroy writes the tombstone, removes every key of the epoch from the token
// (C_DestroyObject), and looks that none is left. Clones and backups of the
// token that the vendor's tools made keep the key, and no program here
// reaches them: give the epochs a token or partition of its own, outside such
// backups. PKCS#11 has no unique labels, so two processes that create the
// same epoch in the same instant may make two keys; both open what they
// sealed, and both die with the epoch. Within a process a Token makes one.
//
// The library and its Go binding make copies of plaintexts (a root, an epoch
// key) and of the PIN in C memory that nothing here can clear.
package pkcs11kek
