package policy

import (
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

func (r *reader) purposes(top mapping) []purposeSpec {
	var list []purposeSpec
	top.each("purposes", func(n *yaml.Node, path string) {
		m := r.mapping(n, path, "name", "basis", "channel", "text", "renamed_from")
		list = append(list, purposeSpec{
			place:       place{n.Line, path},
			Name:        m.name("name", true),
			Basis:       m.oneOf("basis", true, basisNames[:]),
			Channel:     m.oneOf("channel", false, channelNames[ChannelEmail:]),
			Text:        r.texts(m),
			RenamedFrom: m.name("renamed_from", false),
		})
	})
	r.atMost(top, "purposes", len(list), MaxPurposes)
	return list
}

// texts reads the plain-language texts of a purpose: at least one, each under
// its BCP 47 language tag in canonical form.
func (r *reader) texts(m mapping) map[string]string {
	n, path := m.need("text"), m.in("text")
	if n == nil {
		return nil
	}
	if n.Kind != yaml.MappingNode {
		r.add(n.Line, path, "want languages with texts, not %s", kindOf(n))
		return nil
	}
	if len(n.Content) == 0 {
		r.add(n.Line, path, "empty: a purpose is explained in at least one language")
	}
	texts := map[string]string{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		tag, err := language.Parse(key.Value)
		if key.Kind != yaml.ScalarNode || key.ShortTag() != "!!str" || err != nil || tag == language.Und {
			r.add(key.Line, path, "a key is no BCP 47 language tag such as en or pt-BR")
			continue
		}
		name := tag.String()
		if _, twice := texts[name]; twice {
			r.add(key.Line, join(path, name), "the language stands here twice")
			continue
		}
		texts[name] = r.prose(value, join(path, name), maxProse)
	}
	return texts
}

func (r *reader) domains(top mapping) []domainSpec {
	var list []domainSpec
	top.each("domains", func(n *yaml.Node, path string) {
		m := r.mapping(n, path, "name", "renamed_from")
		d := domainSpec{
			place:       place{n.Line, path},
			Name:        m.name("name", true),
			RenamedFrom: m.name("renamed_from", false),
		}
		if d.RenamedFrom != "" && (d.Name == DefaultDomainName || d.RenamedFrom == DefaultDomainName) {
			r.add(m.values["renamed_from"].Line, m.in("renamed_from"), "the default domain is not renamed")
		}
		list = append(list, d)
	})
	r.atMost(top, "domains", len(list), MaxDomains-1)
	return list
}

func (r *reader) collections(top mapping) []collectionSpec {
	var list []collectionSpec
	fields := 0
	top.each("collections", func(n *yaml.Node, path string) {
		m := r.mapping(n, path, "name", "renamed_from", "fields")
		c := collectionSpec{
			place:       place{n.Line, path},
			Name:        m.name("name", true),
			RenamedFrom: m.name("renamed_from", false),
		}
		m.each("fields", func(n *yaml.Node, path string) { c.Fields = append(c.Fields, r.field(n, path)) })
		m.filled("fields", len(c.Fields), "a collection has at least one field")
		fields += len(c.Fields)
		list = append(list, c)
	})
	r.atMost(top, "collections", len(list), MaxCollections)
	if fields > MaxFields {
		r.add(top.values["collections"].Line, "collections", "more than %d fields in all", MaxFields)
	}
	return list
}

func (r *reader) field(n *yaml.Node, path string) fieldSpec {
	m := r.mapping(n, path, "name", "type", "category", "purposes", "max_length", "pattern", "mask", "scale",
		"multi", "retention", "renamed_from")
	f := fieldSpec{
		place:       place{n.Line, path},
		Name:        m.name("name", true),
		Type:        m.oneOf("type", true, datatype.Names()),
		Category:    m.category("category"),
		Purposes:    m.refs("purposes"),
		MaxLength:   m.integer("max_length", 1, 1<<20),
		Pattern:     m.word("pattern", maxPattern),
		Mask:        m.word("mask", maxName),
		Scale:       m.integer("scale", 1, 100),
		Multi:       m.integer("multi", 1, MaxItems),
		RenamedFrom: m.name("renamed_from", false),
	}
	m.filled("purposes", len(f.Purposes), "a field is kept for at least one purpose")
	f.Retention, f.retentionDays = m.days("retention")
	if f.Multi == 1 {
		f.Multi = 0 // the default has one spelling
	}
	if f.Type != "" {
		compiled, err := datatype.Compile(datatype.Spec{
			Type: f.Type, MaxLength: f.MaxLength, Pattern: f.Pattern, Mask: f.Mask, Scale: f.Scale,
		})
		if err != nil {
			r.add(n.Line, path, "%s", strings.ReplaceAll(err.Error(), "\n", " "))
		}
		f.compiled = compiled
	}
	return f
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

func (r *reader) atMost(top mapping, key string, length, limit int) {
	if length > limit {
		r.add(top.values[key].Line, key, "more than %d entries", limit)
	}
}
