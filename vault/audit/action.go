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
	// ActionKeyRotate gives a keyset, the root or the epoch a fresh version.
	ActionKeyRotate Action = 41
	// ActionKeyPromote makes another version of a keyset the one in use.
	ActionKeyPromote Action = 42
	// ActionKeyDisable refuses a version of a keyset from then on.
	ActionKeyDisable Action = 43
	// ActionKeyEnable takes a version of a keyset back into use.
	ActionKeyEnable Action = 44
	// ActionKeyDestroy removes a version of a keyset for ever.
	ActionKeyDestroy Action = 45
	// ActionKeyRewrap wraps the root by another KEK.
	ActionKeyRewrap Action = 46
	// ActionKeyApprove approves or withdraws a destruction that was asked for.
	ActionKeyApprove Action = 47
	// ActionValuesRewrap begins, pauses, goes on with or ends a re-wrap of values; Object says
	// which.
	ActionValuesRewrap Action = 48
	// ActionEpochEnd begins or ends the end of an erasure epoch; Object says which.
	ActionEpochEnd Action = 49
	// ActionSeal is the vault giving up its keys, since the KEK is denied or away.
	ActionSeal Action = 50
	// ActionUnseal is the vault taking them back.
	ActionUnseal Action = 51
	// ActionKeyRead lists keysets, their work and requests.
	ActionKeyRead Action = 52
	// ActionBackup writes a backup; Object names it.
	ActionBackup Action = 53
	// ActionRestore begins a log's life after a restore; Object says from what.
	ActionRestore Action = 54
	// ActionRecovery makes, removes or uses the recovery of the root.
	ActionRecovery Action = 55
	// ActionKeyRequest asks for the destruction of a version that values still need.
	ActionKeyRequest Action = 56
	// ActionKeyDue says that a key will rotate by itself soon.
	ActionKeyDue Action = 57
	// ActionKeyAway says that a key provider does not answer.
	ActionKeyAway Action = 58
	// ActionRepair puts right what a check of the stores found; Object names the
	// check.
	ActionRepair Action = 59
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
	case ActionKeyRotate:
		return "key.rotate"
	case ActionKeyPromote:
		return "key.promote"
	case ActionKeyDisable:
		return "key.disable"
	case ActionKeyEnable:
		return "key.enable"
	case ActionKeyDestroy:
		return "key.destroy"
	case ActionKeyRewrap:
		return "key.rewrap"
	case ActionKeyApprove:
		return "key.approve"
	case ActionValuesRewrap:
		return "key.rewrap_values"
	case ActionEpochEnd:
		return "epoch.end"
	case ActionSeal:
		return "vault.seal"
	case ActionUnseal:
		return "vault.unseal"
	case ActionKeyRead:
		return "key.read"
	case ActionBackup:
		return "backup"
	case ActionRestore:
		return "restore"
	case ActionRecovery:
		return "recovery"
	case ActionKeyRequest:
		return "key.request"
	case ActionKeyDue:
		return "key.due"
	case ActionKeyAway:
		return "key.away"
	case ActionRepair:
		return "repair"
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
