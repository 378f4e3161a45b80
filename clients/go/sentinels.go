package cloakroom

import "google.golang.org/grpc/codes"

// sentinel matches errors by reason or, when it has none, by code.
type sentinel struct {
	text   string
	code   codes.Code
	reason string
}

// Error implements error.
func (s *sentinel) Error() string { return s.text }

func byCode(code codes.Code, text string) error { return &sentinel{text: text, code: code} }

func byReason(reason, text string) error { return &sentinel{text: text, reason: reason} }

// Broad kinds: each matches every error of one gRPC code.
var (
	// ErrInvalidArgument: the request or one of its items is wrong as it stands.
	ErrInvalidArgument = byCode(codes.InvalidArgument, "invalid argument")
	// ErrUnauthenticated: the vault accepts no identity of this connection.
	ErrUnauthenticated = byCode(codes.Unauthenticated, "not authenticated")
	// ErrPermissionDenied: the policy gives the caller no such right.
	ErrPermissionDenied = byCode(codes.PermissionDenied, "permission denied")
	// ErrNotFound: no such record, token or policy version.
	ErrNotFound = byCode(codes.NotFound, "not found")
	// ErrAlreadyExists: the record or the single value is there already.
	ErrAlreadyExists = byCode(codes.AlreadyExists, "already exists")
	// ErrFailedPrecondition: the state of the person, key or policy forbids it.
	ErrFailedPrecondition = byCode(codes.FailedPrecondition, "failed precondition")
	// ErrAborted: somebody else changed it first; read it and try again.
	ErrAborted = byCode(codes.Aborted, "aborted")
	// ErrResourceExhausted: too much at once, or no space left.
	ErrResourceExhausted = byCode(codes.ResourceExhausted, "resource exhausted")
	// ErrUnavailable: the vault cannot be reached or cannot serve now.
	ErrUnavailable = byCode(codes.Unavailable, "unavailable")
	// ErrDataLoss: stored bytes are damaged.
	ErrDataLoss = byCode(codes.DataLoss, "data loss")
)

// Narrow kinds: each matches one reason of the contract.
var (
	// ErrUnknownCollection: the policy declares no such collection.
	ErrUnknownCollection = byReason("UNKNOWN_COLLECTION", "unknown collection")
	// ErrUnknownField: the collection declares no such field.
	ErrUnknownField = byReason("UNKNOWN_FIELD", "unknown field")
	// ErrUnknownPurpose: the policy declares no such purpose.
	ErrUnknownPurpose = byReason("UNKNOWN_PURPOSE", "unknown purpose")
	// ErrUnknownDomain: the policy declares no such token domain.
	ErrUnknownDomain = byReason("UNKNOWN_DOMAIN", "unknown domain")
	// ErrInvalidValue: a value breaks a rule of its field's type.
	ErrInvalidValue = byReason("INVALID_VALUE", "invalid value")
	// ErrMalformedToken: the text is no token (mistyped).
	ErrMalformedToken = byReason("MALFORMED_TOKEN", "malformed token")
	// ErrPolicyInvalid: the policy document has mistakes; see Error.Violations.
	ErrPolicyInvalid = byReason("POLICY_INVALID", "invalid policy")
	// ErrPurposeRequired: the call reveals and states no purpose.
	ErrPurposeRequired = byReason("PURPOSE_REQUIRED", "purpose required")
	// ErrConsentRequired: the purpose rests on a consent that is not on record.
	ErrConsentRequired = byReason("CONSENT_REQUIRED", "consent required")
	// ErrKeyDestroyed: the key of this value was destroyed.
	ErrKeyDestroyed = byReason("KEY_DESTROYED", "key destroyed")
	// ErrKeyDisabled: the version of the key of this value is disabled.
	ErrKeyDisabled = byReason("KEY_DISABLED", "key disabled")
	// ErrKeyInUse: stored values need the version of the key.
	ErrKeyInUse = byReason("KEY_IN_USE", "key in use")
	// ErrApprovalNeeded: it must be asked for, and others must approve it.
	ErrApprovalNeeded = byReason("APPROVAL_NEEDED", "approval needed")
	// ErrKeyNotFound: there is no such key, or no such version of it.
	ErrKeyNotFound = byReason("KEY_NOT_FOUND", "key not found")
	// ErrApprovalNotFound: no such request waits for approval, or no longer.
	ErrApprovalNotFound = byReason("APPROVAL_NOT_FOUND", "approval not found")
	// ErrKeysUnavailable: the vault is sealed, or a key provider is away.
	ErrKeysUnavailable = byReason("KEYS_UNAVAILABLE", "keys unavailable")
	// ErrFieldHoldsValues: the policy drops a field that still holds values.
	ErrFieldHoldsValues = byReason("FIELD_HOLDS_VALUES", "field holds values")
	// ErrFrozen: the caller, its role, the field, the collection or the vault is
	// frozen.
	ErrFrozen = byReason("FROZEN", "frozen")
	// ErrTokenNotFound: the token opens to nothing.
	ErrTokenNotFound = byReason("TOKEN_NOT_FOUND", "token not found")
	// ErrRecordNotFound: no such record.
	ErrRecordNotFound = byReason("RECORD_NOT_FOUND", "record not found")
	// ErrRecordExists: the subject has a record in this collection already.
	ErrRecordExists = byReason("RECORD_EXISTS", "record exists")
	// ErrValueExists: the single-valued field holds another value already.
	ErrValueExists = byReason("VALUE_EXISTS", "value exists")
	// ErrETagMismatch: the etag is not the record's current one.
	ErrETagMismatch = byReason("ETAG_MISMATCH", "etag mismatch")
	// ErrPolicyVersionMismatch: the policy's version is not the expected one.
	ErrPolicyVersionMismatch = byReason("POLICY_VERSION_MISMATCH", "policy version mismatch")
	// ErrRequestIDReused: the request id was used for a different request.
	ErrRequestIDReused = byReason("REQUEST_ID_REUSED", "request id reused")
	// ErrFreezeNotFound: there is no such freeze, or no longer.
	ErrFreezeNotFound = byReason("FREEZE_NOT_FOUND", "freeze not found")
	// ErrSubjectNotFound: there is no such person.
	ErrSubjectNotFound = byReason("SUBJECT_NOT_FOUND", "subject not found")
	// ErrEntryNotFound: the audit log has no such entry, or not any more, or its
	// checkpoint does not cover it yet.
	ErrEntryNotFound = byReason("ENTRY_NOT_FOUND", "audit entry not found")
)
