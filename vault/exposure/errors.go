package exposure

import (
	"errors"
	"fmt"
)

var (
	// ErrQuery: a question breaks a rule.
	ErrQuery = errors.New("exposure question breaks a rule")
	// ErrLimit: the answer is larger than its bound. Ask for a shorter window
	// or fewer fields, or raise Query.MaxRows.
	ErrLimit = errors.New("exposure answer is too large")
	// ErrCandidates: the candidates of a scan do not rise.
	ErrCandidates = errors.New("exposure candidates do not rise")
	// ErrMissing: the log did not give an entry that it has to hold. Pruning
	// the log during a scan is one cause; scanning again helps then.
	ErrMissing = errors.New("exposure scan misses an entry of the log")
)

// LimitError says which bound was reached. It wraps ErrLimit.
type LimitError struct {
	// Limit is "rows", "combinations of rows" or "combinations".
	Limit string
	// Max is the bound.
	Max uint64
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%v: %s: more than %d", ErrLimit, e.Limit, e.Max)
}

// Unwrap returns ErrLimit.
func (e *LimitError) Unwrap() error { return ErrLimit }
