package breach

import (
	"slices"
	"strings"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// notifyWithin is the time that Article 33(1) gives for notifying the
// authority.
const notifyWithin = 72 * time.Hour

// Facts are what is known of an incident, but for its persons.
type Facts struct {
	// Query is what was asked.
	Query cloakroom.ExposureQuery
	// Summary is what was answered.
	Summary cloakroom.ExposureSummary
	// Freezes are those in force; without meaning unless FreezesKnown.
	Freezes []cloakroom.ActiveFreeze
	// FreezesKnown says whether Freezes could be read.
	FreezesKnown bool
	// Categories has the category of each field, such as "user.contact.email", by
	// "collection.field". Fields may be missing.
	Categories map[string]string
	// Discovered is when the controller became aware.
	Discovered time.Time
	// Made is when the files are written.
	Made time.Time
	// Contact is whom to ask; empty when it is to be filled in.
	Contact string
	// Language is one of Languages.
	Language string
}

// Deadline is when the authority must be notified.
func (f *Facts) Deadline() time.Time { return f.Discovered.Add(notifyWithin).UTC() }

// person is one of those affected.
type person struct {
	number     uint64
	id, handle string
	rows       []cloakroom.ExposureRow
}

// first, last, reveals and views add up the rows.
func (p *person) first() time.Time {
	return slices.MinFunc(p.rows, func(a, b cloakroom.ExposureRow) int { return a.FirstTime.Compare(b.FirstTime) }).FirstTime
}

func (p *person) last() time.Time {
	return slices.MaxFunc(p.rows, func(a, b cloakroom.ExposureRow) int { return a.LastTime.Compare(b.LastTime) }).LastTime
}

func (p *person) reveals() (n uint64) {
	for _, r := range p.rows {
		n += r.Reveals
	}
	return n
}

func (p *person) views() []string {
	var views []string
	for _, r := range p.rows {
		views = append(views, r.Views...)
	}
	slices.Sort(views)
	return slices.Compact(views)
}

func (p *person) fields() []string {
	fields := make([]string, len(p.rows))
	for i, r := range p.rows {
		fields[i] = r.Field
	}
	return fields
}

// records counts the collections in which data of the person was revealed.
func (p *person) records() uint64 {
	var collections []string
	for _, r := range p.rows {
		collection, _, _ := strings.Cut(r.Field, ".")
		if !slices.Contains(collections, collection) {
			collections = append(collections, collection)
		}
	}
	return uint64(len(collections))
}

// tally is what the persons add up to.
type tally struct {
	persons, erased, records, reveals uint64

	fields map[string]fieldTally
}

type fieldTally struct{ persons, reveals uint64 }

func (t *tally) add(p *person) {
	t.persons++
	if p.id == "" {
		t.erased++
	}
	t.records += p.records()
	for _, r := range p.rows {
		t.reveals += r.Reveals
		f := t.fields[r.Field]
		f.persons++
		f.reveals += r.Reveals
		t.fields[r.Field] = f
	}
}
