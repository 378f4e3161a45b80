package tlsfiles

import (
	"errors"
	"fmt"
)

// What can be wrong with a file; each is wrapped by a FileError.
var (
	// ErrMissing: the file does not exist.
	ErrMissing = errors.New("does not exist")
	// ErrUnreadable: the operating system refuses to give the file.
	ErrUnreadable = errors.New("cannot be read")
	// ErrMode: others than its owner may use the key file.
	ErrMode = errors.New("must have mode 0600 or 0400")
	// ErrFormat: the file does not hold what it should, in PEM.
	ErrFormat = errors.New("has the wrong content")
	// ErrMismatch: the key is not the certificate's.
	ErrMismatch = errors.New("is not the key of the certificate")
	// ErrTime: the certificate is expired or not yet valid.
	ErrTime = errors.New("is not valid today")
	// ErrUsage: the certificate is made for something else.
	ErrUsage = errors.New("is made for another use")
)

// Role says which of the three files is meant.
type Role uint8

// The three files.
const (
	Certificate Role = iota + 1
	Key
	ClientCA
)

// String returns the role as messages name it.
func (r Role) String() string {
	switch r {
	case Certificate:
		return "certificate"
	case Key:
		return "key"
	case ClientCA:
		return "client CA"
	}
	return fmt.Sprintf("role %d", uint8(r))
}

// FileError is one thing wrong with one file. Its text names the role, the
// path and the rule, never content.
type FileError struct {
	Role Role
	Path string
	Err  error
}

func (e *FileError) Error() string {
	return fmt.Sprintf("TLS %s file %s: %v", e.Role, e.Path, e.Err)
}

// Unwrap gives the rule that was broken.
func (e *FileError) Unwrap() error { return e.Err }

func join(faults []*FileError) error {
	errs := make([]error, len(faults))
	for i, f := range faults {
		errs[i] = f
	}
	return errors.Join(errs...)
}
