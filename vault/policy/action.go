package policy

import "fmt"

// Action is what a caller wants to do. Numbers are stable.
type Action uint8

// The actions. The first six are rights on a field (see OnFields), the others
// on the vault as a whole.
const (
	ActionWrite        Action = iota + 1 // store, replace or clear a value
	ActionDelete                         // delete a record
	ActionRead                           // read the tokens of a record
	ActionTokenize                       // get a token for a value
	ActionDescribe                       // learn what a token stands for, not its value
	ActionReveal                         // see a value, for a purpose, in a view
	ActionPolicyApply                    // replace the policy
	ActionPolicyRead                     // read the policy
	ActionAuditRead                      // read the audit log and its proofs
	ActionIncidentRead                   // list freezes
	ActionFreeze                         // freeze a principal, role, field, collection or the vault
	ActionThaw                           // lift a freeze
	ActionHoney                          // mark a person as a honey record, and take the mark away
	ActionExposure                       // learn which persons and fields were revealed to whom
	ActionKeysRead                       // list keysets and the work on them
	ActionKeysRotate                     // rotate, promote and enable keys, end epochs, wrap the root anew
	ActionKeysDisable                    // disable versions of keys
	ActionKeysDestroy                    // destroy versions of keys, and ask for what needs approval
	ActionKeysApprove                    // approve what somebody else asked for

	actionEnd // one past the last
)

var actionNames = [actionEnd]string{
	ActionWrite:       "write",
	ActionDelete:      "delete",
	ActionRead:        "read",
	ActionTokenize:    "tokenize",
	ActionDescribe:    "describe",
	ActionReveal:      "reveal",
	ActionPolicyApply: "policy.apply",
	ActionPolicyRead:  "policy.read",

	ActionAuditRead:    "audit.read",
	ActionIncidentRead: "incident.read",
	ActionFreeze:       "incident.freeze",
	ActionThaw:         "incident.thaw",
	ActionHoney:        "incident.honey",
	ActionExposure:     "incident.exposure",

	ActionKeysRead:    "keys.read",
	ActionKeysRotate:  "keys.rotate",
	ActionKeysDisable: "keys.disable",
	ActionKeysDestroy: "keys.destroy",
	ActionKeysApprove: "keys.approve",
}

// String returns the name used in policy documents, or "action(n)".
func (a Action) String() string { return enumName("action", actionNames[:], uint8(a)) }

// ParseAction returns the action of that name and whether there is one.
func ParseAction(name string) (Action, bool) {
	n, ok := enumNumber(actionNames[:], name)
	return Action(n), ok
}

// OnFields reports whether the action is a right on fields; the others are
// rights on the vault as a whole: its policy, its audit log, its incidents,
// its keys.
func (a Action) OnFields() bool { return a >= ActionWrite && a <= ActionReveal }

// inDomain reports whether the action deals with tokens, so that the domain
// of a request counts.
func (a Action) inDomain() bool { return a >= ActionRead && a <= ActionReveal }

// actionSet is a set of actions, one bit each.
type actionSet uint32

func (s actionSet) has(a Action) bool { return a < actionEnd && s&(1<<a) != 0 }

func (s *actionSet) add(a Action) { *s |= 1 << a }

func (s actionSet) any(match func(Action) bool) bool {
	for a := ActionWrite; a < actionEnd; a++ {
		if s.has(a) && match(a) {
			return true
		}
	}
	return false
}

func enumName(kind string, names []string, n uint8) string {
	if int(n) < len(names) && names[n] != "" {
		return names[n]
	}
	return fmt.Sprintf("%s(%d)", kind, n)
}

func enumNumber(names []string, name string) (uint8, bool) {
	for n := 1; n < len(names); n++ {
		if names[n] == name {
			return uint8(n), true
		}
	}
	return 0, false
}
