package vault

import (
	"context"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/datatype"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

var (
	// ErrNotInitialised: the stores hold no vault.
	ErrNotInitialised = errors.New("the directory holds no vault")
	// ErrExists: the stores hold a vault already.
	ErrExists = errors.New("the directory holds a vault already")
	// ErrMismatch: keys.db and values.db are of different vaults.
	ErrMismatch = errors.New("the key store and the value store belong to different vaults")
	// ErrLogOlder: the audit log is shorter than it was when the value store was
	// written to last.
	ErrLogOlder = errors.New("the audit log is older than the values")
	// ErrLogOther: the audit log goes on from other entries than those that the
	// value store was written with.
	ErrLogOther = errors.New("the audit log is not the one that the values were written with")
)

// Error is every refusal and failure of an operation. Its text is safe to send
// to the caller: it names fields and rules, never a value or a token. The
// cause, which Unwrap returns, is for the log of the server only.
type Error struct {
	Reason   Reason
	Field    string    // the field at fault, or empty
	Rule     string    // for InvalidValue: the rule that is broken
	Detail   string    // one sentence for a developer
	Problems []Problem // for PolicyInvalid: every mistake
	cause    error
}

// Problem is one mistake in a policy document.
type Problem struct {
	Path    string // where, such as "collections[0].fields[3].purposes"
	Line    int    // from 1; 0 when no line is at fault
	Message string
}

// Error returns the text for the caller.
func (e *Error) Error() string {
	switch {
	case e.Field != "" && e.Rule != "":
		return fmt.Sprintf("%s: %s (%s)", e.Field, e.Detail, e.Rule)
	case e.Field != "":
		return e.Field + ": " + e.Detail
	}
	return e.Detail
}

// Unwrap returns the cause, for logs.
func (e *Error) Unwrap() error { return e.cause }

// Is makes two errors of the same reason equal for errors.Is.
func (e *Error) Is(target error) bool {
	t, ok := target.(*Error)
	return ok && t.Reason == e.Reason
}

func refuse(r Reason, field, detail string) *Error {
	return &Error{Reason: r, Field: field, Detail: detail}
}

// texts says, for reasons whose sentence does not depend on the case, what a
// developer should know.
var texts = map[Reason]string{
	PrincipalUnknown:   "the policy knows no such principal",
	ActionDenied:       "no role of the caller allows this action",
	FieldDenied:        "no role of the caller allows this action on the field",
	PurposeRequired:    "a purpose is required to reveal",
	UnknownPurpose:     "no such purpose is declared",
	PurposeNotDeclared: "the field is not declared for this purpose",
	PurposeDenied:      "no role of the caller may use the field for this purpose",
	ViewDenied:         "no role of the caller may see the field in this view",
	DomainDenied:       "no role of the caller may use tokens of this domain",
	DenyRule:           "a rule denies this",
	ConsentRequired:    "the purpose needs the person's consent, and none is on record",
	MalformedToken:     "the text is not a token: its form or checksum is wrong",
	TokenNotFound:      "the token opens to nothing",
	RecordNotFound:     "there is no such record",
	RecordExists:       "the subject has a record in this collection already",
	ValueExists:        "the field holds another value already",
	ETagMismatch:       "the etag is not the record's current one",
	RequestIDReused:    "the request_id was used for a different request",
	Contention:         "concurrent changes of the same person kept winning",
	Frozen:             "what the call needs is frozen",
	FreezeNotFound:     "no freeze of this number is in force",
	SubjectNotFound:    "the vault holds nothing of this person",
	EntryNotFound:      "the audit log has no such entry, or not any more",
	DataCorrupt:        "stored bytes are damaged",
	KeyDestroyed:       "the key of this value was destroyed",
	KeyDisabled:        "the key of this value is disabled",
	KeyNotFound:        "there is no such key or version",
	ApprovalNotFound:   "no request of this number waits for approval",
	AuditUnavailable:   "the audit log cannot be written",
	KeysUnavailable:    "the keys cannot be used now",
	UnknownCollection:  "no such collection is declared",
	UnknownField:       "the collection declares no such field",
	UnknownDomain:      "no such domain is declared",
}

// fail makes the error of a reason with its standard sentence.
func fail(r Reason, field string) *Error { return refuse(r, field, texts[r]) }

// invalid turns a type's refusal of a value into an item error.
func invalid(field string, err error) *Error {
	var rule *datatype.RuleError
	if errors.As(err, &rule) {
		return &Error{Reason: InvalidValue, Field: field, Rule: rule.Rule, Detail: rule.Detail}
	}
	return &Error{Reason: Internal, Field: field, Detail: "the value could not be checked", cause: err}
}

// failure turns an error of a store, a key provider or a context into one for
// the caller. It never carries the cause's text.
func failure(err error) error {
	var own *Error
	if errors.As(err, &own) {
		return own
	}
	e := &Error{cause: err}
	switch {
	case errors.Is(err, store.ErrFull):
		e.Reason, e.Detail = StoreFull, "the store has no space left; stored data is intact"
	case errors.Is(err, store.ErrBusy):
		e.Reason, e.Detail = Busy, "too many writes are waiting; try again later"
	case errors.Is(err, store.ErrCorrupt), errors.Is(err, store.ErrFormat), errors.Is(err, keys.ErrFormat), errors.Is(err, seal.ErrFormat),
		errors.Is(err, audit.ErrCorrupt), errors.Is(err, audit.ErrFormat), errors.Is(err, tree.ErrCorrupt):
		e.Reason, e.Detail = DataCorrupt, texts[DataCorrupt]
	case errors.Is(err, store.ErrClosed), errors.Is(err, store.ErrBroken), errors.Is(err, store.ErrAmbiguous):
		e.Reason, e.Detail = StoreUnavailable, "the store cannot be read or written now"
	case errors.Is(err, keys.ErrDestroyed):
		e.Reason, e.Detail = KeyDestroyed, texts[KeyDestroyed]
	case errors.Is(err, keys.ErrDisabled):
		e.Reason, e.Detail = KeyDisabled, texts[KeyDisabled]
	case errors.Is(err, seal.ErrNotFIPS):
		e.Reason, e.Detail = KeysUnavailable, "stored under a cipher that the FIPS mode of this server refuses"
	case errors.Is(err, keys.ErrAway), errors.Is(err, keys.ErrDenied), errors.Is(err, keys.ErrNoKey):
		e.Reason, e.Detail = KeysUnavailable, texts[KeysUnavailable]
	case errors.Is(err, keys.ErrWrongKey):
		e.Reason, e.Detail = DataCorrupt, texts[DataCorrupt]
	case isContext(err):
		return err
	default:
		e.Reason, e.Detail = Internal, "an internal fault; the server's log has the cause"
	}
	return e
}

func isContext(err error) bool {
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}
