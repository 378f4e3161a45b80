package exposure

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Summary is what the rows of a tally add up to.
type Summary struct {
	// Begin and End say which part of the log was asked: the entries from Begin
	// to before End. After a scan Begin is also the number of entries that the
	// log's retention removed before, of which nothing can be said. For a tally
	// made with Add alone they enclose the entries that were added.
	Begin, End uint64
	// Entries is how many entries were looked at: fewer than End-Begin if the
	// scan had candidates.
	Entries uint64
	// Matching is how many of these have at least one reveal that counts.
	Matching uint64
	// Subjects is the number of different subjects, Rows that of rows: different
	// subjects and fields.
	Subjects, Rows uint64
	// Values is the number of reveals: the sum of the rows' Count.
	Values uint64
	// VersionUnknown is how many reveals were left out only because the log
	// does not know the key version. It is 0 unless versions were asked for.
	VersionUnknown uint64
	// Excepted is how many reveals were left out only because of Query.Except.
	Excepted uint64
	// First and Last are the least and greatest times of matching entries; zero
	// if there are none.
	First, Last time.Time
	// Principals, Purposes and Views come by falling Values, then by name.
	Principals, Purposes, Views []NameCount
	// Fields come by falling Values, then by number.
	Fields []FieldCount
}

// NameCount says how often a name stands in matching entries.
type NameCount struct {
	Name    string
	Entries uint64 // matching entries
	Values  uint64 // reveals in them
}

// FieldCount says how often a field was revealed.
type FieldCount struct {
	Field    uint32
	Subjects uint64 // different subjects
	Values   uint64 // reveals
}

// Summary adds up. It looks at every row.
func (t *Tally) Summary() Summary {
	c := &t.part
	s := Summary{
		Begin: c.begin, End: c.end, Entries: c.entries, Matching: c.matching,
		VersionUnknown: c.unknown, Excepted: c.excepted, First: instant(c.first), Last: instant(c.last),
	}
	fields := make(map[uint32]*FieldCount)
	for i := range t.grid.shards {
		s.add(&t.grid.shards[i], fields)
	}
	for _, f := range fields {
		s.Fields = append(s.Fields, *f)
	}
	slices.SortFunc(s.Fields, func(a, b FieldCount) int {
		return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Field, b.Field))
	})
	s.Principals = t.byName(func(l label) string { return l.principal })
	s.Purposes = t.byName(func(l label) string { return l.purpose })
	s.Views = t.byName(func(l label) string { return l.view })
	return s
}

// add adds the rows of a shard. The rows of a subject are all in one, and
// stand together in its order.
func (s *Summary) add(sh *shard, fields map[uint32]*FieldCount) {
	var before *row
	for _, number := range sh.sorted() {
		r := sh.row(number)
		if before == nil || before.subject != r.subject {
			s.Subjects++
		}
		before = r
		s.Rows++
		s.Values += r.count
		f := fields[r.field]
		if f == nil {
			f = &FieldCount{Field: r.field}
			fields[r.field] = f
		}
		f.Subjects++
		f.Values += r.count
	}
}

// byName adds up the combinations that have a name in common.
func (t *Tally) byName(name func(label) string) []NameCount {
	sums := make(map[string]NameCount)
	for id, l := range t.grid.labels.all() {
		c := sums[name(l)]
		c.Name = name(l)
		c.Entries += t.part.names[id].entries
		c.Values += t.part.names[id].values
		sums[c.Name] = c
	}
	return slices.SortedFunc(maps.Values(sums), func(a, b NameCount) int {
		return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Name, b.Name))
	})
}
