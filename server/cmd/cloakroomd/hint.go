package main

import (
	"errors"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/pkcs11kek"
	"github.com/cloakroom-vault/cloakroom/server/daemon"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// hint says what a person can do about an error, or nothing.
func hint(err error) string {
	var own hinted
	switch {
	case errors.As(err, &own):
		return own.hint
	case errors.Is(err, store.ErrLocked), errors.Is(err, audit.ErrLocked):
		return "another cloakroomd serves this directory; stop it first"
	case errors.Is(err, vault.ErrNotInitialised):
		return "make a vault with \"cloakroomd init DIR\""
	case errors.Is(err, daemon.ErrNoBackup):
		return "uncomment the backup section of the configuration: it says where artefacts go, and names a KEK for each"
	case errors.Is(err, daemon.ErrNoLog), errors.Is(err, vault.ErrBackupLog):
		return "bring back the newest copy of the audit directory; it tells what was erased since the backup was made"
	case errors.Is(err, daemon.ErrSigner):
		return "take a newer artefact of keys. Where there is none, verify the log by the key that signed it, keep tlog/ elsewhere as evidence, and move it away: the daemon then signs the same entries anew"
	case errors.Is(err, daemon.ErrRestoring):
		return "run \"cloakroomd restore\" again. To go on with what was there before, remove the folder that is named"
	case errors.Is(err, vault.ErrBackupPair):
		return "take the two artefacts of one run, which have the same time and number in their names"
	case errors.Is(err, vault.ErrBackupUnread):
		return "take a newer artefact of keys. Where there is none, --accept-unread goes on, with the whole vault frozen"
	case errors.Is(err, backup.ErrDamaged), errors.Is(err, backup.ErrFormat):
		return "take another copy of this artefact, or another pair"
	case errors.Is(err, keys.ErrDestroyed):
		return "the erasure epoch of these keys has ended; take a newer artefact of keys"
	case errors.Is(err, daemon.ErrIncomplete):
		return "bring it back from a backup of this vault; do not make a new one. An audit log that is lost for good is begun anew with \"serve --begin-audit-log\""
	case errors.Is(err, vault.ErrMismatch):
		return "keys.db and values.db must come from the same vault"
	case errors.Is(err, keys.ErrAway): // before a wrong key: of kek and kek.next, the right one may be the one that is away
		return "the key provider does not answer; start again once it does"
	case errors.Is(err, keys.ErrWrongKey):
		return "this KEK or epoch key belongs to another vault, or the directory was changed"
	case errors.Is(err, keys.ErrNoKey):
		return "an epoch key is missing, or the KEK; without it no person's values open. Bring back the copy of it, or of the epochs directory. For a new vault, \"make-kek\" makes a KEK"
	case errors.Is(err, daemon.ErrNotFIPS):
		return "start the process with GODEBUG=fips140=on or GODEBUG=fips140=only"
	case errors.Is(err, pkcs11kek.ErrNotBuilt):
		return "use a cloakroomd that was built with cgo"
	case errors.Is(err, keys.ErrDenied):
		return "the key provider refuses this process; look at its rights and credentials"
	case errors.Is(err, keys.ErrExists):
		return "this provider has such a key already: of another vault, or of an attempt that failed. Give each vault a name or prefix of its own"
	case errors.Is(err, vault.ErrLogOlder), errors.Is(err, vault.ErrLogOther):
		return "bring back the newest copy of the audit directory; \"audit verify --deep\" shows what it does not tell of. Where it is lost for good, keep what is there elsewhere and begin anew with \"serve --begin-audit-log\""
	case errors.Is(err, errFaults), errors.Is(err, errUnsound):
		return "keep a copy of the whole vault directory as it is before anything else; it is evidence"
	case errors.Is(err, audit.ErrCorrupt):
		return evidenceHint
	case errors.Is(err, tree.ErrNoCheckpoint):
		return "name the audit log's own directory, which holds .wal files and tlog/"
	case errors.Is(err, store.ErrFormat), errors.Is(err, audit.ErrFormat):
		return "the directory was written by another version of cloakroomd"
	case errors.Is(err, store.ErrCorrupt):
		return "a file is damaged, or keys.db and values.db come from different vaults; bring both back from a backup"
	}
	return ""
}
