package daemon

import "errors"

// ErrIncomplete: one of the two stores of a vault, or its audit log, is
// missing.
var ErrIncomplete = errors.New("the directory holds a part of a vault only")
