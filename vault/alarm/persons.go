package alarm

import (
	"math"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

const (
	hourNanos   = int64(3600e9)
	hoursPerDay = 24
	daysToHalve = 7
	keepMap     = 1024 // a larger one is let go at the end of the hour
)

// persons counts the distinct persons of the current hour of one principal, and
// knows its usual.
type persons struct {
	seen  map[[16]byte]struct{}
	over  bool    // has raised this hour, and counts no more
	given int64   // members of a set that was given up this hour, 0 for none
	best  int64   // the highest hour of today that did not raise
	usual float64 // the highest hour before today, halved every week
}

// threshold is the number of persons that is not yet too many.
func (p *persons) threshold(c Persons) float64 { return max(float64(c.Floor), c.Factor*p.usual) }

// count adds the persons that the entry allows to be seen, and reports
// whether they are too many now, and how many.
func (d *Detector) count(p *persons, e *audit.Entry) (n int64, tooMany bool) {
	switch {
	case p.over:
		return 0, false
	case p.given > 0: // what it is has been decided; only an entry to blame was missing
		return p.given, true
	}
	if p.seen == nil {
		p.seen = make(map[[16]byte]struct{})
	}
	before := len(p.seen)
	for i := range e.Items {
		if it := &e.Items[i]; it.Outcome == audit.Allowed && it.Subject != ([16]byte{}) {
			p.seen[it.Subject] = struct{}{}
		}
	}
	d.held += len(p.seen) - before
	n = int64(len(p.seen))
	if float64(n) > p.threshold(d.config.Persons) {
		return n, true
	}
	for d.held > d.maxPersons {
		d.giveUp()
	}
	return n, false
}

// raised ends the count of the hour. The usual learns no more than what the
// hour was held against.
func (d *Detector) raised(p *persons, n int64) {
	p.usual = max(p.usual, min(float64(n), p.threshold(d.config.Persons)))
	p.over, p.given = true, 0
	d.drop(p)
}

// giveUp drops the largest set; of equal ones that of the principal heard of
// last.
func (d *Detector) giveUp() {
	var largest *tracked
	for _, p := range d.principals {
		if largest == nil || len(p.persons.seen) > len(largest.persons.seen) ||
			len(p.persons.seen) == len(largest.persons.seen) && p.last > largest.last {
			largest = p
		}
	}
	largest.persons.given = int64(len(largest.persons.seen))
	d.drop(&largest.persons)
}

func (d *Detector) drop(p *persons) {
	d.held -= len(p.seen)
	p.seen = nil
}

// turn ends the current hour of everybody when t is in another. An entry of the
// hour before counts in the current one: entries of calls that ran at the same
// time come in any order.
func (d *Detector) turn(t int64) {
	hour := t / hourNanos
	if hour == d.hour || hour == d.hour-1 {
		return
	}
	days := hour/hoursPerDay - d.hour/hoursPerDay
	for _, p := range d.principals {
		p.persons.endHour()
		if days != 0 {
			p.persons.endDay(max(days, 0)) // a step back of the clock takes nothing away
		}
	}
	d.hour, d.held = hour, 0
}

func (p *persons) endHour() {
	p.best = max(p.best, int64(len(p.seen)), p.given)
	p.over, p.given = false, 0
	if len(p.seen) > keepMap {
		p.seen = nil
	}
	clear(p.seen)
}

// endDay makes what was learned today the usual, days after the usual was
// learned.
func (p *persons) endDay(days int64) {
	fade := func(n float64, days int64) float64 { return n * math.Exp2(-float64(days)/daysToHalve) }
	p.usual = max(fade(p.usual, days), fade(float64(p.best), max(days-1, 0)))
	p.best = 0
	if p.usual < 1 {
		p.usual = 0
	}
}
