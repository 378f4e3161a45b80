package alarm

import (
	"fmt"
	"math"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// most bounds the numbers of a state, so that sums of them do not overflow.
const most = 1 << 48

// loader notes the first rule that a state breaks. It names field and rule,
// never what stands there.
type loader struct{ err error }

func (l *loader) want(ok bool, field, rule string) {
	if !ok && l.err == nil {
		l.err = fmt.Errorf("%w: %s: %s", ErrState, field, rule)
	}
}

func (l *loader) number(n int64, field string) int64 {
	l.want(n >= 0 && n <= most, field, "out of range")
	return n
}

func (l *loader) time(t int64, field string) int64 {
	l.want(t >= 0 && t <= maxTime, field, "out of range")
	return t
}

// load fills an empty detector.
func (d *Detector) load(s *state) error {
	var l loader
	l.want(s.Hour >= 0 && s.Hour <= maxTime/hourNanos, "hour", "out of range")
	l.want(len(s.Principals) <= d.maxPrincipals, "principals", "too many")
	for i := range s.Principals {
		if l.err != nil {
			return l.err
		}
		p := l.principal(&s.Principals[i])
		l.want(d.principals[p.name] == nil, "name", "stands twice")
		p.hours = d.config.hoursOf(p.name)
		d.principals[p.name] = p
		d.held += len(p.persons.seen)
		l.want(d.held <= d.maxPersons, "persons", "too many")
		for g := range p.gates {
			if p.gates[g].pending > 0 {
				d.wait(&p.gates[g])
			}
		}
	}
	return l.err
}

func (l *loader) principal(s *principalState) *tracked {
	l.want(len(s.Name) <= audit.MaxPrincipalLen, "name", "too long")
	p := &tracked{
		name: s.Name, last: s.Last,
		unknown: l.series(s.Unknown, "unknown_tokens"), refusals: l.series(s.Refusals, "refusals"),
		persons: persons{
			over: s.Over, given: l.number(s.Given, "given_up"), best: l.number(s.Best, "best"), usual: s.Usual,
		},
		gates: [...]gate{l.gate(s.OutOfHours, "out_of_hours"), l.gate(s.Honey, "honey"), l.gate(s.Corrupt, "corrupt")},
	}
	l.want(s.Usual >= 0 && s.Usual <= most && !math.IsNaN(s.Usual), "usual", "out of range")
	l.want(len(s.Persons)%16 == 0, "persons", "not a number of references")
	l.want(len(s.Persons) == 0 || !s.Over && s.Given == 0, "persons", "of an hour that is not counted")
	if l.err == nil && len(s.Persons) > 0 {
		p.persons.seen = make(map[[16]byte]struct{}, len(s.Persons)/16)
		for i := 0; i < len(s.Persons); i += 16 {
			p.persons.seen[[16]byte(s.Persons[i:i+16])] = struct{}{}
		}
	}
	return p
}

func (l *loader) series(s *seriesState, field string) series {
	if s == nil {
		return series{}
	}
	l.want(len(s.Marks) > 0 && len(s.Marks)%2 == 0 && len(s.Marks) <= 2*MaxCount, field, "not a number of marks")
	out := series{raised: l.time(s.Raised, field), since: l.number(s.Since, field), about: l.subjects(s.About, field)}
	if l.err != nil {
		return out
	}
	for i := 0; i < len(s.Marks); i += 2 {
		m := mark{l.time(s.Marks[i], field), l.number(s.Marks[i+1], field)}
		l.want(m.at > 0 && m.n > 0, field, "an empty mark")
		out.marks = append(out.marks, m)
	}
	return out
}

func (l *loader) gate(s *gateState, field string) gate {
	if s == nil {
		return gate{}
	}
	l.want(s.Raised > 0, field, "never raised")
	l.want(s.Allowed <= s.Pending, field, "more allowed than there are")
	l.want((s.Pending > 0) == (s.At > 0), field, "held back at no time")
	l.want(len(s.Request) <= audit.MaxRequestLen, field, "the request is too long")
	l.want(len(s.Told)%16 == 0 && len(s.Told) <= 16*maxTold, field, "not a number of references")
	if l.err != nil {
		return gate{}
	}
	var told [][16]byte
	for i := 0; i < len(s.Told); i += 16 {
		told = append(told, [16]byte(s.Told[i:i+16]))
	}
	return gate{
		told: told, raised: l.time(s.Raised, field), pending: l.number(s.Pending, field), allowed: l.number(s.Allowed, field),
		cause: s.Cause, at: l.time(s.At, field), request: s.Request, about: l.subjects(s.About, field),
	}
}

func (l *loader) subjects(list []itemState, field string) (out subjects) {
	l.want(len(list) <= MaxItems, field, "too many items")
	for _, it := range list {
		l.want(len(it.Subject) == 16, field, "not a reference")
		if l.err != nil {
			return nil
		}
		o := audit.Refused
		if it.Allowed {
			o = audit.Allowed
		}
		out = append(out, audit.Item{Subject: [16]byte(it.Subject), Field: it.Field, Item: it.Item, Outcome: o, Refusal: it.Refusal})
	}
	return out
}
