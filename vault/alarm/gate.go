package alarm

import (
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// gate lets the first event of a rule without threshold through, and holds
// those of the window after it back, to be told together.
type gate struct {
	raised  int64 // when the last alarm was, 0 for none
	pending int64 // items held back
	allowed int64 // of them, those whose value left the vault
	cause   uint64
	at      int64
	request string
	about   subjects
	told    []([16]byte) // of a honey gate: traps that alarms of this window named
}

// maxTold is how many traps a honey gate remembers in one window; beyond them
// each further trap raises no alarm of its own until the window is over.
const maxTold = 1024

// fresh notes the traps of an event and reports whether one of them was in no
// alarm of this window yet: who goes from trap to trap raises an alarm at each.
func (g *gate) fresh(ev *event) (isNew bool) {
	if g.raised == 0 || apart(ev.at, g.raised, int64(Window)) {
		g.told = nil
	}
	for i := range ev.entry.Items {
		it := &ev.entry.Items[i]
		if ev.about(it) && !slices.Contains(g.told, it.Subject) && len(g.told) < maxTold {
			g.told, isNew = append(g.told, it.Subject), true
		}
	}
	return isNew
}

// gateRules are the rules with gates, in the order of tracked.gates.
var gateRules = [...]Rule{OutOfHours, Honey, Corrupt}

const (
	gateHours = iota
	gateHoney
	gateCorrupt
)

// event is what one entry gives a gate.
type event struct {
	index      uint64
	at         int64
	entry      *audit.Entry
	n, allowed int64
	about      func(*audit.Item) bool
}

// add notes an event and reports whether the gate is open.
func (g *gate) add(ev *event) bool {
	g.pending += ev.n
	g.allowed += ev.allowed
	g.cause, g.at, g.request = ev.index, ev.at, strings.Clone(ev.entry.Request)
	g.about.collect(ev.entry, ev.about)
	return g.raised == 0 || apart(ev.at, g.raised, int64(Window))
}

// take makes the alarm of everything that is held back, and closes the gate
// for a window from now on.
func (g *gate) take(r Rule, principal string, now int64) Alarm {
	a := Alarm{
		ID: alarmID(r, g.cause), Rule: r, Principal: principal, Cause: g.cause,
		Time: time.Unix(0, g.at).UTC(), Request: g.request, Count: uint64(g.pending),
		Outcome: outcome(g.allowed, g.pending), Items: g.about,
	}
	*g = gate{raised: now, told: g.told}
	return a
}

func outcome(allowed, all int64) audit.Outcome {
	switch allowed {
	case 0:
		return audit.Refused
	case all:
		return audit.Allowed
	}
	return audit.Mixed
}
