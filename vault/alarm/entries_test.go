package alarm_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// noon is a Wednesday.
var noon = time.Date(2026, time.March, 4, 12, 0, 0, 0, time.UTC)

// subject makes the reference of a person; 0 is none.
func subject(n int) (s [16]byte) {
	if n != 0 {
		s = [16]byte{0: byte(n), 1: byte(n >> 8), 2: byte(n >> 16), 15: 0xcc}
	}
	return s
}

// trap and trap2 are the honey records.
const (
	trap  = 1<<24 - 1
	trap2 = 1<<24 - 2
)

// isHoney must never be asked about nobody, and says so.
func isHoney(s [16]byte) bool { return s == subject(0) || s == subject(trap) || s == subject(trap2) }

func allowed(persons ...int) (items []audit.Item) {
	for _, n := range persons {
		items = append(items, audit.Item{Subject: subject(n), Field: 1, Item: 1, Outcome: audit.Allowed})
	}
	return items
}

func refused(reason vault.Reason, persons ...int) (items []audit.Item) {
	for _, n := range persons {
		items = append(items, audit.Item{Subject: subject(n), Field: 1, Outcome: audit.Refused, Refusal: uint16(reason)})
	}
	return items
}

func reveal(at time.Duration, items ...audit.Item) *audit.Entry {
	return entry(audit.ActionReveal, at, items...)
}

func entry(a audit.Action, at time.Duration, items ...audit.Item) *audit.Entry {
	e := &audit.Entry{
		Time: noon.Add(at), Request: "r" + at.String(), Principal: "mailer", Action: a,
		Outcome: audit.Allowed, Count: uint32(len(items)), Items: items,
	}
	n := 0
	for _, it := range items {
		if it.Outcome == audit.Refused {
			n++
		}
	}
	switch {
	case n > 0 && n == len(items):
		e.Outcome = audit.Refused
	case n > 0:
		e.Outcome = audit.Mixed
	}
	return e
}

// whole is a call that was refused as a whole.
func whole(at time.Duration, reason vault.Reason) *audit.Entry {
	e := reveal(at)
	e.Outcome, e.Refusal, e.Count = audit.Refused, reason.String(), 1000
	return e
}

func by(principal string, e *audit.Entry) *audit.Entry {
	e.Principal = principal
	return e
}

// small are thresholds that are soon reached.
func small() alarm.Config {
	return alarm.Config{
		UnknownTokens: alarm.Series{Count: 3, Within: time.Minute},
		Refusals:      alarm.Series{Count: 3, Within: time.Minute},
		Persons:       alarm.Persons{Floor: 4, Factor: 2},
		Hours:         []alarm.Hours{{Principals: []string{"clerk*"}, Days: weekdays, From: 9 * time.Hour, To: 17 * time.Hour}},
	}
}

var weekdays = []time.Weekday{time.Monday, time.Tuesday, time.Wednesday, time.Thursday, time.Friday}

func detector(t testing.TB, c alarm.Config) *alarm.Detector {
	t.Helper()
	d, err := alarm.New(c, isHoney)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// tell tells the entries and returns the alarms as "rule principal count@cause".
func tell(d *alarm.Detector, entries ...*audit.Entry) []string {
	var got []string
	for i, e := range entries {
		for _, a := range d.Observe(uint64(i), e) {
			got = append(got, text(a))
		}
	}
	return got
}

// check holds that the entries raise what is wanted, also with a restart before
// each of them.
func check(t *testing.T, c alarm.Config, entries []*audit.Entry, want []string) {
	t.Helper()
	if diff := cmp.Diff(want, tell(detector(t, c), entries...)); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
	d := detector(t, c)
	var got []string
	for i, e := range entries {
		d = again(t, d, c, uint64(i))
		for _, a := range d.Observe(uint64(i), e) {
			got = append(got, text(a))
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("alarms with restarts (-want +got):\n%s", diff)
	}
}

func text(a alarm.Alarm) string {
	return fmt.Sprintf("%s %s %d@%d", a.Rule, a.Principal, a.Count, a.Cause)
}

func repeat(n int, each, start time.Duration, e func(at time.Duration) *audit.Entry) (list []*audit.Entry) {
	for i := range n {
		list = append(list, e(start+time.Duration(i)*each))
	}
	return list
}

const (
	second = time.Second
	minute = time.Minute
	hour   = time.Hour
	day    = 24 * time.Hour
)

func unknown(at time.Duration) *audit.Entry { return reveal(at, refused(vault.TokenNotFound, 0)...) }
func denied(at time.Duration) *audit.Entry  { return whole(at, vault.PurposeDenied) }
func honey(at time.Duration) *audit.Entry   { return reveal(at, allowed(trap)...) }
