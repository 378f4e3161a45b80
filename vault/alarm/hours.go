package alarm

import (
	"slices"
	"strings"
	"time"
)

// Hours declares when principals may be expected to reveal. A principal that is
// named by several elements may reveal in the hours of any of them; one that is
// named by none may reveal at all times.
type Hours struct {
	// Principals are names, or beginnings of names followed by "*".
	Principals []string
	// Days are the days of the week on which the hours begin.
	Days []time.Weekday
	// From is when the hours begin, To the first moment after them, as read from
	// a clock on the wall (time since midnight, also on days on which the clock is
	// changed): From is 0 to under 24 hours, To over 0 to 24 hours. With To before
	// From the hours end on the next day.
	From, To time.Duration
	// Location is where the clock hangs; nil is UTC.
	Location *time.Location
}

const day = 24 * time.Hour

func (h *Hours) check(field string, bad func(field, rule string)) {
	if len(h.Principals) == 0 {
		bad(field+".principals", "missing")
	}
	for _, p := range h.Principals {
		if p == "" || strings.Contains(p[:len(p)-1], "*") {
			bad(field+".principals", "must be names, or beginnings of names with one * at the end")
		}
	}
	if len(h.Days) == 0 {
		bad(field+".days", "missing")
	}
	for i, d := range h.Days {
		switch {
		case d < time.Sunday || d > time.Saturday:
			bad(field+".days", "must be days of the week")
		case slices.Contains(h.Days[:i], d):
			bad(field+".days", "has a day twice")
		}
	}
	if h.From < 0 || h.From >= day {
		bad(field+".from", "must be a time of day from 00:00 to 23:59")
	}
	if h.To <= 0 || h.To > day {
		bad(field+".to", "must be a time of day from 00:01 to 24:00")
	}
	if h.From == h.To {
		bad(field+".to", "must differ from the beginning")
	}
}

// names reports whether the hours are declared for the principal.
func (h *Hours) names(principal string) bool {
	return slices.ContainsFunc(h.Principals, func(p string) bool {
		if begin, ok := strings.CutSuffix(p, "*"); ok {
			return strings.HasPrefix(principal, begin)
		}
		return p == principal
	})
}

// hold reports whether t is within the hours.
func (h *Hours) hold(t time.Time) bool {
	location := h.Location
	if location == nil {
		location = time.UTC
	}
	t = t.In(location)
	hour, minute, second := t.Clock()
	clock := time.Duration(hour)*time.Hour + time.Duration(minute)*time.Minute +
		time.Duration(second)*time.Second + time.Duration(t.Nanosecond())
	today := t.Weekday()
	if h.From < h.To {
		return clock >= h.From && clock < h.To && slices.Contains(h.Days, today)
	}
	yesterday := (today + 6) % 7
	return clock >= h.From && slices.Contains(h.Days, today) || clock < h.To && slices.Contains(h.Days, yesterday)
}

// hoursOf returns the elements that name the principal.
func (c *Config) hoursOf(principal string) (own []*Hours) {
	for i := range c.Hours {
		if c.Hours[i].names(principal) {
			own = append(own, &c.Hours[i])
		}
	}
	return own
}

// offDuty reports whether hours are declared for a principal and t is in none.
func offDuty(own []*Hours, t time.Time) bool {
	return len(own) > 0 && !slices.ContainsFunc(own, func(h *Hours) bool { return h.hold(t) })
}
