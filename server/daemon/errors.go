package daemon

import "errors"

// Errors of opening and making a directory.
var (
	// ErrIncomplete: one of the two stores of a vault, or its audit log, is
	// missing.
	ErrIncomplete = errors.New("the directory holds a part of a vault only")
	// ErrNotFIPS: the configuration requires FIPS 140-3 mode, and the process
	// was not started in it.
	ErrNotFIPS = errors.New("fips is true in the configuration, and the cryptography of this process is not in FIPS 140-3 mode")
)
