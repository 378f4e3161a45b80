package audit

import "strconv"

// Action says what was asked for. The numbers are on disk for ever: a number
// is never given a second meaning. Ranges: 30 to 39 login and principals, 40
// to 59 keys, 60 to 79 incidents and the log itself; kept free for later parts
// are 80 to 109 for people's rights and 110 to 129 for analytics.
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
	// ActionLogin is a principal with rights of administration connecting.
	ActionLogin Action = 30
	// ActionKeyCreate makes a keyset; Object names it.
	ActionKeyCreate Action = 40
	// ActionFreeze stops a principal, role, field, collection or the vault.
	ActionFreeze Action = 60
	// ActionThaw ends a freeze.
	ActionThaw Action = 61
	// ActionHoney marks or unmarks a honey record.
	ActionHoney Action = 62
	// ActionExposure lists what was revealed in an incident.
	ActionExposure Action = 63
	// ActionAuditRead lists or watches this log, or takes proofs from it.
	ActionAuditRead Action = 64
	// ActionAlarm is an alarm that was found in this log; Object is its rule.
	ActionAlarm Action = 65
	// ActionPrune removes old entries of this log; Object says which.
	ActionPrune Action = 66
	// ActionIncidentRead lists freezes or honey records.
	ActionIncidentRead Action = 67
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

// ParseAction returns the action of a name that String returns, and whether
// there is one.
func ParseAction(name string) (Action, bool) {
	if name == "" {
		return 0, false
	}
	for n := range 256 {
		if a := Action(n); a.name() == name {
			return a, true
		}
	}
	return 0, false
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
		return "policy.apply"
	case ActionPolicyRead:
		return "policy.read"
	case ActionLogin:
		return "login"
	case ActionKeyCreate:
		return "key.create"
	case ActionFreeze:
		return "freeze"
	case ActionThaw:
		return "thaw"
	case ActionHoney:
		return "honey"
	case ActionExposure:
		return "exposure"
	case ActionAuditRead:
		return "audit.read"
	case ActionAlarm:
		return "alarm"
	case ActionPrune:
		return "audit.prune"
	case ActionIncidentRead:
		return "incident.read"
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
