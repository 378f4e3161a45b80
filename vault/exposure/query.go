package exposure

import (
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	// DefaultMaxRows is the bound on rows when Query.MaxRows is 0.
	DefaultMaxRows = 20_000_000
	// maxMaxRows is the highest bound that can be asked for.
	maxMaxRows = 1 << 30
)

// Query says which reveals count. Criteria that are given must all hold; one
// that is empty holds always. Of several elements of one criterion, any will
// do.
type Query struct {
	// Principals are exact names of callers.
	Principals []string
	// Fields are numbers of fields; 0 is none.
	Fields []uint32
	// KeyVersions are versions of the key that sealed the value that was
	// revealed; they need exactly one field. The number 0 stands for reveals of
	// which the log does not tell the version: those of entries written before
	// versions were entered. Without 0 these are left out, and
	// Summary.VersionUnknown counts them.
	KeyVersions []uint16
	// Except are subjects that are left out, and counted by Summary.Excepted.
	Except [][16]byte
	// Subject, when set, returns the one text that a person goes by in the answer,
	// for every text that the log may have for that person, which are several
	// when the key was rotated that enciphers them. It is called from several
	// goroutines at once, for each item that counts. Except is compared before.
	Subject func(subject [16]byte) [16]byte
	// From is the first instant that counts and To the first that does not.
	// The zero time leaves a side open.
	From, To time.Time
	// Match, when set, says whether reveals of a principal count that were
	// decided by a version of the policy: so a role is asked for. It is called
	// from several goroutines at once, only for reveals that meet the other
	// criteria, and more than once for the same pair, for which its answer must
	// not change. It must not keep principal.
	Match func(principal string, policyVersion uint64) bool
	// MaxRows bounds the rows of the answer: 1 to 2^30, 20 million if 0. Beyond
	// it there is a *LimitError. The package comment gives the memory.
	MaxRows int
}

// Validate reports the first rule that q breaks, as an error wrapping
// ErrQuery.
func (q *Query) Validate() error {
	for i, p := range q.Principals {
		if p == "" {
			return fmt.Errorf("%w: principals: element %d: empty", ErrQuery, i)
		}
		if len(p) > audit.MaxPrincipalLen {
			return fmt.Errorf("%w: principals: element %d: %d bytes, at most %d", ErrQuery, i, len(p), audit.MaxPrincipalLen)
		}
	}
	for i, f := range q.Fields {
		if f == 0 {
			return fmt.Errorf("%w: fields: element %d: 0 is no field", ErrQuery, i)
		}
	}
	if len(q.KeyVersions) > 0 && len(q.Fields) != 1 {
		return fmt.Errorf("%w: key versions: need exactly one field, got %d", ErrQuery, len(q.Fields))
	}
	if !q.From.IsZero() && !q.To.IsZero() && !q.From.Before(q.To) {
		return fmt.Errorf("%w: window: from must be before to", ErrQuery)
	}
	if q.MaxRows < 0 || q.MaxRows > maxMaxRows {
		return fmt.Errorf("%w: max rows: %d, want 1 to %d, or 0 for %d", ErrQuery, q.MaxRows, maxMaxRows, DefaultMaxRows)
	}
	return nil
}

// maxRows is the bound in force.
func (q *Query) maxRows() uint64 {
	if q.MaxRows == 0 {
		return DefaultMaxRows
	}
	return uint64(q.MaxRows)
}
