package auditentry

import "errors"

var (
	// ErrFormat: the entry is in a format that this version does not know.
	ErrFormat = errors.New("the entry is in an unknown format")
	// ErrEntry: the bytes are no entry that a vault writes.
	ErrEntry = errors.New("not an entry of an audit log")
)
