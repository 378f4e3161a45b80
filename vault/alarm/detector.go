package alarm

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Detector finds alarms in entries that it is told in the order of the log. It
// is pure: it has no clock, no file and no goroutine, and is not safe for
// concurrent use.
type Detector struct {
	config     Config
	honey      func(subject [16]byte) bool
	principals map[string]*tracked
	hour       int64 // of all sets of persons, since 1970
	held       int   // members of these sets
	due        int64 // when the first gate with something held back opens, 0 for none
	// Bounds, lowered by tests.
	maxPrincipals, maxPersons int
}

// tracked is what is remembered about one principal.
type tracked struct {
	name     string
	last     uint64 // its last entry that was counted; of two principals never equal
	hours    []*Hours
	unknown  series
	refusals series
	persons  persons
	gates    [len(gateRules)]gate
}

// New returns a detector that has seen nothing. honey tells whether an
// enciphered reference is that of a honey record; nil means that none is. An
// invalid configuration gives an error wrapping ErrConfig.
func New(c Config, honey func(subject [16]byte) bool) (*Detector, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	c.Hours = slices.Clone(c.Hours)
	return &Detector{
		config: c, honey: honey, principals: map[string]*tracked{},
		maxPrincipals: MaxPrincipals, maxPersons: MaxPersons,
	}, nil
}

// Observe tells the detector the entry with this index, and returns the alarms
// that it raises, nil for none. The detector keeps nothing of e. Entries of
// alarms are passed over.
func (d *Detector) Observe(index uint64, e *audit.Entry) []Alarm {
	if e.Action == audit.ActionAlarm {
		return nil
	}
	t := nanos(e.Time)
	if d.hour == 0 {
		d.hour = t / hourNanos
	}
	var found []Alarm
	if r := keyRule(e); r != "" {
		found = append(found, Alarm{
			ID: alarmID(r, index), Rule: r, Principal: strings.Clone(e.Principal), Cause: index,
			Time: e.Time.UTC(), Request: strings.Clone(e.Request), Count: 1, Outcome: e.Outcome,
		})
	}
	if n := d.tally(e); !n.nothing() {
		found = d.judge(d.principal(e.Principal, index), index, t, e, &n)
	}
	if d.due != 0 && (t >= d.due || d.due-t >= 2*int64(Window)) {
		found = d.release(t, found)
	}
	return found
}

// keyRule returns the rule that an entry about keys raises, each time; empty:
// none. Such entries are rare, so nothing is held back.
func keyRule(e *audit.Entry) Rule {
	if e.Outcome != audit.Allowed {
		return ""
	}
	switch e.Action {
	case audit.ActionSeal:
		return Sealed
	case audit.ActionKeyAway:
		return KeyAway
	case audit.ActionKeyDue:
		return KeyDue
	case audit.ActionKeyRequest, audit.ActionKeyDestroy:
		return KeyDestruction
	}
	return ""
}

// judge applies the rules, in the order of Rules.
func (d *Detector) judge(p *tracked, index uint64, t int64, e *audit.Entry, n *tally) (found []Alarm) {
	found = p.series(found, UnknownTokens, &p.unknown, d.config.UnknownTokens, kindUnknownToken, index, t, e, n)
	found = p.series(found, Refusals, &p.refusals, d.config.Refusals, kindRefused, index, t, e, n)
	if n.allowed > 0 {
		d.turn(t)
		if persons, tooMany := d.count(&p.persons, e); tooMany {
			d.raised(&p.persons, persons)
			a := p.alarm(ManyPersons, index, e, uint64(persons), audit.Allowed)
			(*subjects)(&a.Items).collect(e, isAllowed)
			found = append(found, a)
		}
		if offDuty(p.hours, time.Unix(0, t)) {
			found = d.pass(found, p, gateHours, &event{index, t, e, n.allowed, n.allowed, isAllowed})
		}
	}
	if n.honey > 0 {
		ev := &event{index, t, e, n.honey, n.trapped, d.isHoney}
		if g := &p.gates[gateHoney]; g.fresh(ev) {
			g.add(ev)
			found = append(found, g.take(Honey, p.name, t))
		} else {
			found = d.pass(found, p, gateHoney, ev)
		}
	}
	if corrupt := n.refused[kindCorrupt]; corrupt > 0 {
		found = d.pass(found, p, gateCorrupt, &event{index, t, e, corrupt, 0, isOf(kindCorrupt)})
	}
	return found
}

func isAllowed(it *audit.Item) bool { return it.Outcome == audit.Allowed }

func isOf(k kind) func(*audit.Item) bool {
	return func(it *audit.Item) bool { return it.Outcome != audit.Allowed && kindOf(it.Refusal) == k }
}

// series tells a series the entry's items of one kind.
func (p *tracked) series(found []Alarm, r Rule, s *series, c Series, k kind, index uint64, t int64, e *audit.Entry, n *tally) []Alarm {
	items := n.refused[k]
	if items == 0 {
		return found
	}
	count, raise := s.add(t, items, c)
	s.about.collect(e, isOf(k))
	if !raise {
		return found
	}
	a := p.alarm(r, index, e, count, audit.Refused)
	a.Items, s.about = s.about, nil
	return append(found, a)
}

func (p *tracked) alarm(r Rule, index uint64, e *audit.Entry, count uint64, o audit.Outcome) Alarm {
	return Alarm{
		ID: alarmID(r, index), Rule: r, Principal: p.name, Cause: index,
		Time: e.Time.UTC(), Request: strings.Clone(e.Request), Count: count, Outcome: o,
	}
}

// pass tells a gate an event.
func (d *Detector) pass(found []Alarm, p *tracked, which int, ev *event) []Alarm {
	g := &p.gates[which]
	if g.add(ev) {
		return append(found, g.take(gateRules[which], p.name, ev.at))
	}
	d.wait(g)
	return found
}

// wait sees to it that a gate with something held back is looked at again.
func (d *Detector) wait(g *gate) {
	if until := g.raised + int64(Window); d.due == 0 || until < d.due {
		d.due = until
	}
}

// release opens the gates whose window is over.
func (d *Detector) release(t int64, found []Alarm) []Alarm {
	d.due = 0
	own := len(found)
	for _, p := range d.principals {
		for which := range p.gates {
			switch g := &p.gates[which]; {
			case g.pending == 0:
			case apart(t, g.raised, int64(Window)):
				found = append(found, g.take(gateRules[which], p.name, t))
			default:
				d.wait(g)
			}
		}
	}
	slices.SortFunc(found[own:], func(a, b Alarm) int {
		return cmp.Or(cmp.Compare(a.Cause, b.Cause), cmp.Compare(a.Rule, b.Rule))
	})
	return found
}

// principal returns what is remembered of a principal, from now on if nothing
// was.
func (d *Detector) principal(name string, index uint64) *tracked {
	p := d.principals[name]
	if p == nil {
		if len(d.principals) >= d.maxPrincipals {
			d.forget()
		}
		name = strings.Clone(name)
		p = &tracked{name: name, hours: d.config.hoursOf(name)}
		d.principals[name] = p
	}
	p.last = index
	return p
}

// forget makes room by a sixteenth at a time, so that a flood of names costs
// little for each.
func (d *Detector) forget() {
	all := make([]*tracked, 0, len(d.principals))
	for _, p := range d.principals {
		all = append(all, p)
	}
	slices.SortFunc(all, func(a, b *tracked) int { return cmp.Compare(a.last, b.last) })
	for _, p := range all[:max(len(all)/16, 1)] {
		d.drop(&p.persons)
		delete(d.principals, p.name)
	}
}

// maxTime is the last moment that the log takes. It leaves room for a window
// after every time.
const maxTime = 9_214_646_400*int64(time.Second) - 1

// nanos is the time since 1970, at least 1: 0 stands for none.
func nanos(t time.Time) int64 {
	switch s := t.Unix(); {
	case s < 0:
		return 1
	case s > maxTime/int64(time.Second):
		return maxTime
	}
	return max(t.UnixNano(), 1)
}
