// Package transitkek keeps key-encryption keys in the transit engine of
// HashiCorp Vault (1.13 or newer) or OpenBao: a KEK as one key, and the keys
// of erasure epochs as one key each. The keys never leave the engine; what is
// wrapped goes there and comes back over TLS.
//
// The client is a small one of net/http. It uses the calls encrypt, decrypt
// and those on keys, and never rewrap, which leaves out associated data.
//
// # What the engine must allow
//
// For a KEK with key "cloakroom", made by an operator with
// "vault write -f transit/keys/cloakroom":
//
//	path "transit/keys/cloakroom"    { capabilities = ["read"] }
//	path "transit/encrypt/cloakroom" { capabilities = ["update"] }
//	path "transit/decrypt/cloakroom" { capabilities = ["update"] }
//
// For epochs with prefix "cloakroom", under a role of its own:
//
//	path "transit/keys/cloakroom-epoch-*"        { capabilities = ["read", "update"] }
//	path "transit/encrypt/cloakroom-epoch-*"     { capabilities = ["update"] }
//	path "transit/decrypt/cloakroom-epoch-*"     { capabilities = ["update"] }
//
// (the first covers rotate, config and trim too), and for both what the
// policy "default" has: lookup-self, renew-self and revoke-self of tokens.
// Grant "delete" to nobody: the name of a destroyed key is the only proof that
// there was one.
//
// # Blobs
//
//	format u8 = 1 | the engine's text, vault:v<version>:<base64>
//
// The text is taken in one form only, and the engine binds it to format | the
// caller's associated data. What the engine enciphered is opened again before
// Wrap returns it, and must not open with other associated data: old engines
// accept such data and leave it out. Audit devices of the engine see
// associated data and plaintext as keyed hashes only, unless told otherwise.
//
// Wrap never makes a key, which the engine does by itself for a name that is
// not there.
//
// # Tokens
//
// A token is renewed when two thirds of its time have passed and replaced by
// a new login when renewing brings nothing; a call that is refused logs in
// once more before the refusal counts. A token that was logged in for is
// revoked by Close. Tokens and credentials stand in headers and bodies, never
// in a path, an error or a printed form. Redirects are not followed and the
// environment's proxies are not used.
//
// # Errors
//
// 403 and refused credentials are keys.ErrDenied; a time-out, a connection
// that fails, 429, 412, redirects and 5xx (a sealed server says 503) are
// keys.ErrAway, after a few attempts with pauses between them. 400 says
// nothing by itself; the state of the key is read and decides between
// ErrNoKey, ErrDestroyed, ErrDisabled and ErrWrongKey.
//
// # What Destroy can do, and what it cannot
//
// Only version 1 of an epoch's key is ever used. Destroy rotates the key,
// sets min_decryption_version and min_encryption_version past version 1, has
// the engine trim version 1 away, and asks the engine whether it is gone. The
// name of the key remains and says that there was one. Deleting the key
// instead would forget that, and let the number be used again.
//
// From then on no caller of the engine can open what the epoch wrapped. Not
// reached are copies of the engine's own storage: Raft snapshots and other
// backups, replicas that are cut off, freed pages and old versions in the
// storage backend. They hold the key enciphered under the engine's barrier
// key, so who has such a copy and the unseal keys of that time has the epoch.
// Bound the time that snapshots are kept, count the erasure as complete when
// the last of before the Destroy is gone, and after restoring one, destroy
// the ended epochs again before the vault is started.
//
// A key that can be exported or backed up in plaintext is refused, since its
// copies cannot be reached either. An operator who may set those afterwards
// can take a copy; the policies above do not prevent the vault's own role
// from it, so keep that role to the vault.
//
// Losing the engine, or the epoch's key in it, is losing every value in the
// vault: its own backups matter as much as the vault's.
package transitkek
