package daemon

import "errors"

// Errors of opening and making a directory.
var (
	// ErrIncomplete: one of the two stores of a vault, or its audit log, is
	// missing.
	ErrIncomplete = errors.New("the directory holds a part of a vault only")
	// ErrNoLog: the audit log is missing, and without it nobody can tell what was
	// erased since a backup was made.
	ErrNoLog = errors.New("a backup is restored with the vault's own audit log only")
	// ErrSigner: no key of a backup signed the last checkpoint of the audit log.
	ErrSigner = errors.New("the audit log is signed by keys that were made after the backup")
	// ErrRestoring: a restore was begun in the directory and did not come to its
	// end.
	ErrRestoring = errors.New("a restore was begun and is not finished")
	// ErrNotFIPS: the configuration requires FIPS 140-3 mode, and the process
	// was not started in it.
	ErrNotFIPS = errors.New("fips is true in the configuration, and the cryptography of this process is not in FIPS 140-3 mode")
)
