package policy

import "math"

// Register returns the registry for this document: prev with numbers for new
// names, renamed entries under their old numbers, and what the document no
// longer declares marked as dropped. prev is not changed; nil means that no
// number was given out yet.
//
// It returns Problems for a field whose type changes, a rename from a name
// that is unknown, a rename onto a name that exists beside it, and when
// numbers run out. A renamed_from whose rename was done by an earlier
// document is no mistake.
func (f *File) Register(prev *Registry) (*Registry, error) {
	g := registering{next: prev.clone()}
	g.assign(&g.next.purposes, 0, decls(f.doc.Purposes), math.MaxUint16)
	g.assign(&g.next.domains, 0, withDefault(f.doc.Domains), math.MaxUint16)

	// Fields are looked up under their collection's number, so that renaming
	// a collection takes its fields along.
	numbers := g.assign(&g.next.collections, 0, decls(f.doc.Collections), math.MaxUint16)
	kept := map[CollectionID]bool{}
	for i := range f.doc.Collections {
		fields := f.doc.Collections[i].Fields
		collection := CollectionID(numbers[i])
		kept[collection] = true
		for j, number := range g.assign(&g.next.fields, collection, decls(fields), int(MaxFieldID)) {
			if number != 0 {
				g.typed(&g.next.fields[number-1], &fields[j])
			}
		}
	}
	for i := range g.next.fields {
		if e := &g.next.fields[i]; !kept[e.Collection] {
			e.Dropped = true
		}
	}
	if err := g.err(); err != nil {
		return nil, err
	}
	return g.next, nil
}

func withDefault(domains []domainSpec) []decl {
	return append([]decl{{name: DefaultDomainName}}, decls(domains)...)
}

type registering struct {
	findings
	next *Registry
}

// assign gives every declaration its number within one collection (0 for what
// is no field) and drops the others. A declaration with a problem gets 0.
func (g *registering) assign(list *entries, collection CollectionID, declared []decl, limit int) []int {
	before := len(*list)
	live, fresh := map[string]int{}, true
	for i := range *list {
		e := &(*list)[i]
		if e.Collection != collection {
			continue
		}
		fresh = fresh && e.Name == DefaultDomainName
		if !e.Dropped {
			live[e.Name] = i
		}
	}
	numbers, stays := make([]int, len(declared)), make([]bool, before)
	for i, d := range declared {
		at, known := live[d.name]
		old, renamed := live[d.renamedFrom]
		path := join(d.path, "renamed_from")
		switch {
		case renamed && known:
			g.add(d.line, path, "both%s and%s exist; a rename cannot make one of two", quote(d.renamedFrom), quote(d.name))
			continue
		case renamed:
			at = old
			(*list)[at].Name = d.name
		case !known && d.renamedFrom != "" && !fresh:
			g.add(d.line, path, "the policy in force has no%s", quote(d.renamedFrom))
			continue
		case !known && len(*list) >= limit:
			g.add(d.line, d.path, "all %d numbers have been given out", limit)
			continue
		case !known:
			at = len(*list)
			*list = append(*list, entry{Number: uint32(at + 1), Collection: collection, Name: d.name})
		}
		if at < before {
			stays[at] = true
		}
		numbers[i] = at + 1
	}
	for _, at := range live {
		if !stays[at] {
			(*list)[at].Dropped = true
		}
	}
	return numbers
}

// typed keeps the type of a field: its stored values and its keys depend on it.
func (g *registering) typed(e *entry, f *fieldSpec) {
	switch e.Type {
	case "":
		e.Type = f.Type
	case f.Type:
	default:
		g.add(f.line, join(f.path, "type"), "the field has the type %s; a type does not change, declare a new field", e.Type)
	}
}
