package exposure_test

import (
	"bytes"
	"cmp"
	"iter"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/exposure"
	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// naive answers a question with maps, one entry after the other.
func naive(q exposure.Query, entries []*audit.Entry, indexes iter.Seq[uint64]) ([]exposure.Row, exposure.Summary) {
	type place struct {
		subject [16]byte
		field   uint32
	}
	rows := map[place]*exposure.Row{}
	var sum exposure.Summary
	names := [3]map[string]exposure.NameCount{{}, {}, {}}
	for index := range indexes {
		e := entries[index]
		sum.Entries++
		if e.Action != audit.ActionReveal ||
			len(q.Principals) > 0 && !slices.Contains(q.Principals, e.Principal) ||
			!q.From.IsZero() && e.Time.Before(q.From) || !q.To.IsZero() && !e.Time.Before(q.To) ||
			q.Match != nil && !q.Match(e.Principal, e.PolicyVersion) {
			continue
		}
		values := uint64(0)
		for _, it := range e.Items {
			if it.Outcome != audit.Allowed || len(q.Fields) > 0 && !slices.Contains(q.Fields, it.Field) {
				continue
			}
			if len(q.KeyVersions) > 0 && !slices.Contains(q.KeyVersions, it.KeyVersion) {
				if it.KeyVersion == 0 {
					sum.VersionUnknown++
				}
				continue
			}
			values++
			p := place{it.Subject, it.Field}
			r := rows[p]
			if r == nil {
				r = &exposure.Row{Subject: it.Subject, Field: it.Field, First: e.Time, Last: e.Time, FirstEntry: index, LastEntry: index}
				rows[p] = r
			}
			r.Count++
			if e.Time.Before(r.First) {
				r.First = e.Time
			}
			if e.Time.After(r.Last) {
				r.Last = e.Time
			}
			r.FirstEntry, r.LastEntry = min(r.FirstEntry, index), max(r.LastEntry, index)
			r.Views = append(r.Views, e.View)
			r.Principals = append(r.Principals, e.Principal)
			r.Purposes = append(r.Purposes, e.Purpose)
		}
		if values == 0 {
			continue
		}
		sum.Matching++
		sum.Values += values
		if sum.First.IsZero() || e.Time.Before(sum.First) {
			sum.First = e.Time
		}
		if e.Time.After(sum.Last) {
			sum.Last = e.Time
		}
		for i, name := range []string{e.Principal, e.Purpose, e.View} {
			c := names[i][name]
			names[i][name] = exposure.NameCount{Name: name, Entries: c.Entries + 1, Values: c.Values + values}
		}
	}
	var list []exposure.Row
	fields := map[uint32]exposure.FieldCount{}
	subjects := map[[16]byte]bool{}
	for _, r := range rows {
		for _, l := range []*[]string{&r.Views, &r.Principals, &r.Purposes} {
			slices.Sort(*l)
			*l = slices.Compact(*l)
		}
		list = append(list, *r)
		subjects[r.Subject] = true
		f := fields[r.Field]
		fields[r.Field] = exposure.FieldCount{Field: r.Field, Subjects: f.Subjects + 1, Values: f.Values + r.Count}
	}
	slices.SortFunc(list, func(a, b exposure.Row) int {
		return cmp.Or(bytes.Compare(a.Subject[:], b.Subject[:]), cmp.Compare(a.Field, b.Field))
	})
	sum.Subjects, sum.Rows = uint64(len(subjects)), uint64(len(list))
	for i, to := range []*[]exposure.NameCount{&sum.Principals, &sum.Purposes, &sum.Views} {
		*to = slices.SortedFunc(maps.Values(names[i]), func(a, b exposure.NameCount) int {
			return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Name, b.Name))
		})
	}
	sum.Fields = slices.SortedFunc(maps.Values(fields), func(a, b exposure.FieldCount) int {
		return cmp.Or(cmp.Compare(b.Values, a.Values), cmp.Compare(a.Field, b.Field))
	})
	return list, sum
}

var start = time.Date(2026, 3, 9, 12, 0, 0, 0, time.UTC)

// entries draws entries that often meet the questions below. Time does not rise.
func entries() *rapid.Generator[*audit.Entry] {
	item := rapid.Custom(func(t *rapid.T) audit.Item {
		it := audit.Item{
			Field:      rapid.Uint32Range(1, 3).Draw(t, "field"),
			Item:       rapid.Uint16Range(0, 1).Draw(t, "item"),
			Outcome:    rapid.SampledFrom([]audit.Outcome{audit.Allowed, audit.Allowed, audit.Refused}).Draw(t, "outcome"),
			KeyVersion: rapid.Uint16Range(0, 2).Draw(t, "version"),
		}
		it.Subject[0] = rapid.SampledFrom([]byte{0, 1, 255}).Draw(t, "shard")
		it.Subject[7] = rapid.ByteRange(0, 2).Draw(t, "subject")
		it.Subject[15] = rapid.ByteRange(0, 1).Draw(t, "end")
		return it
	})
	return rapid.Custom(func(t *rapid.T) *audit.Entry {
		return &audit.Entry{
			Time:          start.Add(time.Duration(rapid.IntRange(0, 9).Draw(t, "seconds")) * time.Second),
			Action:        rapid.SampledFrom([]audit.Action{audit.ActionReveal, audit.ActionReveal, audit.ActionRead, audit.ActionUpdate}).Draw(t, "action"),
			Principal:     rapid.SampledFrom([]string{"alpha", "beta", "gamma"}).Draw(t, "principal"),
			Purpose:       rapid.SampledFrom([]string{"", "billing", "delivery"}).Draw(t, "purpose"),
			View:          rapid.SampledFrom([]string{"masked", "plain"}).Draw(t, "view"),
			PolicyVersion: rapid.Uint64Range(1, 3).Draw(t, "policy"),
			Outcome:       audit.Mixed,
			Items:         rapid.SliceOfN(item, 0, 6).Draw(t, "items"),
		}
	})
}

func questions() *rapid.Generator[exposure.Query] {
	return rapid.Custom(func(t *rapid.T) exposure.Query {
		var q exposure.Query
		q.Principals = rapid.SliceOfN(rapid.SampledFrom([]string{"alpha", "beta", "delta"}), 0, 2).Draw(t, "principals")
		q.Fields = rapid.SliceOfN(rapid.Uint32Range(1, 4), 0, 2).Draw(t, "fields")
		if len(q.Fields) == 1 {
			q.KeyVersions = rapid.SliceOfN(rapid.Uint16Range(0, 3), 0, 2).Draw(t, "versions")
		}
		if rapid.Bool().Draw(t, "has from") {
			q.From = start.Add(time.Duration(rapid.IntRange(0, 5).Draw(t, "from")) * time.Second)
		}
		if rapid.Bool().Draw(t, "has to") {
			q.To = start.Add(time.Duration(rapid.IntRange(6, 10).Draw(t, "to")) * time.Second)
		}
		if rapid.Bool().Draw(t, "has match") {
			version := rapid.Uint64Range(1, 3).Draw(t, "policy of the role")
			q.Match = func(principal string, v uint64) bool { return principal != "gamma" && v == version }
		}
		return q
	})
}

// upTo yields 0 to before n.
func upTo(n int) iter.Seq[uint64] {
	return func(yield func(uint64) bool) {
		for i := range uint64(n) {
			if !yield(i) {
				return
			}
		}
	}
}

func TestAllWaysGiveTheNaiveAnswer(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		list := rapid.SliceOfN(entries(), 1, 60).Draw(t, "entries")
		q := questions().Draw(t, "question")
		if err := q.Validate(); err != nil {
			t.Fatal(err)
		}
		wantRows, wantSum := naive(q, list, upTo(len(list)))
		wantSum.End = uint64(len(list))
		check := func(way string, tally *exposure.Tally, err error) {
			t.Helper()
			if err != nil {
				t.Fatalf("%s: %v", way, err)
			}
			if d := gocmp.Diff(wantSum, tally.Summary()); d != "" {
				t.Fatalf("%s: summary (-want +got):\n%s", way, d)
			}
			if d := gocmp.Diff(wantRows, slices.Collect(tally.Rows())); d != "" {
				t.Fatalf("%s: rows (-want +got):\n%s", way, d)
			}
		}

		// One after the other, with a look in the middle.
		one := exposure.New(q)
		middle := rapid.IntRange(0, len(list)).Draw(t, "middle")
		var err error
		for i, e := range list {
			if i == middle {
				_ = one.Summary()
			}
			if err = one.Add(uint64(i), e); err != nil {
				break
			}
		}
		check("add", one, err)

		// Any parts, merged.
		parts := make([]*exposure.Tally, rapid.IntRange(1, 4).Draw(t, "parts"))
		for i := range parts {
			parts[i] = exposure.New(q)
		}
		for i, e := range list {
			if err := parts[rapid.IntRange(0, len(parts)-1).Draw(t, "part")].Add(uint64(i), e); err != nil {
				t.Fatal(err)
			}
		}
		for _, p := range parts[1:] {
			rows, sum := slices.Collect(p.Rows()), p.Summary()
			if err = parts[0].Merge(p); err != nil {
				break
			}
			if gocmp.Diff(rows, slices.Collect(p.Rows())) != "" || gocmp.Diff(sum, p.Summary()) != "" {
				t.Fatal("what was merged has changed")
			}
		}
		check("merge", parts[0], err)

		// Parts of a log at once.
		log := logOf(t, list)
		workers := rapid.IntRange(1, 3).Draw(t, "workers")
		all, err := exposure.ScanSmall(t.Context(), log, q, nil, workers)
		check("scan", all, err)

		// Chosen entries of it, read alone or with those between.
		chosen := slices.Collect(upTo(len(list)))
		chosen = slices.DeleteFunc(chosen, func(uint64) bool { return rapid.Bool().Draw(t, "left out") })
		wantRows, wantSum = naive(q, list, slices.Values(chosen))
		wantSum.End = uint64(len(list))
		some, err := exposure.ScanSmall(t.Context(), log, q, slices.Values(chosen), workers)
		check("candidates", some, err)
		some, err = exposure.ScanSmall(t.Context(), picking{log}, q, slices.Values(chosen), workers)
		check("candidates read alone", some, err)
	})
}
