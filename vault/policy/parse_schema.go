package policy

import (
	"go.yaml.in/yaml/v3"
	"golang.org/x/text/language"
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
		r.add(n.Line, path, "want languages with texts, found %s", kindOf(n))
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
	others := 0 // than the default one, which may be listed
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
		if d.Name != DefaultDomainName {
			others++
		}
		list = append(list, d)
	})
	r.atMost(top, "domains", others, MaxDomains-1)
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

func (r *reader) atMost(top mapping, key string, length, limit int) {
	if length > limit {
		r.add(top.values[key].Line, key, "more than %d entries", limit)
	}
}
