package auditentry

import (
	"strconv"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// Entry is what happened, once, as cloakroom.AuditEntry has it.
type Entry struct {
	// ID is the entry's unique id, 32 hexadecimal digits.
	ID string
	// Time is when it was decided, in UTC; zero when the entry does not say.
	Time time.Time
	// RequestID is the id of the call.
	RequestID string
	// Principal is who called, as authenticated.
	Principal string
	// Action is what was asked for: a name, or "action(n)" for a number that this
	// version has no name for.
	Action string
	// Purpose is the name of the purpose.
	Purpose string
	// View is the view in which values were asked for or given.
	View string
	// Reason is the caller's code or ticket.
	Reason string
	// PolicyVersion is the version of the policy by which it was decided.
	PolicyVersion uint64
	// Collection is the collection, for actions on records.
	Collection string
	// Object is what the action was done to when that is no item.
	Object string
	// Outcome is what was decided.
	Outcome cloakroom.Outcome
	// Refusal is why the whole call was refused.
	Refusal string
	// Count is the number of items asked for.
	Count uint32
	// Items has one element an item; nil for none.
	Items []Item
}

// Item is what happened to one item of a batch.
type Item struct {
	// Subject is the person's handle, 32 hexadecimal digits; empty for none.
	Subject string
	// Field is the field's number in the vault; 0 for none.
	Field uint32
	// Item is the number of the item within its field.
	Item uint16
	// Outcome is allowed or refused.
	Outcome cloakroom.Outcome
	// Refusal is why it was refused: the name of a reason, or the number of one
	// that this version has no name for; empty when it was not.
	Refusal string
	// KeyVersion is the version of the field's key; 0 when unknown.
	KeyVersion uint16
	// Hash is, of writes, the first 16 bytes of the SHA-256 of the inner
	// ciphertext; nil for none.
	Hash []byte
}

// ActionName returns the name of an action's number in the encoding, empty for a
// number that this version has no name for.
func ActionName(number byte) string {
	switch number {
	case 1:
		return "reveal"
	case 2:
		return "read"
	case 3:
		return "list"
	case 4:
		return "describe"
	case 5:
		return "tokenize"
	case 6:
		return "create"
	case 7:
		return "update"
	case 8:
		return "delete"
	case 20:
		return "policy.apply"
	case 21:
		return "policy.read"
	case 30:
		return "login"
	case 40:
		return "key.create"
	case 41:
		return "key.rotate"
	case 42:
		return "key.promote"
	case 43:
		return "key.disable"
	case 44:
		return "key.enable"
	case 45:
		return "key.destroy"
	case 46:
		return "key.rewrap"
	case 47:
		return "key.approve"
	case 48:
		return "key.rewrap_values"
	case 49:
		return "epoch.end"
	case 50:
		return "vault.seal"
	case 51:
		return "vault.unseal"
	case 52:
		return "key.read"
	case 53:
		return "backup"
	case 54:
		return "restore"
	case 55:
		return "recovery"
	case 56:
		return "key.request"
	case 57:
		return "key.due"
	case 58:
		return "key.away"
	case 59:
		return "repair"
	case 60:
		return "freeze"
	case 61:
		return "thaw"
	case 62:
		return "honey"
	case 63:
		return "exposure"
	case 64:
		return "audit.read"
	case 65:
		return "alarm"
	case 66:
		return "audit.prune"
	case 67:
		return "incident.read"
	}
	return ""
}

func actionText(number byte) string {
	if name := ActionName(number); name != "" {
		return name
	}
	return "action(" + strconv.Itoa(int(number)) + ")"
}
