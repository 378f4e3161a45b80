package alarm_test

import (
	"fmt"
	"slices"
	"strings"
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

func isHoney(s [16]byte) bool { return s == subject(trap) || s == subject(trap2) }

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

func TestRules(t *testing.T) {
	tests := []struct {
		name    string
		entries []*audit.Entry
		want    []string
	}{
		{"quiet", []*audit.Entry{reveal(0, allowed(1, 2)...), entry(audit.ActionCreate, second, allowed(3)...)}, nil},

		{"unknown: one under", repeat(2, second, 0, unknown), nil},
		{"unknown: in three calls", repeat(3, second, 0, unknown), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: in one call", []*audit.Entry{reveal(0, refused(vault.MalformedToken, 0, 0, 0, 0)...)}, []string{"unknown_tokens mailer 4@0"}},
		{"unknown: one call one under", []*audit.Entry{reveal(0, refused(vault.MalformedToken, 0, 0)...)}, nil},
		{"unknown: both kinds", []*audit.Entry{unknown(0), reveal(1, refused(vault.MalformedToken, 0)...), whole(2, vault.TokenNotFound)}, []string{"unknown_tokens mailer 3@2"}},
		{"unknown: among good ones", repeat(3, second, 0, func(at time.Duration) *audit.Entry {
			return reveal(at, append(allowed(1, 2), refused(vault.TokenNotFound, 3)...)...)
		}), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: of any action", repeat(3, second, 0, func(at time.Duration) *audit.Entry {
			return entry(audit.ActionDescribe, at, refused(vault.TokenNotFound, 0)...)
		}), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: of two callers", []*audit.Entry{unknown(0), by("b", unknown(1)), unknown(2), by("b", unknown(3))}, nil},
		{"unknown: just within", []*audit.Entry{unknown(0), unknown(1), unknown(minute - 1)}, []string{"unknown_tokens mailer 3@2"}},
		{"unknown: just without", []*audit.Entry{unknown(0), unknown(1), unknown(minute)}, nil},
		{"unknown: the window slides", []*audit.Entry{unknown(0), unknown(40 * second), unknown(70 * second), unknown(90 * second)}, []string{"unknown_tokens mailer 3@3"}},
		{"unknown: once a window, then with the count", repeat(14, 10*second, 0, unknown),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 6@8"}},
		{"unknown: anew after a rest", slices.Concat(repeat(3, second, 0, unknown), repeat(3, second, 2*minute, unknown)),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 3@5"}},
		{"unknown: a rest, then one under", slices.Concat(repeat(3, second, 0, unknown), repeat(2, second, 2*minute, unknown)), []string{"unknown_tokens mailer 3@2"}},
		{"unknown: after a long trickle the count is the window's", slices.Concat(repeat(5, 40*second, 0, unknown), repeat(2, second, 161*second, unknown)),
			[]string{"unknown_tokens mailer 3@5"}},
		{"unknown: one that falls out of the window", []*audit.Entry{unknown(0), reveal(50*second, refused(vault.TokenNotFound, 0, 0)...), unknown(65 * second), unknown(114 * second), unknown(130 * second)},
			[]string{"unknown_tokens mailer 3@1"}},

		{"refusals: one under", repeat(2, second, 0, denied), nil},
		{"refusals: a call is one, however much it asked for", repeat(3, second, 0, denied), []string{"refusals mailer 3@2"}},
		{"refusals: items", []*audit.Entry{reveal(0, refused(vault.FieldDenied, 1, 2, 3)...)}, []string{"refusals mailer 3@0"}},
		{"refusals: unknown tokens are none", []*audit.Entry{denied(0), denied(1), unknown(2), unknown(3)}, nil},
		{"refusals: a number of a later version", []*audit.Entry{reveal(0, refused(200, 1, 2, 3)...)}, []string{"refusals mailer 3@0"}},
		{"refusals: a failure of the vault is none", []*audit.Entry{reveal(0, refused(vault.StoreUnavailable, 1, 2, 3)...), whole(1, vault.Busy), whole(2, vault.Internal), whole(3, vault.StoreFull)}, nil},
		{"refusals: just within", []*audit.Entry{denied(0), denied(1), denied(minute - 1)}, []string{"refusals mailer 3@2"}},
		{"refusals: just without", []*audit.Entry{denied(0), denied(1), denied(minute)}, nil},

		{"honey: allowed", []*audit.Entry{honey(0)}, []string{"honey mailer 1@0"}},
		{"honey: refused", []*audit.Entry{reveal(0, refused(vault.FieldDenied, trap)...)}, []string{"honey mailer 1@0"}},
		{"honey: among others", []*audit.Entry{reveal(0, allowed(1, trap, 2)...)}, []string{"honey mailer 1@0"}},
		{"honey: not revealed", []*audit.Entry{entry(audit.ActionHoney, 0, allowed(trap)...), entry(audit.ActionRead, 1, allowed(trap)...)}, nil},
		{"honey: nobody is no honey", []*audit.Entry{reveal(0, refused(vault.TokenNotFound, 0)...)}, nil},
		{"honey: held back within the window, told with the next", []*audit.Entry{honey(0), honey(1), honey(hour - 1), honey(hour)},
			[]string{"honey mailer 1@0", "honey mailer 3@3"}},
		{"honey: held back, told by anybody's next entry", []*audit.Entry{honey(0), honey(1), honey(minute), by("b", entry(audit.ActionCreate, hour-1)), by("b", entry(audit.ActionCreate, hour)), by("b", entry(audit.ActionCreate, 3*hour))},
			[]string{"honey mailer 1@0", "honey mailer 2@2"}},
		{"honey: each caller", []*audit.Entry{honey(0), by("b", honey(1))}, []string{"honey mailer 1@0", "honey b 1@1"}},

		{"corrupt", []*audit.Entry{reveal(0, append(allowed(1), refused(vault.DataCorrupt, 2)...)...)}, []string{"corrupt mailer 1@0"}},
		{"corrupt: of any action", []*audit.Entry{entry(audit.ActionRead, 0, refused(vault.DataCorrupt, 2)...)}, []string{"corrupt mailer 1@0"}},
		{"corrupt: a whole call", []*audit.Entry{whole(0, vault.DataCorrupt)}, []string{"corrupt mailer 1@0"}},
		{"corrupt: no series of refusals", []*audit.Entry{reveal(0, refused(vault.DataCorrupt, 1, 2, 3, 4)...)}, []string{"corrupt mailer 4@0"}},

		{"hours: within", []*audit.Entry{by("clerk-1", reveal(5*hour-1, allowed(1)...))}, nil},
		{"hours: without", []*audit.Entry{by("clerk-1", reveal(5*hour, allowed(1, 2)...))}, []string{"out_of_hours clerk-1 2@0"}},
		{"hours: refused is not revealed", []*audit.Entry{by("clerk-1", reveal(9*hour, refused(vault.FieldDenied, 1)...))}, nil},
		{"hours: not a reveal", []*audit.Entry{by("clerk-1", entry(audit.ActionRead, 9*hour, allowed(1)...))}, nil},
		{"hours: undeclared for the caller", []*audit.Entry{reveal(9*hour, allowed(1)...)}, nil},
		{"hours: a reveal of nothing listed", []*audit.Entry{by("clerk-1", reveal(5*hour))}, []string{"out_of_hours clerk-1 1@0"}},
		{"hours: the night is told twice", []*audit.Entry{by("clerk-1", reveal(6*hour, allowed(1)...)), by("clerk-1", reveal(7*hour-1, allowed(2, 3)...)), by("clerk-1", reveal(7*hour, allowed(1)...))},
			[]string{"out_of_hours clerk-1 1@0", "out_of_hours clerk-1 3@2"}},

		{"its own entries are passed over", []*audit.Entry{entry(audit.ActionAlarm, 0, refused(vault.DataCorrupt, 1, 2, 3)...), entry(audit.ActionAlarm, 0, refused(vault.FieldDenied, 1, 2, 3)...)}, nil},
		{"several rules at once, in order", []*audit.Entry{by("clerk", reveal(9*hour, slices.Concat(allowed(1, 2, 3, 4, trap), refused(vault.DataCorrupt, 9), refused(vault.FieldDenied, 6, 7, 8), refused(vault.TokenNotFound, 0, 0, 0))...))},
			[]string{"unknown_tokens clerk 3@0", "refusals clerk 3@0", "many_persons clerk 5@0", "out_of_hours clerk 5@0", "honey clerk 1@0", "corrupt clerk 1@0"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, tell(detector(t, small()), test.entries...)); diff != "" {
				t.Errorf("alarms (-want +got):\n%s", diff)
			}
		})
	}
}

// Every reason of the vault is sorted, and the same by number and by name.
func TestReasons(t *testing.T) {
	c := small()
	c.UnknownTokens.Count, c.Refusals.Count = 1, 1
	want := func(r vault.Reason) []string {
		switch r {
		case vault.MalformedToken, vault.TokenNotFound:
			return []string{"unknown_tokens mailer 1@0"}
		case vault.DataCorrupt:
			return []string{"corrupt mailer 1@0"}
		case vault.AuditUnavailable, vault.StoreUnavailable, vault.StoreFull, vault.KeysUnavailable, vault.Busy, vault.Internal:
			return nil
		}
		return []string{"refusals mailer 1@0"}
	}
	for r, name := range vault.Reasons() {
		if diff := cmp.Diff(want(r), tell(detector(t, c), reveal(0, refused(r, 1)...))); diff != "" {
			t.Errorf("an item refused %s (-want +got):\n%s", name, diff)
		}
		if diff := cmp.Diff(want(r), tell(detector(t, c), whole(0, r))); diff != "" {
			t.Errorf("a call refused %s (-want +got):\n%s", name, diff)
		}
	}
}

// A clock that steps is no way to silence a rule, and raises nothing by itself.
func TestClockSteps(t *testing.T) {
	tests := []struct {
		name    string
		entries []*audit.Entry
		want    []string
	}{
		{"a little back within a series", []*audit.Entry{unknown(2 * second), unknown(second), unknown(0)}, []string{"unknown_tokens mailer 3@2"}},
		{"far back within a series: it begins anew", []*audit.Entry{unknown(0), unknown(1), unknown(-hour), unknown(-hour + 1)}, nil},
		{"exactly a window back", []*audit.Entry{unknown(0), unknown(0), unknown(-minute)}, nil},
		{"far back after an alarm: raises again", slices.Concat(repeat(3, second, 0, unknown), repeat(3, second, -day, unknown)),
			[]string{"unknown_tokens mailer 3@2", "unknown_tokens mailer 3@5"}},
		{"far ahead and back", slices.Concat(repeat(2, second, 0, unknown), repeat(2, second, 10000*day, unknown), repeat(2, second, 0, unknown)), nil},
		{"back at a gate", []*audit.Entry{honey(0), honey(-hour + 1), honey(-hour)}, []string{"honey mailer 1@0", "honey mailer 2@2"}},
		{"back with something held back", []*audit.Entry{honey(0), honey(1), by("b", entry(audit.ActionCreate, -hour+1)), by("b", entry(audit.ActionCreate, -hour))},
			[]string{"honey mailer 1@0", "honey mailer 1@1"}},
		{"back across the hour: one hour", []*audit.Entry{reveal(0, allowed(1, 2)...), reveal(-second, allowed(3, 4)...), reveal(second, allowed(5)...)}, []string{"many_persons mailer 5@2"}},
		{"back by hours: another hour", []*audit.Entry{reveal(0, allowed(1, 2)...), reveal(-2*hour, allowed(3, 4)...), reveal(-2*hour, allowed(5)...)}, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, tell(detector(t, small()), test.entries...)); diff != "" {
				t.Errorf("alarms (-want +got):\n%s", diff)
			}
		})
	}
}

func TestAlarm(t *testing.T) {
	d := detector(t, small())
	d.Observe(40, reveal(0, refused(vault.TokenNotFound, 7, 7, 0)[:2]...))
	e := reveal(second, append(refused(vault.TokenNotFound, 8, 0, 7), allowed(3)...)...)
	found := d.Observe(41, e)
	if len(found) != 1 {
		t.Fatalf("%d alarms, want 1", len(found))
	}
	a := found[0]
	want := alarm.Alarm{
		ID: a.ID, Rule: alarm.UnknownTokens, Principal: "mailer", Cause: 41, Time: e.Time, Request: "r1s",
		Count: 5, Outcome: audit.Refused, Items: refused(vault.TokenNotFound, 7, 8),
	}
	if diff := cmp.Diff(want, a); diff != "" {
		t.Errorf("alarm (-want +got):\n%s", diff)
	}
	if a.ID == ([16]byte{}) {
		t.Error("the alarm has no id")
	}
	e.Items[0].Subject = subject(99) // the memory is the caller's again
	if a.Items[1].Subject != subject(8) {
		t.Error("the alarm shares memory with the entry")
	}
	raised := a.Entry()
	if err := raised.Validate(); err != nil {
		t.Fatal(err)
	}
	wantEntry := &audit.Entry{
		ID: a.ID, Time: a.Time, Request: "r1s", Principal: "mailer", Action: audit.ActionAlarm,
		Object: "unknown_tokens", Outcome: audit.Refused, Count: 5, Items: refused(vault.TokenNotFound, 7, 8),
	}
	if diff := cmp.Diff(wantEntry, raised); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

// Ids are of rule and entry, and of nothing else.
func TestIDs(t *testing.T) {
	ids := map[[16]byte]string{}
	for _, at := range []uint64{1, 2, 1 << 40} {
		for _, e := range []*audit.Entry{honey(0), reveal(0, refused(vault.DataCorrupt, 1)...)} {
			a, b := detector(t, small()).Observe(at, e), detector(t, small()).Observe(at, e)
			if len(a) != 1 || len(b) != 1 || a[0].ID != b[0].ID {
				t.Fatalf("%v and %v: not the same id", a, b)
			}
			if other := ids[a[0].ID]; other != "" {
				t.Errorf("%s has the id of %s", text(a[0]), other)
			}
			ids[a[0].ID] = text(a[0])
		}
	}
}

func TestOutcomesAndItems(t *testing.T) {
	d := detector(t, small())
	if a := d.Observe(0, honey(0)); a[0].Outcome != audit.Allowed {
		t.Errorf("outcome %v, want allowed", a[0].Outcome)
	}
	d.Observe(1, reveal(1, refused(vault.FieldDenied, trap2)...))
	a := d.Observe(2, honey(2*hour))
	if a[0].Outcome != audit.Mixed || len(a[0].Items) != 2 || a[0].Items[0].Subject != subject(trap2) {
		t.Errorf("outcome %v, items %v, want mixed, with what was held back", a[0].Outcome, a[0].Items)
	}
	var many []int
	for i := range 40 {
		many = append(many, i+1, i+1)
	}
	a = d.Observe(3, reveal(3*hour, refused(vault.DataCorrupt, many...)...))
	if len(a) != 1 || len(a[0].Items) != alarm.MaxItems || a[0].Count != 80 {
		t.Fatalf("%v: want %d items of 80", a, alarm.MaxItems)
	}
	for i, it := range a[0].Items {
		if it.Subject != subject(i+1) {
			t.Errorf("item %d is of another subject", i)
		}
	}
	if err := a[0].Entry().Validate(); err != nil {
		t.Error(err)
	}
}

// What an alarm can say fits the log, however long the names are.
func TestLongestNames(t *testing.T) {
	e := honey(0)
	e.Principal, e.Request = strings.Repeat("p", audit.MaxPrincipalLen), strings.Repeat("r", audit.MaxRequestLen)
	for _, a := range detector(t, small()).Observe(1<<63, e) {
		if err := a.Entry().Validate(); err != nil {
			t.Error(err)
		}
	}
}

func TestSeriesMemory(t *testing.T) {
	c := small()
	c.UnknownTokens = alarm.Series{Count: 20, Within: hour}
	d := detector(t, c)
	for i := range 100_000 {
		d.Observe(uint64(i), unknown(time.Duration(i)*time.Millisecond))
	}
	if n := d.Marks("mailer"); n > 20 {
		t.Errorf("%d marks, at most 20", n)
	}
}
