package alarm_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

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
		Object: "unknown_tokens", Outcome: audit.Refused, Reason: "entry:41", Count: 5, Items: refused(vault.TokenNotFound, 7, 8),
	}
	if diff := cmp.Diff(wantEntry, raised); diff != "" {
		t.Errorf("entry (-want +got):\n%s", diff)
	}
}

// An alarm of a series names the subjects since the one before, and keeps them.
func TestSubjectsOfASeries(t *testing.T) {
	d := detector(t, small())
	first := d.Observe(0, reveal(0, refused(vault.FieldDenied, 1, 2, 3)...))
	d.Observe(1, reveal(30*second, refused(vault.FieldDenied, 4, 5)...))
	second := d.Observe(2, reveal(minute, refused(vault.FieldDenied, 6, 4)...))
	if diff := cmp.Diff(refused(vault.FieldDenied, 1, 2, 3), first[0].Items); diff != "" {
		t.Errorf("first alarm (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(refused(vault.FieldDenied, 4, 5, 6), second[0].Items); diff != "" {
		t.Errorf("second alarm (-want +got):\n%s", diff)
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
	d.Observe(1, reveal(1, refused(vault.FieldDenied, trap)...))
	a := d.Observe(2, honey(2*hour))
	if a[0].Outcome != audit.Mixed || len(a[0].Items) != 1 || a[0].Items[0].Subject != subject(trap) {
		t.Errorf("outcome %v, items %v, want mixed, with what was held back", a[0].Outcome, a[0].Items)
	}
	d.Observe(3, honey(2*hour+1))
	d.Observe(4, reveal(2*hour+2, refused(vault.FieldDenied, trap)...))
	if a = d.Observe(5, entry(audit.ActionCreate, 4*hour)); len(a) != 1 || a[0].Outcome != audit.Mixed || a[0].Request != "r2h0m0.000000002s" {
		t.Errorf("%v: want mixed, of the last request", a)
	}
	var many []int
	for i := range 40 {
		many = append(many, i+1, i+1)
	}
	a = d.Observe(6, reveal(5*hour, refused(vault.DataCorrupt, many...)...))
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

// TestEveryTrap: each trap that a caller steps on raises an alarm of its own at
// once; the same one again is held back for a window, over a restart too.
func TestEveryTrap(t *testing.T) {
	d := detector(t, small())
	raised := func(index uint64, e *audit.Entry, want ...int) {
		t.Helper()
		saved, err := d.Snapshot(index)
		if err != nil {
			t.Fatal(err)
		}
		d = detector(t, small())
		if _, err := d.Restore(saved); err != nil {
			t.Fatal(err)
		}
		var got []int
		for _, a := range d.Observe(index, e) {
			for _, it := range a.Items {
				for _, n := range []int{trap, trap2} {
					if it.Subject == subject(n) {
						got = append(got, n)
					}
				}
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("entry %d: alarms name %v, want %v", index, got, want)
		}
	}
	raised(0, reveal(0, allowed(trap)...), trap)
	raised(1, reveal(1, allowed(trap)...))
	raised(2, reveal(2, allowed(trap2)...), trap, trap2) // with what was held back
	raised(3, reveal(3, allowed(trap, trap2)...))
	raised(4, reveal(2*hour, allowed(trap2)...), trap, trap2)
}
