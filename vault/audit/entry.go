package audit

import (
	"crypto/rand"
	"fmt"
	"time"
	"unicode/utf8"
)

// Limits of an entry. An entry that obeys them encodes to at most
// MaxEncodedLen bytes, the most that an entry bundle of the C2SP tile format
// can hold (its lengths have 16 bits). Work on more than MaxItems items is
// written as several entries with the same Request.
const (
	MaxRequestLen   = 128
	MaxPrincipalLen = 256
	MaxNameLen      = 128 // Purpose, View, Collection and Refusal, each
	MaxReasonLen    = 128
	MaxObjectLen    = 512
	MaxItems        = 1024
	MaxEncodedLen   = 1<<16 - 1
)

// Entry is what happened, once. It holds no value, no token, and no id of a
// subject in clear. Texts are UTF-8 and may be empty.
type Entry struct {
	// ID is unique: the caller's outbox id, or drawn by Log.Append when zero.
	ID [16]byte
	// Time is when it was decided, to the nanosecond, in UTC. Log.Append sets
	// it when zero. It need not rise with the index.
	Time time.Time
	// Request is the caller's request id.
	Request string
	// Principal is who called, as authenticated.
	Principal string
	Action    Action
	// Purpose is the name of the declared purpose.
	Purpose string
	// View is the name of the form in which values were asked for.
	View string
	// Reason is the caller's code or ticket, not free text.
	Reason string
	// PolicyVersion is the version by which it was decided; 0 when none was.
	PolicyVersion uint64
	Collection    string
	Outcome       Outcome
	// Refusal names the reason of a refusal of the whole call.
	Refusal string
	// Object is what the action was done to when that is no item: "principal"
	// and an id, a keyset, the rule of an alarm. At most MaxObjectLen bytes.
	Object string
	// Count is the number of items the caller asked for, which can be more
	// than the items listed here.
	Count uint32
	// Items has one element for each item of the batch.
	Items []Item
}

// Item is what happened to one item of a batch.
type Item struct {
	// Subject is the subject's reference, enciphered; zero when unknown.
	Subject [16]byte
	// Field is the field's number, Item the number of the item in the field.
	Field uint32
	Item  uint16
	// Outcome is Allowed or Refused.
	Outcome Outcome
	// Refusal is the number of the reason of refusal, 0 for none.
	Refusal uint16
	// Hash is the first 16 bytes of the SHA-256 of the inner ciphertext that
	// was written; zero for everything but writes.
	Hash [16]byte
	// KeyVersion is the version of the field's key that sealed the value that
	// was revealed or written; 0 when unknown.
	KeyVersion uint16
}

// Validate reports the first rule of Entry that e breaks, as an error
// wrapping ErrEntry. The error names field and rule, never the content.
func (e *Entry) Validate() error {
	if !e.Action.Known() {
		return fmt.Errorf("%w: action: number %d has no name", ErrEntry, e.Action)
	}
	return e.check()
}

// check holds the rules that also an entry read back must obey. It accepts
// actions without a name: a newer version may have written them.
func (e *Entry) check() error {
	if e.Action == 0 {
		return fmt.Errorf("%w: action: missing", ErrEntry)
	}
	if !e.Time.IsZero() && !inRange(e.Time) {
		return fmt.Errorf("%w: time: outside 1970 to 2261", ErrEntry)
	}
	if e.Outcome < Allowed || e.Outcome > Mixed {
		return fmt.Errorf("%w: outcome: unknown number %d", ErrEntry, e.Outcome)
	}
	for i, text := range e.texts() {
		if len(*text) > textLimits[i].max {
			return fmt.Errorf("%w: %s: %d bytes, at most %d", ErrEntry, textLimits[i].name, len(*text), textLimits[i].max)
		}
		if !utf8.ValidString(*text) {
			return fmt.Errorf("%w: %s: not UTF-8", ErrEntry, textLimits[i].name)
		}
	}
	if len(e.Items) > MaxItems {
		return fmt.Errorf("%w: items: %d, at most %d", ErrEntry, len(e.Items), MaxItems)
	}
	for i := range e.Items {
		if o := e.Items[i].Outcome; o != Allowed && o != Refused {
			return fmt.Errorf("%w: item %d: outcome: number %d, want allowed or refused", ErrEntry, i, o)
		}
	}
	return nil
}

// complete fills in what the log gives an entry.
func (e *Entry) complete(now func() time.Time) {
	if e.ID == ([16]byte{}) {
		_, _ = rand.Read(e.ID[:]) // never fails: it ends the program instead
	}
	if e.Time.IsZero() {
		e.Time = now()
	}
	e.Time = e.Time.UTC().Round(0) // what Decode gives back: no zone, no monotonic reading
}

// The number of texts in an entry, and in one of format 1.
const (
	textCount  = 8
	textCount1 = 7
)

// texts lists the texts in the order of the encoding.
func (e *Entry) texts() [textCount]*string {
	return [...]*string{&e.Request, &e.Principal, &e.Purpose, &e.View, &e.Reason, &e.Collection, &e.Refusal, &e.Object}
}

// textLimits names and bounds the texts, in the order of the encoding.
var textLimits = [textCount]struct {
	name string
	max  int
}{
	{"request", MaxRequestLen},
	{"principal", MaxPrincipalLen},
	{"purpose", MaxNameLen},
	{"view", MaxNameLen},
	{"reason", MaxReasonLen},
	{"collection", MaxNameLen},
	{"refusal", MaxNameLen},
	{"object", MaxObjectLen},
}

// inRange reports whether t is after 1970 began and fits the 63 bits of
// nanoseconds of the encoding with room to spare.
func inRange(t time.Time) bool {
	return t.Unix() >= 0 && t.UnixNano() > 0 && t.Unix() < maxUnix
}

// maxUnix is the first second of the year 2262.
const maxUnix = 9214646400
