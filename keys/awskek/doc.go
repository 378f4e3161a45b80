// Package awskek keeps key-encryption keys in AWS KMS: a KEK that is one KMS
// key, and erasure epochs that are a KMS key each.
//
// Every Wrap and Unwrap is one call of the service (Encrypt, Decrypt) by the
// official SDK, which signs it and tries it again within the context. The
// keys are symmetric and never leave the service.
//
// # What the service and its logs see
//
// The plaintext goes to the service over TLS; it is 32 random bytes for all
// that a vault wraps. The associated data goes there as the encryption
// context, in base64 under one fixed name (cloakroom-kek, cloakroom-epoch).
// CloudTrail keeps the encryption context in clear, so associated data must
// hold labels and ids only, as that of package keys does. Key policies may
// demand the name by the condition kms:EncryptionContextKeys.
//
// # Stored form
//
//	format u8 = 1 | kind u8 | the service's ciphertext blob
//
// Kind 0 is a plaintext as it is, kind 1 an empty one, which the service does
// not take and for which one zero byte stands. The service binds the blob to
// base64(format | kind | associated data), for epochs to base64(format | kind |
// epoch u32 big-endian | associated data).
//
// # Epochs
//
// With a prefix P, epoch n is the key under alias/P-epoch-n. Two vaults in one
// account and region need two prefixes. A key is made by CreateKey, and the
// epoch exists from CreateAlias on, which only one of several callers gets
// through. A Create that is cut off between the two leaves a key without an
// alias: it never wrapped anything, it costs its monthly price, and its tags
// cloakroom-prefix and cloakroom-name tell where it is from.
//
// The service rotates no key by itself unless told, and it keeps old key
// material for as long as a key exists. Rotating the key of an epoch
// therefore erases nothing, and must not be mistaken for Destroy.
//
// # What Destroy destroys, and when
//
// Destroy is ScheduleKeyDeletion. From the answer on, the service refuses
// every use of the key (elsewhere, seconds later: the service is eventually
// consistent; an Epochs that destroyed a key refuses it at once). The key
// material is gone when the waiting window ends, 7 to 30 days later:
// Epochs.DestructionDelay. Within the window whoever holds
// kms:CancelKeyDeletion on the key can have it back, so a receipt must state
// the end of the window and not the day of the call, and nobody should hold
// that right. After the window nobody, the service included, can open what
// the key wrapped.
//
// When the service deletes a key it deletes its aliases too. So that a
// destroyed epoch and a lost one can still be told apart, Destroy puts
// alias/P-epoch-n-destroyed on a key that does nothing else; such a key, under
// alias/P-tombs-m, serves 32 epochs (the service allows 50 aliases a key).
//
// # Rights
//
// KEK: kms:Encrypt, kms:Decrypt, and kms:DescribeKey to tell a disabled key
// from one that waits for its deletion. Epochs: besides, kms:CreateKey,
// kms:TagResource, kms:CreateAlias and kms:ScheduleKeyDeletion.
//
// # What is not claimed
//
// Who may administer the keys (change policies, move aliases, cancel a
// deletion) is trusted. The SDK makes copies of plaintexts that it does not
// clear. An alias takes some seconds to be seen everywhere: another process
// may get ErrNoKey for an epoch that was just made.
package awskek
