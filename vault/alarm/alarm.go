package alarm

import (
	"crypto/sha256"
	"encoding/binary"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Rule is the name of a rule. Names stand in the audit log and never change.
type Rule string

// The rules; the package comment tells them.
const (
	UnknownTokens Rule = "unknown_tokens"
	Refusals      Rule = "refusals"
	ManyPersons   Rule = "many_persons"
	OutOfHours    Rule = "out_of_hours"
	Honey         Rule = "honey"
	Corrupt       Rule = "corrupt"

	Sealed         Rule = "sealed"
	KeyAway        Rule = "key_away"
	KeyDue         Rule = "key_due"
	KeyDestruction Rule = "key_destruction"
)

// Rules returns all rules, in the order in which one entry raises them.
func Rules() []Rule {
	return []Rule{UnknownTokens, Refusals, ManyPersons, OutOfHours, Honey, Corrupt, Sealed, KeyAway, KeyDue, KeyDestruction}
}

// MaxItems is the most items that an alarm names.
const MaxItems = 16

// Alarm is one finding.
type Alarm struct {
	// ID is made of Rule and Cause alone.
	ID        [16]byte
	Rule      Rule
	Principal string
	// Cause is the index of the last entry that the alarm is about, Time and
	// Request are that entry's.
	Cause   uint64
	Time    time.Time
	Request string
	// Count is how many items or refused calls the alarm is about: of a series
	// those in its window or, when it raised before, since then; for ManyPersons
	// the distinct persons of the hour so far.
	Count uint64
	// Outcome is Allowed when values left the vault, Refused when none did.
	Outcome audit.Outcome
	// Items are at most MaxItems of the items concerned, one a subject: those of
	// the causing entry for ManyPersons, else the first since the last alarm.
	// Items whose subject is not known are left out.
	Items []audit.Item
}

// Entry returns the alarm as an entry of the audit log. Equal alarms give
// equal entries.
func (a *Alarm) Entry() *audit.Entry {
	return &audit.Entry{
		ID: a.ID, Time: a.Time, Request: a.Request, Principal: a.Principal,
		Action: audit.ActionAlarm, Object: string(a.Rule), Outcome: a.Outcome, Reason: "entry:" + strconv.FormatUint(a.Cause, 10),
		Count: uint32(min(a.Count, math.MaxUint32)), Items: slices.Clone(a.Items),
	}
}

// alarmID makes the id that belongs to a rule and an entry. One entry raises a
// rule at most once.
func alarmID(r Rule, cause uint64) (id [16]byte) {
	text := append([]byte("cloakroom alarm 1\x00"), r...)
	sum := sha256.Sum256(binary.BigEndian.AppendUint64(append(text, 0), cause))
	copy(id[:], sum[:])
	return id
}

// subjects are items that an alarm is about, one for each known subject.
type subjects []audit.Item

// collect takes items of the entry until there are MaxItems.
func (s *subjects) collect(e *audit.Entry, about func(*audit.Item) bool) {
	for i := range e.Items {
		if len(*s) >= MaxItems {
			return
		}
		it := &e.Items[i]
		if it.Subject == ([16]byte{}) || !about(it) || slices.ContainsFunc(*s, func(o audit.Item) bool { return o.Subject == it.Subject }) {
			continue
		}
		*s = append(*s, audit.Item{Subject: it.Subject, Field: it.Field, Item: it.Item, Outcome: it.Outcome, Refusal: it.Refusal})
	}
}
