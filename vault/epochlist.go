package vault

import (
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// epochList lists the epochs as the versions of one key, the oldest first: those
// that ended and are remembered; the one that is ending, which still opens what
// was not re-wrapped yet; and the current one.
func (v *Vault) epochList() []KeyVersion {
	set := v.epochs.set.Load()
	out := make([]KeyVersion, 0, len(set.ended)+2)
	for _, e := range set.ended {
		k := KeyVersion{Version: e.Number, State: keys.Destroyed, CopiesExpire: time.UnixMilli(e.Copies)}
		if e.Made != 0 {
			k.Made = time.UnixMilli(e.Made)
		}
		out = append(out, k)
	}
	if e := set.previous; e != nil {
		out = append(out, KeyVersion{Version: e.number, State: keys.Disabled, Made: e.made})
	}
	number, uses := v.epochUses()
	return append(out, KeyVersion{
		Version: number, State: keys.Enabled, Made: set.current.made, Uses: v.uses.used(epochKeyUse(number), uses),
	})
}

// epochDue is when the current epoch ends by itself; zero: on demand only.
func (v *Vault) epochDue() time.Time {
	length := v.epochs.length
	if length == 0 {
		return time.Time{}
	}
	return v.epochs.set.Load().current.made.Add(length)
}

// copiesExpire is by when every copy of the vault that was made before now
// cannot open any more the values of a person who was erased before now: the
// end of the present epoch, and as long as its provider could bring the key
// back. Zero when epochs end on demand only.
func (v *Vault) copiesExpire(now time.Time) time.Time {
	ends := v.epochDue()
	if ends.IsZero() {
		return ends
	}
	// One that is overdue, or whose age is not known, takes about as long from
	// now as its end has been given.
	if least := now.Add(v.epochs.length / epochLead); ends.Before(least) {
		ends = least
	}
	return ends.Add(v.epochs.destruction().Delay)
}
