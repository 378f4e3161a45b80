package policy

// Reason says why a decision came out as it did. Numbers are stable; names
// are those of the wire contract.
type Reason uint8

// The reasons. The zero value is none, and no decision has it.
const (
	ReasonOK                 Reason = iota + 1
	ReasonPrincipalUnknown          // the policy knows no such principal
	ReasonActionDenied              // no role allows the action on anything
	ReasonFieldDenied               // no role allows the action on the field
	ReasonPurposeRequired           // a reveal without a purpose
	ReasonPurposeUnknown            // no such purpose is declared
	ReasonPurposeNotDeclared        // the field does not declare the purpose
	ReasonPurposeDenied             // no role allows the field for the purpose
	ReasonViewDenied                // no role allows the view
	ReasonDomainDenied              // no role allows the domain
	ReasonDenyRule                  // allowed, and a rule denies it

	reasonEnd // one past the last
)

var reasonNames = [reasonEnd]string{
	ReasonOK:                 "OK",
	ReasonPrincipalUnknown:   "PRINCIPAL_UNKNOWN",
	ReasonActionDenied:       "ACTION_DENIED",
	ReasonFieldDenied:        "FIELD_DENIED",
	ReasonPurposeRequired:    "PURPOSE_REQUIRED",
	ReasonPurposeUnknown:     "PURPOSE_UNKNOWN",
	ReasonPurposeNotDeclared: "PURPOSE_NOT_DECLARED",
	ReasonPurposeDenied:      "PURPOSE_DENIED",
	ReasonViewDenied:         "VIEW_DENIED",
	ReasonDomainDenied:       "DOMAIN_DENIED",
	ReasonDenyRule:           "DENY_RULE",
}

// String returns the name, or "reason(n)".
func (r Reason) String() string { return enumName("reason", reasonNames[:], uint8(r)) }

// ParseReason returns the reason of that name and whether there is one.
func ParseReason(name string) (Reason, bool) {
	n, ok := enumNumber(reasonNames[:], name)
	return Reason(n), ok
}
