package vault

import (
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// KeyKind says what a key is for. The numbers are those of the contract; the
// first seven are those of keysets (keys.Kind).
type KeyKind uint8

// The kinds of keys.
const (
	KeyField       = KeyKind(keys.KindField)
	KeyIndex       = KeyKind(keys.KindIndex)
	KeyDomain      = KeyKind(keys.KindDomain)
	KeyLookup      = KeyKind(keys.KindLookup)
	KeyRows        = KeyKind(keys.KindRows)
	KeyAuditRef    = KeyKind(keys.KindAuditRef)
	KeyAuditSigner = KeyKind(keys.KindAuditSigner)

	KeyRoot  KeyKind = 8  // seals all keysets
	KeyKEK   KeyKind = 9  // wraps the root, outside the vault
	KeyEpoch KeyKind = 10 // wraps persons' keys for a time, outside the vault
)

// String returns "field", "root", "kek", "epoch" and so on.
func (k KeyKind) String() string {
	switch k {
	case KeyRoot:
		return "root"
	case KeyKEK:
		return "kek"
	case KeyEpoch:
		return "epoch"
	}
	return keys.Kind(k).String()
}

// KeyRef names a key.
type KeyRef struct {
	Kind KeyKind
	// Name is "collection.field" of a field or index, the name of a domain, and
	// empty for the others. A field that the policy no longer declares goes by
	// its number.
	Name string
}

// String returns the kind and the name, as audit entries have them.
func (r KeyRef) String() string {
	if r.Name == "" {
		return r.Kind.String()
	}
	return r.Kind.String() + " " + r.Name
}

// KeyList is what Keys answers.
type KeyList struct {
	Keys   []Key
	Sealed string // why the vault is sealed; empty: it is not
}

// Key describes a key without its material.
type Key struct {
	Ref         KeyRef
	Generation  uint64
	Primary     uint32
	Versions    []KeyVersion
	Rotated     time.Time // when the version in use was made
	Due         time.Time // when it rotates by itself; zero: never
	Provider    string    // of the KEK, the root and the epoch
	Destruction string    // of the epoch: how its provider destroys
	Recovery    string    // of the root, such as "3 of 5 shares"; empty: none
}

// KeyVersion is one version of a key.
type KeyVersion struct {
	Version uint32
	State   keys.State
	Made    time.Time
	// Uses is how often it sealed something, rounded up by less than UseBlock;
	// 0 for keys that are not limited by use.
	Uses uint64
	// Values is how many stored values need it, as counted at Counted, which is
	// zero when they were not counted yet or it can have none.
	Values  uint64
	Counted time.Time
	// LastSeen is, of a domain, the day on which one of its tokens was last shown
	// to the vault.
	LastSeen time.Time
	// CopiesExpire is, of an epoch that ended, until when older copies could
	// still be opened.
	CopiesExpire time.Time
}

// KeyChange asks for a change of a key.
type KeyChange struct {
	Key     KeyRef
	Version uint32 // of Promote, Disable, Enable and Destroy
	Reason  string // a code or ticket
	AddOnly bool   // of Rotate: make the version and do not use it yet
	Force   bool   // of Destroy: ask for it although values need it
}

// KeyRequest is a destruction that waits for approval.
type KeyRequest struct {
	ID       uint64 // never used again
	Key      KeyRef
	Version  uint32
	Reason   string
	By       string // who asked
	At       time.Time
	Expires  time.Time
	Approved []string // who approved so far
	Loss     string   // what will be lost, in a sentence
	Values   uint64   // how many stored values will be lost, when it was asked for
}

// WorkKind says what a piece of work on keys does.
type WorkKind uint8

// The kinds of work.
const (
	WorkRewrap  WorkKind = iota + 1 // stored values get the outer lock in use
	WorkEpoch                       // an epoch ends
	WorkLookup                      // callers' ids are hashed anew
	WorkCompact                     // files are rewritten without what was deleted
)

// WorkState says how a piece of work stands.
type WorkState uint8

// The states of work.
const (
	WorkRunning WorkState = iota + 1
	WorkPaused
	WorkWaiting // could not go on and is tried again
	WorkDone
)

// KeyWork is a piece of work on keys and how far it is.
type KeyWork struct {
	Kind      WorkKind
	State     WorkState
	Step      string        // what it is doing now: "counting", "re-wrapping"
	Total     uint64        // to do, counted before it began
	Done      uint64        // of them
	Left      uint64        // of them; after the end, what a count found
	Rate      float64       // a second, of late
	Remaining time.Duration // at this rate; 0: not known
	Started   time.Time
	Ended     time.Time
	Problem   string // why it waits
	Epoch     uint32 // of an epoch: its number
}

// versioned names a version of a key in audit entries.
func versioned(r KeyRef, version uint32) string { return fmt.Sprintf("%s v%d", r, version) }
