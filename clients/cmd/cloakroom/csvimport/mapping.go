package csvimport

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Source says which columns make the values of a field.
type Source struct {
	// Columns are joined by commas when there are several.
	Columns []string
	// Field is the field of the collection.
	Field string
}

// String returns the form that ParseSource reads.
func (s Source) String() string { return strings.Join(s.Columns, "+") + "=" + s.Field }

// ParseSource reads "column=field" or "column+column=field".
func ParseSource(text string) (Source, error) {
	columns, field, found := strings.Cut(text, "=")
	s := Source{Columns: strings.Split(columns, "+"), Field: strings.TrimSpace(field)}
	for i, column := range s.Columns {
		s.Columns[i] = strings.TrimSpace(column)
	}
	if !found || s.Field == "" || slices.Contains(s.Columns, "") {
		return Source{}, fmt.Errorf("mapping %q is not of the form column=field or column+column=field", text)
	}
	return s, nil
}

// Mapping says what becomes of each column.
type Mapping struct {
	// IDColumn holds the subject's id. Required. It goes to no field unless
	// Sources name it.
	IDColumn string
	// Sources go to fields of other names, or join columns.
	Sources []Source
	// Skip names columns that are left out.
	Skip []string
}

// A HeaderError lists every mistake in a file's header or in the mapping of its
// columns.
type HeaderError struct{ Mistakes []string }

// Error implements error.
func (e *HeaderError) Error() string { return strings.Join(e.Mistakes, "; ") }

// resolved is a mapping with positions instead of names.
type resolved struct {
	id      int
	sources []Source
	columns [][]int // positions of the columns of each source
}

// resolve checks the mapping against the header of a file.
func (m Mapping) resolve(header []string) (resolved, error) {
	if m.IDColumn == "" {
		return resolved{}, errors.New("no column is named for the subject's id")
	}
	r := resolved{id: slices.Index(header, m.IDColumn)}
	if r.id < 0 {
		mistake := fmt.Sprintf("the first row has no column %q for the subject's id", m.IDColumn)
		if len(header) == 1 && strings.ContainsAny(header[0], ";\t|") {
			mistake += " (it has one column only: the separator must be a comma)"
		}
		return resolved{}, &HeaderError{[]string{mistake}}
	}

	var mistakes []string
	note := func(format string, args ...any) { mistakes = append(mistakes, fmt.Sprintf(format, args...)) }
	position := make(map[string]int, len(header))
	for i, name := range header {
		if name == "" {
			note("column %d has no name", i+1)
		} else if first, twice := position[name]; twice {
			note("columns %d and %d are both named %q", first+1, i+1, name)
		} else {
			position[name] = i
		}
	}

	used := map[string]string{}
	if !m.mapped(m.IDColumn) {
		used[m.IDColumn] = "holds the subject's id"
	}
	use := func(column, as string) {
		if _, known := position[column]; !known {
			note("the file has no column %q, which %s", column, as)
		} else if before, twice := used[column]; twice {
			note("column %q %s, and it %s", column, before, as)
		} else {
			used[column] = as
		}
	}
	for _, column := range m.Skip {
		use(column, "is skipped")
	}
	taken := map[string]bool{}
	for _, source := range m.Sources {
		for _, column := range source.Columns {
			use(column, fmt.Sprintf("is mapped to field %q", source.Field))
		}
		taken[source.Field] = true
	}
	r.sources = slices.Clone(m.Sources)
	for _, name := range header {
		if _, done := used[name]; done || name == "" {
			continue
		}
		used[name] = "goes to the field of its name"
		if taken[name] {
			note("column %q is neither mapped nor skipped, but its field already gets another column", name)
		}
		r.sources = append(r.sources, Source{Columns: []string{name}, Field: name})
	}
	if len(r.sources) == 0 {
		note("no column is left to import")
	}
	if len(mistakes) > 0 {
		return resolved{}, &HeaderError{mistakes}
	}
	for _, source := range r.sources {
		var places []int
		for _, column := range source.Columns {
			places = append(places, position[column])
		}
		r.columns = append(r.columns, places)
	}
	return r, nil
}

// mapped says whether a source names the column.
func (m Mapping) mapped(column string) bool {
	return slices.ContainsFunc(m.Sources, func(s Source) bool { return slices.Contains(s.Columns, column) })
}
