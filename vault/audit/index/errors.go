package index

import "errors"

var (
	// ErrClosed: the index was closed.
	ErrClosed = errors.New("audit index is closed")
	// ErrOptions: an option of Open is missing or out of range.
	ErrOptions = errors.New("audit index opened with a wrong option")
	// ErrQuery: a query breaks a rule of Query; nothing was looked up.
	ErrQuery = errors.New("query of the audit index breaks a rule")
	// ErrSource: the log gave an entry that does not follow the one before, or
	// one that cannot be decoded. The index stops before it.
	ErrSource = errors.New("audit index cannot follow the log")
)

var (
	// errDamaged: rows are not what was written, or are of another log.
	errDamaged = errors.New("the audit index is damaged or of another log")
	// errStop ends a read of the log early.
	errStop = errors.New("read enough")
)
