package vault

import "github.com/cloakroom-vault/cloakroom/vault/policy"

// Reason says why a call or an item was refused. The numbers stand in the
// audit log and in the contract and are never reused.
type Reason uint16

// Reasons, in the groups of the contract: bad requests, no right, a condition
// of the person or the field, not there, and the vault itself.
const (
	InvalidRequest    Reason = 1
	UnknownCollection Reason = 2
	UnknownField      Reason = 3
	UnknownPurpose    Reason = 4
	UnknownDomain     Reason = 5
	InvalidValue      Reason = 6
	MalformedToken    Reason = 7
	PolicyInvalid     Reason = 8
	InvalidPageToken  Reason = 9

	Unauthenticated    Reason = 20
	PrincipalUnknown   Reason = 21
	ActionDenied       Reason = 22
	FieldDenied        Reason = 23
	PurposeRequired    Reason = 24
	PurposeNotDeclared Reason = 25
	PurposeDenied      Reason = 26
	ViewDenied         Reason = 27
	DomainDenied       Reason = 28
	DenyRule           Reason = 29

	ConsentRequired  Reason = 40
	KeyDestroyed     Reason = 41
	FieldHoldsValues Reason = 42
	TooManyValues    Reason = 43
	Frozen           Reason = 44
	KeyDisabled      Reason = 45
	KeyInUse         Reason = 46
	ApprovalNeeded   Reason = 47

	TokenNotFound         Reason = 60
	RecordNotFound        Reason = 61
	PolicyNotFound        Reason = 62
	RecordExists          Reason = 63
	ValueExists           Reason = 64
	ETagMismatch          Reason = 65
	PolicyVersionMismatch Reason = 66
	RequestIDReused       Reason = 67
	Contention            Reason = 68
	FreezeNotFound        Reason = 69
	SubjectNotFound       Reason = 70

	EntryNotFound    Reason = 71
	KeyNotFound      Reason = 72
	ApprovalNotFound Reason = 73

	AuditUnavailable Reason = 80
	StoreUnavailable Reason = 81
	StoreFull        Reason = 82
	KeysUnavailable  Reason = 83
	DataCorrupt      Reason = 84
	Busy             Reason = 85
	Internal         Reason = 86
)

var reasonNames = map[Reason]string{
	InvalidRequest:    "INVALID_REQUEST",
	UnknownCollection: "UNKNOWN_COLLECTION",
	UnknownField:      "UNKNOWN_FIELD",
	UnknownPurpose:    "UNKNOWN_PURPOSE",
	UnknownDomain:     "UNKNOWN_DOMAIN",
	InvalidValue:      "INVALID_VALUE",
	MalformedToken:    "MALFORMED_TOKEN",
	PolicyInvalid:     "POLICY_INVALID",
	InvalidPageToken:  "INVALID_PAGE_TOKEN",

	Unauthenticated:    "UNAUTHENTICATED",
	PrincipalUnknown:   "PRINCIPAL_UNKNOWN",
	ActionDenied:       "ACTION_DENIED",
	FieldDenied:        "FIELD_DENIED",
	PurposeRequired:    "PURPOSE_REQUIRED",
	PurposeNotDeclared: "PURPOSE_NOT_DECLARED",
	PurposeDenied:      "PURPOSE_DENIED",
	ViewDenied:         "VIEW_DENIED",
	DomainDenied:       "DOMAIN_DENIED",
	DenyRule:           "DENY_RULE",

	ConsentRequired:  "CONSENT_REQUIRED",
	KeyDestroyed:     "KEY_DESTROYED",
	FieldHoldsValues: "FIELD_HOLDS_VALUES",
	TooManyValues:    "TOO_MANY_VALUES",
	Frozen:           "FROZEN",
	KeyDisabled:      "KEY_DISABLED",
	KeyInUse:         "KEY_IN_USE",
	ApprovalNeeded:   "APPROVAL_NEEDED",

	TokenNotFound:         "TOKEN_NOT_FOUND",
	RecordNotFound:        "RECORD_NOT_FOUND",
	PolicyNotFound:        "POLICY_NOT_FOUND",
	RecordExists:          "RECORD_EXISTS",
	ValueExists:           "VALUE_EXISTS",
	ETagMismatch:          "ETAG_MISMATCH",
	PolicyVersionMismatch: "POLICY_VERSION_MISMATCH",
	RequestIDReused:       "REQUEST_ID_REUSED",
	Contention:            "CONTENTION",
	FreezeNotFound:        "FREEZE_NOT_FOUND",
	SubjectNotFound:       "SUBJECT_NOT_FOUND",

	EntryNotFound:    "ENTRY_NOT_FOUND",
	KeyNotFound:      "KEY_NOT_FOUND",
	ApprovalNotFound: "APPROVAL_NOT_FOUND",

	AuditUnavailable: "AUDIT_UNAVAILABLE",
	StoreUnavailable: "STORE_UNAVAILABLE",
	StoreFull:        "STORE_FULL",
	KeysUnavailable:  "KEYS_UNAVAILABLE",
	DataCorrupt:      "DATA_CORRUPT",
	Busy:             "BUSY",
	Internal:         "INTERNAL",
}

// String returns the name of the contract without its prefix, such as
// "FIELD_DENIED".
func (r Reason) String() string {
	if name, ok := reasonNames[r]; ok {
		return name
	}
	return "INTERNAL"
}

// Reasons returns every reason, for tables that must be complete.
func Reasons() map[Reason]string {
	all := make(map[Reason]string, len(reasonNames))
	for r, name := range reasonNames {
		all[r] = name
	}
	return all
}

// decisionReasons maps what the policy answers. A decision that is not listed
// here is a refusal all the same (see refusalOf).
var decisionReasons = map[policy.Reason]Reason{
	policy.ReasonPrincipalUnknown:   PrincipalUnknown,
	policy.ReasonActionDenied:       ActionDenied,
	policy.ReasonFieldDenied:        FieldDenied,
	policy.ReasonPurposeRequired:    PurposeRequired,
	policy.ReasonPurposeUnknown:     UnknownPurpose,
	policy.ReasonPurposeNotDeclared: PurposeNotDeclared,
	policy.ReasonPurposeDenied:      PurposeDenied,
	policy.ReasonViewDenied:         ViewDenied,
	policy.ReasonDomainDenied:       DomainDenied,
	policy.ReasonDenyRule:           DenyRule,
}

func refusalOf(d policy.Decision) Reason {
	if r, ok := decisionReasons[d.Reason]; ok {
		return r
	}
	return ActionDenied
}
