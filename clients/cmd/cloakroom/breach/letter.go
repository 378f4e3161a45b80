package breach

import (
	"io"
	"slices"
	"time"
)

// letterText is what the template of a letter sees.
type letterText struct {
	Made      time.Time
	SubjectID string
	First     time.Time
	Last      time.Time
	Reveals   uint64
	Data      []letterData
	Advice    []string
	Contact   string
}

// letterData is one kind of data of a person.
type letterData struct {
	Name, Views string
	First, Last time.Time
	Reveals     uint64
}

// writeLetter writes the letter to a person.
func writeLetter(w io.Writer, f *Facts, l *language, p *person) error {
	text := letterText{
		Made: f.Made, SubjectID: p.id, First: p.first(), Last: p.last(), Reveals: p.reveals(),
		Contact: f.Contact,
	}
	for _, r := range p.rows {
		c := f.Categories[r.Field]
		text.Data = append(text.Data, letterData{l.name(r.Field, c), l.views(r.Views), r.FirstTime, r.LastTime, r.Reveals})
		if entry, found := l.category(c); found && entry.Advice != "" && !slices.Contains(text.Advice, entry.Advice) {
			text.Advice = append(text.Advice, entry.Advice)
		}
	}
	text.Advice = append(text.Advice, l.words.Advice...)
	return l.templates.ExecuteTemplate(w, "letter.tmpl", text)
}

// deadlineText is what the template of the deadline sees.
type deadlineText struct {
	Discovered, Deadline, Made time.Time
	Left                       string
	Over                       bool
}

// writeDeadline writes the deadline and the time left.
func writeDeadline(w io.Writer, f *Facts, l *language) error {
	left := f.Deadline().Sub(f.Made).Truncate(time.Minute)
	text := deadlineText{Discovered: f.Discovered, Deadline: f.Deadline(), Made: f.Made, Over: left < 0}
	text.Left = hoursAndMinutes(max(left, -left))
	return l.templates.ExecuteTemplate(w, "deadline.tmpl", text)
}
