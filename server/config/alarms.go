package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones have the same names on every machine
	"unicode"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/vault/alarm"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Limits of the alarms.
const (
	MaxWebhooks   = 16
	MaxHours      = 64 // elements of hours
	MaxPrincipals = 64 // of one element

	minWithin = time.Second
	maxWithin = 24 * time.Hour
	maxFactor = 1_000_000
	day       = 24 * time.Hour
)

// Alarms says when alarms are raised and where they are posted; what the rules
// mean is told in vault/alarm.
type Alarms struct {
	Webhooks      []Webhook
	UnknownTokens Series
	Refusals      Series
	Persons       Persons
	Hours         []Hours
}

// Webhook is a place to which alarms are posted; see server/sink/webhook.
type Webhook struct {
	Name       string // unique among the webhooks, in the form of Sink.Name
	URL        string // https, or http to this machine
	SecretFile string // mode 0600 or 0400
	CA         string // authorities in PEM; empty: the system's
}

// Series is Count items of one caller within a time.
type Series struct {
	Count  int
	Within time.Duration
}

// Persons is how many people one caller reveals in an hour: more than Floor,
// and more than Factor times its usual.
type Persons struct {
	Floor  int
	Factor float64
}

// Hours says when principals may reveal.
type Hours struct {
	Principals []string // names, or beginnings of names and a *
	Days       []time.Weekday
	// From and To are times of day since midnight. To is after From, or on the
	// next day.
	From, To time.Duration
	Zone     string // time.LoadLocation takes it
}

func defaultAlarms() Alarms {
	d := alarm.Defaults()
	return Alarms{
		UnknownTokens: Series(d.UnknownTokens),
		Refusals:      Series(d.Refusals),
		Persons:       Persons(d.Persons),
	}
}

func (r reader) alarms(n *yaml.Node) {
	a := &r.c.Alarms
	s := r.section(n, "alarms", "webhooks", "unknown_tokens", "refusals", "persons", "hours")
	taken := map[string]bool{}
	for i, n := range r.elements(s.values["webhooks"], "alarms.webhooks", MaxWebhooks) {
		s := r.section(n, fmt.Sprintf("alarms.webhooks[%d]", i), "name", "url", "secret_file", "ca")
		a.Webhooks = append(a.Webhooks, Webhook{
			Name:       r.name(s, taken),
			URL:        r.url(s, "url", "where alarms are posted"),
			SecretFile: r.path(s, "secret_file", "the path of the file with the secret that signs"),
			CA:         r.optionalPath(s, "ca"),
		})
	}
	a.UnknownTokens = r.series(s, "unknown_tokens", a.UnknownTokens)
	a.Refusals = r.series(s, "refusals", a.Refusals)
	persons := r.section(s.values["persons"], s.in("persons"), "floor", "factor")
	a.Persons.Floor = r.integer(persons, "floor", a.Persons.Floor, 1, alarm.MaxPersons)
	a.Persons.Factor = r.factor(persons, "factor", a.Persons.Factor)
	for i, n := range r.elements(s.values["hours"], "alarms.hours", MaxHours) {
		s := r.section(n, fmt.Sprintf("alarms.hours[%d]", i), "principals", "days", "from", "to", "zone")
		a.Hours = append(a.Hours, r.hours(s))
	}
}

func (r reader) series(s section, key string, otherwise Series) Series {
	s = r.section(s.values[key], s.in(key), "count", "within")
	return Series{
		Count:  r.integer(s, "count", otherwise.Count, 1, alarm.MaxCount),
		Within: r.duration(s, "within", otherwise.Within, minWithin, maxWithin),
	}
}

var plainNumber = regexp.MustCompile(`^[1-9][0-9]{0,6}(\.[0-9]{1,6})?$`)

// factor reads a number that may have a point.
func (r reader) factor(s section, key string, otherwise float64) float64 {
	n := s.values[key]
	if n == nil {
		return otherwise
	}
	const want = "want a number from 1 to 1000000, such as 10 or 2.5"
	tag := "!!int"
	if n.ShortTag() == "!!float" {
		tag = "!!float"
	}
	text, ok := s.scalar(n, key, tag, "a number")
	if !ok {
		return otherwise
	}
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || !plainNumber.MatchString(text) || f > maxFactor {
		r.add(n.Line, s.in(key), want)
		return otherwise
	}
	return f
}

func numberText(f float64) string { return strconv.FormatFloat(f, 'f', -1, 64) }

func (r reader) hours(s section) (h Hours) {
	principals := r.elements(s.need("principals", "for whom the hours hold"), s.in("principals"), MaxPrincipals)
	for _, n := range principals {
		if text, ok := s.scalar(n, "principals", "!!str", "a principal"); ok && r.principal(n, s.in("principals"), text) {
			h.Principals = append(h.Principals, text)
		}
	}
	if n := s.values["principals"]; n != nil && n.Kind == yaml.SequenceNode && len(n.Content) == 0 {
		r.add(n.Line, s.in("principals"), "the list is empty")
	}
	h.Days = r.days(s)
	h.From = r.clock(s, "from", "00:00", "23:59")
	h.To = r.clock(s, "to", "00:01", "24:00")
	if h.From >= 0 && h.From == h.To {
		r.add(s.values["to"].Line, s.in("to"), "must differ from the beginning; 00:00 to 24:00 is the whole day")
	}
	h.Zone = "UTC"
	n := s.values["zone"]
	if text, ok := s.scalar(n, "zone", "!!str", "a time zone"); ok {
		// The machine's own zone is another one elsewhere, so it is not a name here.
		if _, err := time.LoadLocation(text); err != nil || text == "" || text == "Local" {
			r.add(n.Line, s.in("zone"), "want a time zone of the IANA database, such as Europe/Madrid")
		} else {
			h.Zone = text
		}
	}
	return h
}

func (r reader) principal(n *yaml.Node, path, text string) bool {
	switch {
	case text == "":
		r.add(n.Line, path, "a principal is empty")
	case len(text) > audit.MaxPrincipalLen:
		r.add(n.Line, path, "a principal has more than %d bytes", audit.MaxPrincipalLen)
	case strings.ContainsFunc(text, unicode.IsControl):
		r.add(n.Line, path, "a principal holds a control character")
	case strings.Contains(text[:len(text)-1], "*"):
		r.add(n.Line, path, "a * may only stand at the end of a principal")
	default:
		return true
	}
	return false
}

// week is the names of days, as people of most countries count them.
func week() []string { return []string{"mon", "tue", "wed", "thu", "fri", "sat", "sun"} }

func dayName(d time.Weekday) string { return week()[(d+6)%7] }

// days reads days and ranges of them.
func (r reader) days(s section) (days []time.Weekday) {
	list := s.need("days", "the days on which the hours begin")
	for _, n := range r.elements(list, s.in("days"), len(week())) {
		text, ok := s.scalar(n, "days", "!!str", "a day")
		if !ok {
			continue
		}
		first, last, ranged := strings.Cut(text, "..")
		if !ranged {
			last = first
		}
		from, to := slices.Index(week(), first), slices.Index(week(), last)
		if from < 0 || to < 0 {
			r.add(n.Line, s.in("days"), "want mon, tue, wed, thu, fri, sat, sun, or a range such as mon..fri")
			continue
		}
		for i := from; ; i = (i + 1) % 7 {
			d := time.Weekday((i + 1) % 7)
			if slices.Contains(days, d) {
				r.add(n.Line, s.in("days"), "a day stands here twice")
				break
			}
			days = append(days, d)
			if i == to {
				break
			}
		}
	}
	if list != nil && list.Kind == yaml.SequenceNode && len(list.Content) == 0 {
		r.add(list.Line, s.in("days"), "the list is empty")
	}
	return days
}

var clockForm = regexp.MustCompile(`^([01][0-9]|2[0-4]):[0-5][0-9]$`)

// clock reads a time of day; -1 is none.
func (r reader) clock(s section, key, least, most string) time.Duration {
	n := s.need(key, "a time of day such as 08:00")
	text, ok := s.scalar(n, key, "!!str", "a time of day such as 08:00")
	if !ok {
		return -1
	}
	// Texts of this form sort like times.
	if !clockForm.MatchString(text) || text < least || text > most {
		r.add(n.Line, s.in(key), "want a time of day from %s to %s", least, most)
		return -1
	}
	hours, _ := strconv.Atoi(text[:2])
	minutes, _ := strconv.Atoi(text[3:])
	return time.Duration(hours)*time.Hour + time.Duration(minutes)*time.Minute
}

func clockText(d time.Duration) string {
	return fmt.Sprintf("%02d:%02d", int(d/time.Hour), int(d%time.Hour/time.Minute))
}
