package breach

import (
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// authorityJSON is the form of authority.json. Names are never changed or
// removed, new ones may come. An empty text is to be filled in.
type authorityJSON struct {
	Format     int       `json:"format"`
	Made       time.Time `json:"made"`
	Discovered time.Time `json:"discovered"`
	Deadline   time.Time `json:"deadline"`

	Nature       natureJSON   `json:"nature"`
	Fields       []fieldJSON  `json:"fields"`
	Contact      string       `json:"contact"`
	Consequences string       `json:"likely_consequences"`
	Measures     measuresJSON `json:"measures"`
	Limits       limitsJSON   `json:"limits"`
}

type natureJSON struct {
	Description string       `json:"description"`
	Criteria    criteriaJSON `json:"criteria"`
	FirstTime   *time.Time   `json:"first_time"`
	LastTime    *time.Time   `json:"last_time"`
	// Persons and Records are approximate, and at most so many.
	Persons    uint64      `json:"persons"`
	Erased     uint64      `json:"persons_erased_since"`
	Records    uint64      `json:"records"`
	Reveals    uint64      `json:"values_revealed"`
	Principals []countJSON `json:"principals"`
	Purposes   []countJSON `json:"purposes"`
	Views      []countJSON `json:"views"`
}

type criteriaJSON struct {
	Principals  []string   `json:"principals"`
	Roles       []string   `json:"roles"`
	Fields      []string   `json:"fields"`
	KeyVersions []uint32   `json:"key_versions"`
	Since       *time.Time `json:"since"`
	Until       *time.Time `json:"until"`
	Reason      string     `json:"reason"`
}

type countJSON struct {
	Name    string `json:"name"`
	Reveals uint64 `json:"reveals"`
}

type fieldJSON struct {
	Field string `json:"field"`
	// Category is empty when it is not known.
	Category string `json:"category"`
	Name     string `json:"name"`
	Persons  uint64 `json:"persons"`
	Reveals  uint64 `json:"values_revealed"`
}

type measuresJSON struct {
	// FreezesKnown says whether Freezes could be read.
	FreezesKnown bool         `json:"freezes_known"`
	Freezes      []freezeJSON `json:"freezes_in_force"`
	Description  string       `json:"description"`
}

type freezeJSON struct {
	ID       uint64    `json:"id"`
	Kind     string    `json:"kind"`
	Target   string    `json:"target"`
	Reason   string    `json:"reason"`
	FrozenBy string    `json:"frozen_by"`
	Time     time.Time `json:"freeze_time"`
	// UnknownPrincipal says that the policy names no such principal.
	UnknownPrincipal bool `json:"unknown_principal"`
}

type limitsJSON struct {
	UpperBound     bool      `json:"upper_bound"`
	AsOf           time.Time `json:"log_read"`
	FirstIndex     uint64    `json:"log_first_index"`
	EndIndex       uint64    `json:"log_end_index"`
	MissingEntries uint64    `json:"log_entries_missing"`
	VersionUnknown uint64    `json:"reveals_of_unknown_key_version"`
}

// authority gathers what both files for the authority say.
func authority(f *Facts, l *language, t *tally) authorityJSON {
	s := f.Summary
	out := authorityJSON{
		Format: 1, Made: f.Made.UTC(), Discovered: f.Discovered.UTC(), Deadline: f.Deadline(),
		Nature: natureJSON{
			Criteria: criteriaJSON{
				list(f.Query.Principals), list(f.Query.Roles), list(f.Query.Fields), append([]uint32{}, f.Query.KeyVersions...),
				moment(f.Query.Since), moment(f.Query.Until), f.Query.Reason,
			},
			FirstTime: moment(s.FirstTime), LastTime: moment(s.LastTime),
			Persons: t.persons, Erased: t.erased, Records: t.records, Reveals: t.reveals,
			Principals: counts(s.Principals), Purposes: counts(s.Purposes), Views: counts(s.Views),
		},
		Fields: []fieldJSON{}, Contact: f.Contact,
		Measures: measuresJSON{FreezesKnown: f.FreezesKnown, Freezes: []freezeJSON{}},
		Limits:   limitsJSON{true, s.AsOf.UTC(), s.FirstIndex, s.EndIndex, s.MissingEntries, s.VersionUnknown},
	}
	for _, name := range slices.Sorted(maps.Keys(t.fields)) {
		c := f.Categories[name]
		out.Fields = append(out.Fields, fieldJSON{name, c, l.name(name, c), t.fields[name].persons, t.fields[name].reveals})
	}
	for _, z := range f.Freezes {
		out.Measures.Freezes = append(out.Measures.Freezes, freezeJSON{z.ID, string(z.Kind), z.Target, z.Reason, z.FrozenBy, z.Time.UTC(), z.UnknownPrincipal})
	}
	return out
}

func writeAuthorityJSON(w io.Writer, a *authorityJSON) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(a)
}

func list(s []string) []string { return append([]string{}, s...) }

// moment returns nil for the zero time.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func counts(in []cloakroom.ExposureCount) []countJSON {
	out := make([]countJSON, len(in))
	for i, c := range in {
		out[i] = countJSON(c)
	}
	return out
}
