// Package filekek keeps key-encryption keys in files: a KEK in one file, in a
// systemd credential or made of a passphrase, and the keys of erasure epochs
// in a directory.
//
// It fits a vault on one machine, development, and a secret that the
// platform mounts. Who can read the file can
// open the vault; a key service or a hardware module is the better place
// where there is one. It works on Unix only.
//
// # Files
//
// A key file is one line of text, so that a wrong file is noticed at once:
//
//	cloakroom-kek-v1:<32 bytes in standard base64>
//	cloakroom-epoch-kek-v1:<32 bytes in standard base64>
//
// It must be a regular file and no symbolic link, owned by the user that the
// process runs as, with mode 0600 or 0400 exactly. The directory of the
// epochs holds epoch-0000000001.key and so on; it must be owned likewise and
// have mode 0700. After Destroy, epoch-0000000001.destroyed remains, so that a
// destroyed key and a lost one can be told apart.
//
// # Systemd credentials
//
// OpenCredential reads the same text from $CREDENTIALS_DIRECTORY/<name>, which
// systemd makes for one service, in memory that is not swapped, from
// LoadCredential= or LoadCredentialEncrypted=; the latter can bind it to the
// machine's TPM. Systemd gives the file to root and lets the user of the
// service read it by an access list, which shows as mode 0440, or gives it to
// that user with mode 0400. So the rules differ: a regular file and no
// symbolic link, owned by root or the user that the process runs as, with
// mode 0400 or 0440 exactly, in a directory owned likewise that others cannot
// enter and its group cannot write.
//
// # Passphrases
//
// A passphrase file is a key file by the rules above, and says
//
//	cloakroom-passphrase-kek-v1:m=262144,t=3,p=4:<salt 16>:<check 16>
//
// with salt and check in standard base64. The key is Argon2id (RFC 9106) of
// the passphrase in Unicode's form NFC and the salt, with m KiB of memory, t
// passes and p lanes, 32 bytes long. The check is the beginning of HMAC-SHA256
// under the key of a label, the cost as written, and the salt; so a wrong
// passphrase is noticed before anything is unwrapped, after the same work as
// a right one, and a cost that was changed gives nothing.
//
// The file is not secret, and is needed: without the salt the passphrase
// opens nothing. Who has the file, or a blob, can try passphrases, at the
// price of one run of Argon2id each. Six random words are out of reach; a
// word with a digit is not.
//
// # Blobs
//
//	format u8 = 1 | fingerprint 4 | nonce 12 | AES-256-GCM | tag 16
//
// bound to format | fingerprint | the caller's associated data (for epochs:
// format | fingerprint | epoch u32 | the caller's). The fingerprint is the
// first four bytes of SHA-256 over a label and the key. It says which key a
// blob wants, and tells nothing of use about 32 random bytes. With a key made
// of a passphrase it is one more way to try a passphrase, no cheaper than the
// others.
//
// # What Destroy can do, and what it cannot
//
// Destroy overwrites the file in place, forces it to the disk, and unlinks
// it. On a file system that writes in place on a magnetic disk the key is
// then gone. Flash translation layers, copy-on-write file systems (btrfs,
// ZFS, some overlays), journals that hold data, snapshots, and every backup
// of the directory may keep the old bytes; no program can reach those. Keep
// the directory out of all backups and snapshots, on an encrypted disk, or
// use a provider that destroys keys in hardware.
//
// Losing the epoch's key file is losing every value in the vault. Keep a
// second copy in another place, and destroy that copy too when an epoch ends.
package filekek
