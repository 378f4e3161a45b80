package policy

import (
	"errors"
	"regexp"
	"regexp/syntax"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

func (r *reader) field(n *yaml.Node, path string) fieldSpec {
	m := r.mapping(n, path, "name", "type", "category", "purposes", "max_length", "pattern", "mask", "scale",
		"multi", "retention", "renamed_from")
	f := fieldSpec{
		place:       place{n.Line, path},
		Name:        m.name("name", true),
		Type:        m.oneOf("type", true, datatype.Names()),
		Category:    m.category("category"),
		Purposes:    m.refs("purposes"),
		MaxLength:   m.integer("max_length", 1, datatype.MaxInput),
		Pattern:     m.word("pattern"),
		Scale:       m.integer("scale", 1, datatype.MaxScale),
		Multi:       m.integer("multi", 1, MaxItems),
		RenamedFrom: m.name("renamed_from", false),
	}
	m.filled("purposes", len(f.Purposes), "a field is kept for at least one purpose")
	f.Retention, f.retentionDays = m.days("retention")
	if f.Multi == 1 {
		f.Multi = 0 // the default has one spelling
	}
	if f.Type != "" {
		if n := m.values["mask"]; n != nil && (n.Kind != yaml.ScalarNode || n.Value != "") {
			f.Mask = m.oneOf("mask", false, datatype.Masks(f.Type))
		}
		f.compiled = m.compiled(&f)
	}
	return f
}

// compiled returns the field's type, or nil after noting what is wrong with
// its settings.
func (m mapping) compiled(f *fieldSpec) *datatype.Type {
	t, err := datatype.Compile(datatype.Spec{
		Type: f.Type, MaxLength: f.MaxLength, Pattern: f.Pattern, Mask: f.Mask, Scale: f.Scale,
	})
	if err == nil {
		return t
	}
	key := "type"
	switch {
	case errors.Is(err, datatype.ErrLength):
		key = "max_length"
	case errors.Is(err, datatype.ErrPattern):
		key = "pattern"
	case errors.Is(err, datatype.ErrMask):
		key = "mask"
	case errors.Is(err, datatype.ErrScale):
		key = "scale"
	}
	line := m.line
	if n := m.values[key]; n != nil {
		line = n.Line
	}
	message := err.Error()
	if in := (*syntax.Error)(nil); errors.As(err, &in) {
		message = "not a regular expression (RE2): " + in.Code.String() // without the part of it that is wrong
	}
	m.r.add(line, m.in(key), "%s", message)
	return nil
}

var wholeDays = regexp.MustCompile(`^[1-9][0-9]{0,4}d$`)

// days reads an optional number of days such as 730d.
func (m mapping) days(key string) (string, int) {
	n := m.values[key]
	if n == nil {
		return "", 0
	}
	s, ok := m.r.scalar(n, m.in(key), "!!str", "a number of days such as 730d")
	if !ok {
		return "", 0
	}
	days := 0
	if wholeDays.MatchString(s) {
		days, _ = strconv.Atoi(strings.TrimSuffix(s, "d"))
	}
	if days == 0 || days > MaxRetention {
		m.r.add(n.Line, m.in(key), "want a number of days such as 730d, at most %dd", MaxRetention)
		return "", 0
	}
	return s, days
}
