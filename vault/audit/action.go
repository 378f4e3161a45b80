package audit

import "strconv"

// Action says what was asked for. The numbers are on disk for ever: a number
// is never given a second meaning. Free ranges are kept for later parts: 30 to
// 39 login and principals, 40 to 59 keys, 60 to 79 incidents, 80 to 109
// people's rights, 110 to 129 analytics.
type Action uint8

// The actions in use.
const (
	// ActionReveal returns values in a view other than token or exists.
	ActionReveal Action = 1
	// ActionRead returns tokens and metadata of records.
	ActionRead Action = 2
	// ActionList returns pages of records, tokens and metadata only.
	ActionList Action = 3
	// ActionDescribe returns what a token stands for, without the value.
	ActionDescribe Action = 4
	// ActionTokenize makes tokens.
	ActionTokenize Action = 5
	// ActionCreate stores a new record.
	ActionCreate Action = 6
	// ActionUpdate changes items of a record.
	ActionUpdate Action = 7
	// ActionDelete deletes items or a record.
	ActionDelete Action = 8
	// ActionPolicyApply changes schema, purposes, roles or principals.
	ActionPolicyApply Action = 20
	// ActionPolicyRead reads the policy in force or an older version.
	ActionPolicyRead Action = 21
)

// Known reports whether this version of the program gives the number a name.
func (a Action) Known() bool { return a.name() != "" }

// String returns the stable name, or "action(n)" for a number that this
// version does not know.
func (a Action) String() string {
	if name := a.name(); name != "" {
		return name
	}
	return "action(" + strconv.Itoa(int(a)) + ")"
}

func (a Action) name() string {
	switch a {
	case ActionReveal:
		return "reveal"
	case ActionRead:
		return "read"
	case ActionList:
		return "list"
	case ActionDescribe:
		return "describe"
	case ActionTokenize:
		return "tokenize"
	case ActionCreate:
		return "create"
	case ActionUpdate:
		return "update"
	case ActionDelete:
		return "delete"
	case ActionPolicyApply:
		return "policy_apply"
	case ActionPolicyRead:
		return "policy_read"
	}
	return ""
}

// Outcome says what was decided. The numbers are on disk and take two bits.
type Outcome uint8

const (
	// Allowed: everything asked for was authorised.
	Allowed Outcome = 1
	// Refused: nothing was authorised.
	Refused Outcome = 2
	// Mixed: some items were authorised and some refused. Of an entry only,
	// never of an item.
	Mixed Outcome = 3
)

// String returns the stable name, or "outcome(n)".
func (o Outcome) String() string {
	switch o {
	case Allowed:
		return "allowed"
	case Refused:
		return "refused"
	case Mixed:
		return "mixed"
	}
	return "outcome(" + strconv.Itoa(int(o)) + ")"
}
