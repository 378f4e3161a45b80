package alarm_test

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// some are the persons from, from+1, … in one reveal.
func some(at time.Duration, from, n int) *audit.Entry {
	var list []int
	for i := range n {
		list = append(list, from+i)
	}
	return reveal(at, allowed(list...)...)
}

// small has Floor 4 and Factor 2; noon is 12 hours into a day.
func TestManyPersons(t *testing.T) {
	tests := []struct {
		name    string
		entries []*audit.Entry
		want    []string
	}{
		{"floor", []*audit.Entry{some(0, 1, 4)}, nil},
		{"over the floor", []*audit.Entry{some(0, 1, 5)}, []string{"many_persons mailer 5@0"}},
		{"one by one", []*audit.Entry{some(0, 1, 4), some(1, 5, 1)}, []string{"many_persons mailer 5@1"}},
		{"the same again", []*audit.Entry{some(0, 1, 4), some(1, 1, 4), some(2, 2, 2)}, nil},
		{"refused ones are not seen", []*audit.Entry{some(0, 1, 4), reveal(1, refused(vault.ConsentRequired, 5)...)}, nil},
		{"nobody known", []*audit.Entry{some(0, 1, 4), reveal(1, allowed(0, 0)...)}, nil},
		{"not a reveal", []*audit.Entry{some(0, 1, 4), entry(audit.ActionRead, 1, allowed(5, 6)...)}, nil},
		{"two callers", []*audit.Entry{some(0, 1, 4), by("b", some(1, 5, 4))}, nil},
		{"last moment of the hour", []*audit.Entry{some(0, 1, 4), some(hour-1, 5, 1)}, []string{"many_persons mailer 5@1"}},
		{"next hour", []*audit.Entry{some(0, 1, 4), some(hour, 5, 4)}, nil},
		{"once an hour", []*audit.Entry{some(0, 1, 5), some(1, 6, 5), some(2, 11, 50)}, []string{"many_persons mailer 5@0"}},

		// Today teaches nothing today, so that nobody climbs hour by hour.
		{"climbing", []*audit.Entry{some(0, 1, 4), some(hour, 1, 8)}, []string{"many_persons mailer 8@1"}},
		{"twice yesterday", []*audit.Entry{some(0, 1, 4), some(day, 1, 8)}, nil},
		{"more than twice yesterday", []*audit.Entry{some(0, 1, 4), some(day, 1, 9)}, []string{"many_persons mailer 9@1"}},
		{"the highest hour of yesterday", []*audit.Entry{some(0, 1, 4), some(hour, 1, 1), some(day, 1, 8)}, nil},
		{"the day ends at midnight", []*audit.Entry{some(0, 1, 4), some(12*hour-1, 1, 4), some(12*hour+hour, 1, 8)}, nil},
		// It fades from the day after on, to the half in a week: 2 × 4 × 0.906 = 7.2.
		{"a day later, as usual", []*audit.Entry{some(0, 1, 4), some(2*day, 1, 7)}, nil},
		{"a day later", []*audit.Entry{some(0, 1, 4), some(2*day, 1, 8)}, []string{"many_persons mailer 8@1"}},
		{"a week later", []*audit.Entry{some(0, 1, 4), some(8*day, 1, 5)}, []string{"many_persons mailer 5@1"}},
		{"a fortnight after it became usual", []*audit.Entry{some(0, 1, 4), some(day, 1, 1), some(15*day, 1, 5)}, []string{"many_persons mailer 5@2"}},
		{"a fortnight of less", slices.Concat([]*audit.Entry{some(0, 1, 4)}, repeat(14, day, day, func(at time.Duration) *audit.Entry { return some(at, 1, 1) }), []*audit.Entry{some(15*day, 1, 5)}),
			[]string{"many_persons mailer 5@15"}},
		{"seen every day it does not fade", []*audit.Entry{some(0, 1, 4), some(day, 1, 4), some(2*day, 1, 4), some(3*day, 1, 8)}, nil},
		{"a nightly job", []*audit.Entry{some(0, 1, 4), some(day, 1, 6), some(2*day, 1, 9), some(3*day, 1, 9), some(4*day, 1, 9)}, nil},

		// An alarm teaches at once, but only what the hour was held against.
		{"an alarm teaches", []*audit.Entry{some(0, 1, 5), some(hour, 1, 8)}, []string{"many_persons mailer 5@0"}},
		{"not too much", []*audit.Entry{some(0, 1, 900), some(hour, 1, 9)}, []string{"many_persons mailer 900@0", "many_persons mailer 9@1"}},
		{"a new service settles", []*audit.Entry{some(0, 1, 30), some(hour, 1, 30), some(2*hour, 1, 30), some(3*hour, 1, 30), some(4*hour, 1, 30)},
			[]string{"many_persons mailer 30@0", "many_persons mailer 30@1", "many_persons mailer 30@2"}},
		{"back by months: nothing becomes more usual", []*audit.Entry{some(0, 1, 5), some(-70*day, 1, 9)}, []string{"many_persons mailer 5@0", "many_persons mailer 9@1"}},
		// Nobody is silenced by a clock that steps back and forth.
		{"back to yesterday and again", []*audit.Entry{some(0, 1, 5), some(-day, 1, 9), some(0, 1, 17)},
			[]string{"many_persons mailer 5@0", "many_persons mailer 9@1", "many_persons mailer 17@2"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			check(t, small(), test.entries, test.want)
		})
	}
}

func TestManyPersonsItems(t *testing.T) {
	d := detector(t, small())
	d.Observe(0, some(0, 1, 4))
	found := d.Observe(1, some(1, 100, 50))
	if len(found) != 1 || found[0].Outcome != audit.Allowed || len(found[0].Items) != alarm.MaxItems || found[0].Items[0].Subject != subject(100) {
		t.Errorf("%v: want %d items of the causing entry", found, alarm.MaxItems)
	}
}

// With no more room the largest set goes, and its caller is told of: not to
// know is no reason to be silent.
func TestMostPersons(t *testing.T) {
	c := small()
	c.Persons = alarm.Persons{Floor: 1000, Factor: 1}
	d := detector(t, c)
	d.Bound(alarm.MaxPrincipals, 100)
	entries := []*audit.Entry{
		by("large", some(0, 1, 60)), by("small", some(1, 1, 40)), // 100 are held
		by("small", some(2, 41, 1)),  // large is given up
		by("small", some(3, 42, 10)), // and nobody else
		by("large", some(4, 1, 1)),
		by("large", some(5, 1, 1)),
	}
	if diff := cmp.Diff([]string{"many_persons large 60@4"}, tell(d, entries...)); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	if _, persons := d.Held(); persons != 51 {
		t.Errorf("%d persons held, want 51", persons)
	}
	// The next hour counts again.
	if got := tell(d, by("large", some(hour, 1, 60)), by("large", some(hour, 1, 1))); got != nil {
		t.Errorf("next hour: %v", got)
	}
	for i := range 50 {
		d.Observe(uint64(i), by("p"+strconv.Itoa(i), some(hour, 1, 30)))
		if _, persons := d.Held(); persons > 100 {
			t.Fatalf("%d persons held", persons)
		}
	}
}

// Who has been given up and is quiet for the rest of the hour raises nothing,
// and what was counted teaches.
func TestGivenUp(t *testing.T) {
	c := small()
	c.Persons = alarm.Persons{Floor: 50, Factor: 2}
	for _, restart := range []bool{false, true} {
		d := detector(t, c)
		step := func(bound int, e *audit.Entry) []alarm.Alarm {
			if restart {
				d = again(t, d, c, 0)
			}
			d.Bound(alarm.MaxPrincipals, bound)
			return d.Observe(uint64(e.Time.Unix()), e)
		}
		step(100, by("large", some(0, 1, 50)))
		step(100, by("large", some(day, 1, 90))) // up to 100 is usual
		step(100, by("small", some(day+1*second, 1, 20)))
		if _, persons := d.Held(); persons != 20 {
			t.Fatalf("%d persons held, want 20", persons)
		}
		if found := step(1000, by("large", some(2*day, 1, 180))); found != nil { // up to 180 is now
			t.Errorf("restart %v: %v", restart, found)
		}
		if found := step(1000, by("large", some(2*day+1*second, 181, 1))); len(found) != 1 || found[0].Count != 181 {
			t.Errorf("restart %v: %v, want an alarm of 181", restart, found)
		}
	}
}

// Callers not heard of for longest are forgotten, whatever they had.
func TestMostPrincipals(t *testing.T) {
	d := detector(t, small())
	d.Bound(32, alarm.MaxPersons)
	index := uint64(0)
	step := func(e *audit.Entry) []alarm.Alarm { index++; return d.Observe(index, e) }
	step(by("old", unknown(0)))
	step(by("busy", unknown(0)))
	for i := range 30 {
		step(by(fmt.Sprint("p", i), some(0, 1, 3)))
	}
	step(by("busy", unknown(1)))
	for range 3 {
		step(by("quiet", entry(audit.ActionReveal, 2))) // one more than there is room for
	}
	if principals, persons := d.Held(); principals > 32 || persons > 90 {
		t.Errorf("%d principals and %d persons held", principals, persons)
	}
	step(by("old", unknown(3)))
	if found := step(by("old", unknown(4))); found != nil {
		t.Errorf("%v: the oldest was not forgotten", found)
	}
	if found := step(by("busy", unknown(5))); len(found) != 1 {
		t.Error("a caller heard of lately was forgotten")
	}
	for i := range 10_000 {
		step(by(fmt.Sprint("flood", i), some(6, i, 4)))
		if principals, _ := d.Held(); principals > 32 {
			t.Fatalf("%d principals", principals)
		}
	}
}

// Callers who do nothing worth a note take no room.
func TestQuietPrincipals(t *testing.T) {
	d := detector(t, small())
	for i := range 1000 {
		d.Observe(uint64(i), by(strconv.Itoa(i), entry(audit.ActionCreate, 0, allowed(1)...)))
	}
	if principals, _ := d.Held(); principals != 0 {
		t.Errorf("%d principals remembered", principals)
	}
}

// A full detector stays within the memory that the package comment tells.
func TestMemory(t *testing.T) {
	c := alarm.Defaults()
	c.Persons.Floor = alarm.MaxPersons
	d := detector(t, c)
	before := heap()
	entries, index := make([]audit.Item, audit.MaxItems), uint64(0)
	for person := 1; person <= alarm.MaxPersons; {
		for i := range entries {
			entries[i] = audit.Item{Subject: subject(person), Outcome: audit.Allowed}
			person++
		}
		index++
		d.Observe(index, by(strconv.Itoa(int(index)%4), reveal(0, entries...)))
	}
	_, persons := d.Held()
	each := float64(heap()-before) / float64(persons)
	t.Logf("%d persons, %.0f bytes each", persons, each)
	if persons < alarm.MaxPersons*9/10 || each > 64 {
		t.Errorf("%d persons of %.0f bytes", persons, each)
	}
	runtime.KeepAlive(d)
}

func heap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
