package policy

import "slices"

// A decl is what uniqueness and renames are about.
type decl struct {
	place
	name, renamedFrom string
}

func (p *purposeSpec) decl() decl    { return decl{p.place, p.Name, p.RenamedFrom} }
func (d *domainSpec) decl() decl     { return decl{d.place, d.Name, d.RenamedFrom} }
func (c *collectionSpec) decl() decl { return decl{c.place, c.Name, c.RenamedFrom} }
func (f *fieldSpec) decl() decl      { return decl{f.place, f.Name, f.RenamedFrom} }

func decls[T any, P interface {
	*T
	decl() decl
}](list []T) []decl {
	out := make([]decl, len(list))
	for i := range list {
		out[i] = P(&list[i]).decl()
	}
	return out
}

// unique notes names that are declared twice and renames that cannot be meant.
func (r *reader) unique(doc *document) {
	r.declaredOnce(decls(doc.Purposes))
	r.declaredOnce(decls(doc.Domains))
	r.declaredOnce(decls(doc.Collections))
	for i := range doc.Collections {
		r.declaredOnce(decls(doc.Collections[i].Fields))
	}
	var roles, principals []decl
	for i := range doc.Roles {
		roles = append(roles, decl{doc.Roles[i].place, doc.Roles[i].Name, ""})
	}
	r.declaredOnce(roles)
	for i := range doc.Principals {
		principals = append(principals, decl{doc.Principals[i].place, doc.Principals[i].ID, ""})
	}
	r.declaredOnce(principals)
}

func (r *reader) declaredOnce(list []decl) {
	first, former := map[string]decl{}, map[string]decl{}
	for _, d := range list {
		if d.name == "" {
			continue
		}
		if other, twice := first[d.name]; twice {
			r.add(d.line, d.path, "the name%s is declared already in line %d", quote(d.name), other.line)
			continue
		}
		first[d.name] = d
	}
	for _, d := range list {
		if d.renamedFrom == "" {
			continue
		}
		path := join(d.path, "renamed_from")
		if other, still := first[d.renamedFrom]; still {
			r.add(d.line, path, "%q is still declared, in line %d", d.renamedFrom, other.line)
		} else if other, twice := former[d.renamedFrom]; twice {
			r.add(d.line, path, "line %d is renamed from %q already", other.line, d.renamedFrom)
		}
		former[d.renamedFrom] = d
	}
}

// resolve notes references to what is not declared, and rules or parts of
// rules without effect.
func (r *reader) resolve(doc *document) {
	c := doc.catalogue()
	for i := range doc.Collections {
		for j := range doc.Collections[i].Fields {
			r.declared(doc.Collections[i].Fields[j].Purposes, c.purposes, "purpose")
		}
	}
	for i := range doc.Roles {
		for j := range doc.Roles[i].Rules {
			r.resolveRule(&doc.Roles[i].Rules[j], c)
		}
	}
	for i := range doc.Principals {
		r.declared(doc.Principals[i].Roles, c.roles, "role")
	}
}

func (r *reader) resolveRule(ru *ruleSpec, c *catalogue) {
	for _, one := range ru.Fields {
		if one.name != "" && len(c.byName[one.name]) == 0 {
			r.add(one.line, one.path, "no %s is declared", such("field", one.name))
		}
	}
	for _, one := range ru.Categories {
		if one.name != "" && len(c.byCategory[one.name]) == 0 {
			r.add(one.line, one.path, "no %s is given to any field", such("category", one.name))
		}
	}
	r.declared(starless(ru.Purposes), c.purposes, "purpose")
	r.declared(starless(ru.Domains), c.domains, "domain")
	if ru.Effect != effectAllow {
		return // a deny rule may forbid beforehand what no field declares yet
	}
	fields := c.of(ru)
	for _, one := range starless(ru.Purposes) {
		used := len(fields) == 0 || !c.purposes[one.name]
		for _, n := range fields {
			used = used || c.fields[n][one.name]
		}
		if !used {
			r.add(one.line, one.path, "no field of this rule declares the purpose%s", quote(one.name))
		}
	}
}

func (r *reader) declared(list []ref, known map[string]bool, kind string) {
	for _, one := range list {
		if one.name != "" && !known[one.name] {
			r.add(one.line, one.path, "no %s is declared", such(kind, one.name))
		}
	}
}

// starless returns the list without "*".
func starless(list []ref) []ref {
	return slices.DeleteFunc(slices.Clone(list), func(one ref) bool { return one.name == every })
}
