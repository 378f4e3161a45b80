package alarm_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// again is a new detector with the state of d.
func again(t testing.TB, d *alarm.Detector, c alarm.Config, cursor uint64) *alarm.Detector {
	t.Helper()
	raw, err := d.Snapshot(cursor)
	if err != nil {
		t.Fatal(err)
	}
	next := detector(t, c)
	got, err := next.Restore(raw)
	if err != nil {
		t.Fatalf("restore: %v\n%s", err, raw)
	}
	if got != cursor {
		t.Fatalf("cursor %d, want %d", got, cursor)
	}
	return next
}

// drawEntry makes entries that often come near to an alarm.
func drawEntry(t *rapid.T, at time.Duration) *audit.Entry {
	var items []audit.Item
	for _, n := range rapid.SliceOfN(rapid.IntRange(0, 12), 0, 6).Draw(t, "persons") {
		reason := rapid.SampledFrom([]vault.Reason{0, 0, vault.TokenNotFound, vault.FieldDenied, vault.DataCorrupt, vault.Busy}).Draw(t, "reason")
		if n == 12 {
			n = trap
		}
		if reason == 0 {
			items = append(items, allowed(n)...)
		} else {
			items = append(items, refused(reason, n)...)
		}
	}
	e := entry(rapid.SampledFrom([]audit.Action{audit.ActionReveal, audit.ActionReveal, audit.ActionRead, audit.ActionAlarm}).Draw(t, "action"), at, items...)
	if len(items) == 0 && rapid.Bool().Draw(t, "whole") {
		e.Outcome, e.Refusal = audit.Refused, vault.FieldDenied.String()
	}
	return by(rapid.SampledFrom([]string{"a", "b", "clerk", "д"}).Draw(t, "principal"), e)
}

// A restart between any two entries changes no alarm, wherever the clock goes.
func TestRestartChangesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		steady, restarted := detector(t, small()), detector(t, small())
		for _, d := range []*alarm.Detector{steady, restarted} {
			d.Bound(3, 20)
		}
		at := time.Duration(0)
		for index := range rapid.IntRange(1, 60).Draw(rt, "entries") {
			at += rapid.SampledFrom([]time.Duration{0, 0, 0, 1, 1, 1, second, second, second, 20 * second, minute, 20 * minute, hour, day, -second, -hour, -day}).Draw(rt, "step")
			e := drawEntry(rt, at)
			if rapid.Bool().Draw(rt, "restart") {
				restarted = again(t, restarted, small(), uint64(index))
				restarted.Bound(3, 20)
			}
			if diff := cmp.Diff(steady.Observe(uint64(index), e), restarted.Observe(uint64(index), e)); diff != "" {
				rt.Fatalf("entry %d (-steady +restarted):\n%s", index, diff)
			}
		}
	})
}

// A restart may bring other thresholds.
func TestRestartWithAnotherConfig(t *testing.T) {
	d := detector(t, small())
	tell(d, unknown(0), unknown(1), by("clerk", unknown(2)))
	c := small()
	c.UnknownTokens.Count, c.Hours = 2, nil
	d = again(t, d, c, 3)
	if found := d.Observe(3, unknown(3)); len(found) != 1 || found[0].Count != 3 {
		t.Errorf("%v, want one alarm of 3", found)
	}
	if found := d.Observe(4, by("clerk", reveal(9*hour, allowed(1)...))); found != nil {
		t.Errorf("%v: hours that are declared no more", found)
	}
}

// golden is a state as format 1 has it. It must be readable for ever.
const golden = `{"format":1,"cursor":77,"hour":492660,"principals":[` +
	`{"name":"spiffe://x/mailer","last":70,"unknown_tokens":{"marks":[1773576000000000000,2],"since":2,"about":[{"subject":"AQAAAAAAAAAAAAAAAAAAzA==","field":3,"item":1,"refusal":60}]},` +
	`"persons":"AQAAAAAAAAAAAAAAAAAAzAIAAAAAAAAAAAAAAAAAAMw=","best":7,"usual":1.5},` +
	`{"name":"clerk","last":71,"over":true,"usual":12,"refusals":{"marks":[1773576000000000000,50],"raised":1773576000000000000},` +
	`"out_of_hours":{"raised":1773576000000000000},"honey":{"raised":1773576000000000000,"pending":2,"allowed":1,"cause":71,"at":1773576000000000001,"request":"r","about":[{"subject":"AQAAAAAAAAAAAAAAAAAAzA==","field":3,"item":1,"allowed":true}]},"corrupt":{"raised":1773576000000000000}},` +
	`{"name":"","last":72,"given_up":9}]}` + "\n"

func TestGoldenState(t *testing.T) {
	d := detector(t, small())
	cursor, err := d.Restore([]byte(golden))
	if err != nil || cursor != 77 {
		t.Fatalf("cursor %d, %v", cursor, err)
	}
	if principals, persons := d.Held(); principals != 3 || persons != 2 {
		t.Errorf("%d principals, %d persons, want 3 and 2", principals, persons)
	}
	at := time.Unix(0, 1773576000000000000).Add(minute / 2).Sub(noon)
	got := tell(d, by("spiffe://x/mailer", unknown(at)), by("", some(at, 1, 1)), by("clerk", some(at, 1, 30)), entry(audit.ActionRead, at+hour))
	if diff := cmp.Diff([]string{"unknown_tokens spiffe://x/mailer 3@0", "many_persons  9@1", "out_of_hours", "honey clerk 2@71"}, cut(got)); diff != "" {
		t.Errorf("alarms (-want +got):\n%s", diff)
	}
}

// cut keeps the rule alone of alarms out of hours.
func cut(texts []string) (out []string) {
	for _, s := range texts {
		if strings.HasPrefix(s, string(alarm.OutOfHours)) {
			s = string(alarm.OutOfHours)
		}
		out = append(out, s)
	}
	return out
}

func TestDamagedState(t *testing.T) {
	series := func(s string) string {
		return `{"format":1,"principals":[{"name":"secret-name","refusals":` + s + `}]}`
	}
	gate := func(s string) string {
		return `{"format":1,"principals":[{"name":"secret-name","honey":` + s + `}]}`
	}
	tests := []struct {
		name, state string
		want        error
	}{
		{"nothing", "", alarm.ErrState},
		{"no object", `[1]`, alarm.ErrState},
		{"no format", `{"cursor":1}`, alarm.ErrState},
		{"no JSON", golden[:len(golden)/2], alarm.ErrState},
		{"newer", `{"format":2,"other":true}`, alarm.ErrFormat},
		{"format 0", `{"format":0}`, alarm.ErrFormat},
		{"an unknown field", `{"format":1,"secret-name":1}`, alarm.ErrState},
		{"two objects", golden + golden, alarm.ErrState},
		{"a cursor below 0", `{"format":1,"cursor":-1}`, alarm.ErrState},
		{"an hour below 0", `{"format":1,"hour":-1}`, alarm.ErrState},
		{"an hour too late", `{"format":1,"hour":9223372036854775807}`, alarm.ErrState},
		{"a principal twice", `{"format":1,"principals":[{"name":"secret-name"},{"name":"secret-name"}]}`, alarm.ErrState},
		{"a long principal", `{"format":1,"principals":[{"name":"` + strings.Repeat("x", audit.MaxPrincipalLen+1) + `"}]}`, alarm.ErrState},
		{"too many principals", `{"format":1,"principals":[` + strings.Repeat(`{},`, alarm.MaxPrincipals) + `{}]}`, alarm.ErrState},
		{"half a person", `{"format":1,"principals":[{"persons":"AQI="}]}`, alarm.ErrState},
		{"persons after an alarm", `{"format":1,"principals":[{"over":true,"persons":"AQAAAAAAAAAAAAAAAAAAzA=="}]}`, alarm.ErrState},
		{"usual below 0", `{"format":1,"principals":[{"usual":-1}]}`, alarm.ErrState},
		{"usual too large", `{"format":1,"principals":[{"usual":1e300}]}`, alarm.ErrState},
		{"best too large", `{"format":1,"principals":[{"best":9223372036854775807}]}`, alarm.ErrState},
		{"given up below 0", `{"format":1,"principals":[{"given_up":-1}]}`, alarm.ErrState},
		{"half a mark", series(`{"marks":[1]}`), alarm.ErrState},
		{"no marks", series(`{"marks":[]}`), alarm.ErrState},
		{"a mark of nothing", series(`{"marks":[1,0]}`), alarm.ErrState},
		{"a mark at no time", series(`{"marks":[0,1]}`), alarm.ErrState},
		{"a mark too late", series(`{"marks":[9223372036854775807,1]}`), alarm.ErrState},
		{"a mark too large", series(`{"marks":[1,9223372036854775807]}`), alarm.ErrState},
		{"too many marks", series(`{"marks":[1,1` + strings.Repeat(`,1,1`, alarm.MaxCount) + `]}`), alarm.ErrState},
		{"a series raised too late", series(`{"marks":[1,1],"raised":9223372036854775807}`), alarm.ErrState},
		{"a gate that never raised", gate(`{"raised":0}`), alarm.ErrState},
		{"a gate raised too late", gate(`{"raised":9223372036854775807}`), alarm.ErrState},
		{"more allowed than held back", gate(`{"raised":1,"pending":1,"allowed":2,"at":1}`), alarm.ErrState},
		{"held back at no time", gate(`{"raised":1,"pending":1}`), alarm.ErrState},
		{"a long request", gate(`{"raised":1,"pending":1,"at":1,"request":"` + strings.Repeat("x", audit.MaxRequestLen+1) + `"}`), alarm.ErrState},
		{"half a subject", gate(`{"raised":1,"about":[{"subject":"AQI="}]}`), alarm.ErrState},
		{"too many subjects", gate(`{"raised":1,"about":[{"subject":"AQAAAAAAAAAAAAAAAAAAzA=="}` + strings.Repeat(`,{"subject":"AQAAAAAAAAAAAAAAAAAAzA=="}`, alarm.MaxItems) + `]}`), alarm.ErrState},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			d := detector(t, small())
			tell(d, unknown(0), unknown(1))
			_, err := d.Restore([]byte(test.state))
			if !errors.Is(err, test.want) {
				t.Errorf("%v, want %v", err, test.want)
			}
			if err != nil && strings.Contains(err.Error(), "secret-name") {
				t.Errorf("the error tells what stands there: %v", err)
			}
			if found := d.Observe(2, unknown(2)); len(found) != 1 {
				t.Error("the detector is not as it was")
			}
		})
	}
}

// FuzzRestore: what is read can be used and saved, whatever it was.
func FuzzRestore(f *testing.F) {
	f.Add([]byte(golden))
	f.Add([]byte(`{"format":1,"principals":[{"name":"mailer","refusals":{"marks":[1,281474976710656,1,281474976710656]}}]}`))
	d := detector(f, small())
	for i, e := range []*audit.Entry{some(0, 1, 3), honey(0), honey(1), by("clerk", some(9*hour, 1, 9)), denied(9 * hour)} {
		d.Observe(uint64(i), e)
	}
	raw, err := d.Snapshot(5)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Fuzz(func(t *testing.T, raw []byte) {
		d := detector(t, small())
		cursor, err := d.Restore(raw)
		if err != nil {
			if !errors.Is(err, alarm.ErrState) && !errors.Is(err, alarm.ErrFormat) {
				t.Fatalf("an error of no kind: %v", err)
			}
			return
		}
		d = again(t, d, small(), cursor)
		d.Held()
		for i, e := range []*audit.Entry{unknown(0), denied(0), honey(0), some(hour, 1, 30), some(day, 1, 30), by("clerk", honey(9*hour))} {
			for _, a := range d.Observe(cursor+uint64(i), e) {
				if err := a.Entry().Validate(); err != nil {
					t.Errorf("%s: %v", a.Rule, err)
				}
			}
		}
		if _, err := d.Snapshot(cursor); err != nil {
			t.Error(err)
		}
	})
}

// The saved state holds nothing that the log does not.
func TestStateHoldsNoMore(t *testing.T) {
	d := detector(t, small())
	e := unknown(0)
	e.Reason, e.Purpose, e.Collection = "TICKET-1", "shipping", "customers"
	d.Observe(0, e)
	raw, err := d.Snapshot(1)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"TICKET", "shipping", "customers"} {
		if bytes.Contains(raw, []byte(text)) {
			t.Errorf("the state tells %q", text)
		}
	}
}
