package alarm_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/alarm"
)

func TestConfig(t *testing.T) {
	c := alarm.Defaults()
	if err := c.Validate(); err != nil {
		t.Fatalf("defaults: %v", err)
	}
	tests := []struct {
		name   string
		change func(*alarm.Config)
		want   string // field, "" for none
	}{
		{"count 0", func(c *alarm.Config) { c.UnknownTokens.Count = 0 }, "unknown_tokens.count"},
		{"count 1", func(c *alarm.Config) { c.UnknownTokens.Count = 1 }, ""},
		{"highest count", func(c *alarm.Config) { c.Refusals.Count = alarm.MaxCount }, ""},
		{"count over", func(c *alarm.Config) { c.Refusals.Count = alarm.MaxCount + 1 }, "refusals.count"},
		{"within 1 s", func(c *alarm.Config) { c.Refusals.Within = time.Second }, ""},
		{"within under", func(c *alarm.Config) { c.Refusals.Within = time.Second - 1 }, "refusals.within"},
		{"within a day", func(c *alarm.Config) { c.UnknownTokens.Within = day }, ""},
		{"within over", func(c *alarm.Config) { c.UnknownTokens.Within = day + 1 }, "unknown_tokens.within"},
		{"floor 0", func(c *alarm.Config) { c.Persons.Floor = 0 }, "persons.floor"},
		{"highest floor", func(c *alarm.Config) { c.Persons.Floor = alarm.MaxPersons }, ""},
		{"floor over", func(c *alarm.Config) { c.Persons.Floor = alarm.MaxPersons + 1 }, "persons.floor"},
		{"factor 1", func(c *alarm.Config) { c.Persons.Factor = 1 }, ""},
		{"factor under", func(c *alarm.Config) { c.Persons.Factor = 0.99 }, "persons.factor"},
		{"factor infinite", func(c *alarm.Config) { c.Persons.Factor = math.Inf(1) }, "persons.factor"},
		{"factor no number", func(c *alarm.Config) { c.Persons.Factor = math.NaN() }, "persons.factor"},
		{"many hours", func(c *alarm.Config) { c.Hours = make([]alarm.Hours, alarm.MaxHours+1) }, "hours:"},
		{"good hours", hours(func(h *alarm.Hours) {}), ""},
		{"no principals", hours(func(h *alarm.Hours) { h.Principals = nil }), "hours[0].principals"},
		{"an empty principal", hours(func(h *alarm.Hours) { h.Principals = []string{""} }), "hours[0].principals"},
		{"everybody", hours(func(h *alarm.Hours) { h.Principals = []string{"*"} }), ""},
		{"a star within", hours(func(h *alarm.Hours) { h.Principals = []string{"a", "b*c"} }), "hours[0].principals"},
		{"two stars", hours(func(h *alarm.Hours) { h.Principals = []string{"a**"} }), "hours[0].principals"},
		{"no days", hours(func(h *alarm.Hours) { h.Days = nil }), "hours[0].days"},
		{"a day twice", hours(func(h *alarm.Hours) { h.Days = []time.Weekday{1, 2, 1} }), "hours[0].days"},
		{"an eighth day", hours(func(h *alarm.Hours) { h.Days = []time.Weekday{7} }), "hours[0].days"},
		{"from midnight to midnight", hours(func(h *alarm.Hours) { h.From, h.To = 0, day }), ""},
		{"from under", hours(func(h *alarm.Hours) { h.From = -1 }), "hours[0].from"},
		{"from over", hours(func(h *alarm.Hours) { h.From = day }), "hours[0].from"},
		{"to 0", hours(func(h *alarm.Hours) { h.To = 0 }), "hours[0].to"},
		{"to over", hours(func(h *alarm.Hours) { h.To = day + 1 }), "hours[0].to"},
		{"over night", hours(func(h *alarm.Hours) { h.From, h.To = 22*hour, 6*hour }), ""},
		{"no time at all", hours(func(h *alarm.Hours) { h.From, h.To = hour, hour }), "hours[0].to"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := alarm.Defaults()
			test.change(&c)
			err := c.Validate()
			if _, newErr := alarm.New(c, nil); (newErr == nil) != (err == nil) {
				t.Errorf("New: %v, Validate: %v", newErr, err)
			}
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, alarm.ErrConfig) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want an error about %s", err, test.want)
			}
		})
	}
	var none alarm.Config
	if got := strings.Count(none.Validate().Error(), "\n") + 1; got != 6 {
		t.Errorf("%d mistakes told of an empty configuration, want all 6", got)
	}
}

func hours(change func(*alarm.Hours)) func(*alarm.Config) {
	return func(c *alarm.Config) {
		h := alarm.Hours{Principals: []string{"a", "b*"}, Days: weekdays, From: 9 * hour, To: 17 * hour}
		change(&h)
		c.Hours = []alarm.Hours{h}
	}
}

func TestHours(t *testing.T) {
	madrid, err := time.LoadLocation("Europe/Madrid")
	if err != nil {
		t.Fatal(err)
	}
	office := alarm.Hours{Principals: []string{"a", "b*"}, Days: weekdays, From: 9 * hour, To: 17 * hour, Location: madrid}
	night := alarm.Hours{Principals: []string{"a"}, Days: []time.Weekday{time.Friday}, From: 22 * hour, To: 6 * hour, Location: madrid}
	whole := alarm.Hours{Principals: []string{"*"}, Days: []time.Weekday{time.Sunday}, To: day}
	tests := []struct {
		name      string
		hours     []alarm.Hours
		principal string
		at        string // RFC 3339
		out       bool
	}{
		{"begins", []alarm.Hours{office}, "a", "2026-03-04T09:00:00+01:00", false},
		{"just before", []alarm.Hours{office}, "a", "2026-03-04T08:59:59.999999999+01:00", true},
		{"just before it ends", []alarm.Hours{office}, "a", "2026-03-04T16:59:59.999999999+01:00", false},
		{"ends", []alarm.Hours{office}, "a", "2026-03-04T17:00:00+01:00", true},
		{"saturday", []alarm.Hours{office}, "a", "2026-03-07T12:00:00+01:00", true},
		{"summer time: 8 in Madrid", []alarm.Hours{office}, "a", "2026-07-01T06:59:00Z", true},
		{"summer time: 9 in Madrid", []alarm.Hours{office}, "a", "2026-07-01T07:00:00Z", false},
		{"the clock is put forward: 9 in Madrid", []alarm.Hours{{Principals: []string{"a"}, Days: []time.Weekday{0}, From: 9 * hour, To: 10 * hour, Location: madrid}}, "a", "2026-03-29T07:00:00Z", false},
		{"the day is Madrid's", []alarm.Hours{{Principals: []string{"a"}, Days: []time.Weekday{time.Thursday}, To: hour, Location: madrid}}, "a", "2026-03-04T23:30:00Z", false},
		{"exact name only", []alarm.Hours{office}, "ab", "2026-03-07T12:00:00Z", false},
		{"beginning of a name", []alarm.Hours{office}, "b/c", "2026-03-07T12:00:00Z", true},
		{"night: evening", []alarm.Hours{night}, "a", "2026-03-06T22:00:00+01:00", false},
		{"night: morning after", []alarm.Hours{night}, "a", "2026-03-07T05:59:59+01:00", false},
		{"night: over", []alarm.Hours{night}, "a", "2026-03-07T06:00:00+01:00", true},
		{"night: evening after", []alarm.Hours{night}, "a", "2026-03-07T22:00:00+01:00", true},
		{"night: morning before", []alarm.Hours{night}, "a", "2026-03-06T05:00:00+01:00", true},
		{"either of two", []alarm.Hours{office, night}, "a", "2026-03-06T23:00:00+01:00", false},
		{"a whole day: last moment", []alarm.Hours{whole}, "x", "2026-03-08T23:59:59.999999999Z", false},
		{"a whole day: over", []alarm.Hours{whole}, "x", "2026-03-09T00:00:00Z", true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := alarm.Defaults()
			c.Hours = test.hours
			at, err := time.Parse(time.RFC3339Nano, test.at)
			if err != nil {
				t.Fatal(err)
			}
			e := by(test.principal, reveal(0, allowed(1)...))
			e.Time = at
			if got := len(tell(detector(t, c), e)) == 1; got != test.out {
				t.Errorf("alarm: %v, want %v", got, test.out)
			}
		})
	}
}
