// Package gcpkek keeps key-encryption keys in Google Cloud KMS: a KEK that is
// one CryptoKey, and erasure epochs that are a CryptoKey each.
//
// Every Wrap and Unwrap is one call of the service (Encrypt, Decrypt) by the
// official client over gRPC. What goes there and what comes back is held to
// the CRC32C sums that the service offers, on both sides: an answer whose sums
// do not fit is asked for again, and is ErrAway in the end. A request whose
// sums do not fit is refused by the service, which has one code for that and
// for bytes that do not open: Unwrap then says ErrWrongKey, Wrap ErrUsage.
//
// # What the service and its logs see
//
// The plaintext goes to the service over TLS; it is 32 random bytes for all
// that a vault wraps. The associated data goes there as
// additional_authenticated_data. Cloud Audit Logs may keep its size and hold
// no payload, but the service sees it, so it must hold labels and ids only,
// as that of package keys does.
//
// # Stored form
//
//	format u8 = 1 | kind u8 | the service's ciphertext
//
// Kind 0 is a plaintext as it is, kind 1 an empty one, for which one zero byte
// stands, since the service names the plaintext as required. The service binds
// the ciphertext to format | kind | associated data, for epochs to
// format | kind | epoch u32 big-endian | associated data.
//
// # Epochs
//
// Epoch n is the CryptoKey epoch-n of a key ring that belongs to one vault. It
// has no rotation schedule, and Wrap names version 1 of it: a version that
// somebody adds is never used, so that destroying version 1 destroys all that
// the epoch wrapped.
//
// # What Destroy destroys, and when
//
// Destroy is DestroyCryptoKeyVersion. From the answer on, the service refuses
// every use of the version (elsewhere within minutes, as the service says; an
// Epochs that destroyed a version refuses it at once). The key material is
// destroyed when the CryptoKey's destroy_scheduled_duration has passed:
// Epochs.DestructionDelay, which Create sets on the CryptoKey, 24 hours at
// least and by default. It cannot be changed later: epochs that were created
// with another delay keep theirs. Until then whoever holds
// cloudkms.cryptoKeyVersions.restore can have the version back, so a receipt
// must state the end of the delay and not the day of the call. After it the
// service needs up to 45 days more, by its own documents, until its backups
// hold nothing of the material either; the version cannot be restored then.
//
// The CryptoKey itself stays as the tombstone, with its version in state
// DESTROYED. Who deletes it makes a destroyed epoch look like a lost one
// (ErrNoKey).
//
// # Rights
//
// KEK: cloudkms.cryptoKeyVersions.useToEncrypt and useToDecrypt, and
// cloudkms.cryptoKeys.get and cloudkms.cryptoKeyVersions.get to tell a
// disabled key from a destroyed one. Epochs: besides,
// cloudkms.cryptoKeys.create and cloudkms.cryptoKeyVersions.destroy.
//
// # What is not claimed
//
// Who may administer the keys (change policies, restore a version) is trusted.
// The client makes copies of plaintexts that it does not clear.
package gcpkek
