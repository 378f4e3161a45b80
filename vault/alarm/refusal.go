package alarm

import "github.com/cloakroom-vault/cloakroom/vault/audit"

// kind is what a refusal says about the caller.
type kind uint8

const (
	kindRefused kind = iota // also every number that this version does not know
	kindUnknownToken
	kindCorrupt
	kindVault // the vault failed
)

// Numbers of refusals as package vault gives them; they stand in the log for
// ever. They are written here again so that the follower of a log does not link
// the whole vault.
const (
	malformedToken = 7
	tokenNotFound  = 60
	dataCorrupt    = 84
	vaultFailsFrom = 80
	vaultFailsTo   = 99
)

// kindOf sorts the refusal of an item.
func kindOf(number uint16) kind {
	switch {
	case number == malformedToken || number == tokenNotFound:
		return kindUnknownToken
	case number == dataCorrupt:
		return kindCorrupt
	case number >= vaultFailsFrom && number <= vaultFailsTo:
		return kindVault
	}
	return kindRefused
}

// kindOfName sorts the refusal of a whole call.
func kindOfName(name string) kind {
	switch name {
	case "MALFORMED_TOKEN", "TOKEN_NOT_FOUND":
		return kindUnknownToken
	case "DATA_CORRUPT":
		return kindCorrupt
	case "AUDIT_UNAVAILABLE", "STORE_UNAVAILABLE", "STORE_FULL", "KEYS_UNAVAILABLE", "BUSY", "INTERNAL":
		return kindVault
	}
	return kindRefused
}

// tally is what one entry says, in numbers of items.
type tally struct {
	refused [4]int64 // by kind
	allowed int64    // of a reveal
	honey   int64    // items of what traps whose subject is a honey record
	trapped int64    // of them, those allowed
}

// nothing reports whether no rule has use for the entry.
func (n *tally) nothing() bool {
	r := &n.refused
	return n.allowed == 0 && n.honey == 0 && r[kindRefused] == 0 && r[kindUnknownToken] == 0 && r[kindCorrupt] == 0
}

// tally counts the items of an entry.
func (d *Detector) tally(e *audit.Entry) (n tally) {
	reveal, trap := e.Action == audit.ActionReveal, traps(e.Action)
	none := true
	for i := range e.Items {
		it := &e.Items[i]
		allowed := it.Outcome == audit.Allowed
		if trap && d.isHoney(it) {
			n.honey++
			if allowed {
				n.trapped++
			}
		}
		switch {
		case !allowed:
			n.refused[kindOf(it.Refusal)]++
			none = false
		case reveal:
			n.allowed++
		}
	}
	switch {
	case e.Outcome == audit.Refused && none: // as a whole
		n.refused[kindOfName(e.Refusal)]++
	case e.Outcome != audit.Refused && reveal && len(e.Items) == 0: // of nothing listed
		n.allowed++
	}
	return n
}

// traps tells the actions by which somebody shows interest in one person: what
// returns a value, confirms one, or asks what a token stands for. Reads and lists
// are not among them, since who works through all records touches every trap.
func traps(a audit.Action) bool {
	return a == audit.ActionReveal || a == audit.ActionTokenize || a == audit.ActionDescribe
}

func (d *Detector) isHoney(it *audit.Item) bool {
	return d.honey != nil && it.Subject != ([16]byte{}) && d.honey(it.Subject)
}
