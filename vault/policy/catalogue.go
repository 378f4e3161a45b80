package policy

// A catalogue holds the declared names, for looking up references.
type catalogue struct {
	purposes map[string]bool
	domains  map[string]bool
	roles    map[string]bool
	fields   []map[string]bool // the purposes of each field
	// What an entry of a rule's fields or categories stands for, as indexes of
	// fields: "customers.email", "customers.*" and "*"; "user.contact.email",
	// "user.contact.*" and "user.*".
	byName, byCategory map[string][]int
}

func (doc *document) catalogue() *catalogue {
	c := &catalogue{
		purposes:   map[string]bool{},
		domains:    map[string]bool{DefaultDomainName: true},
		roles:      map[string]bool{},
		byName:     map[string][]int{},
		byCategory: map[string][]int{},
	}
	for i := range doc.Purposes {
		c.purposes[doc.Purposes[i].Name] = true
	}
	for i := range doc.Domains {
		c.domains[doc.Domains[i].Name] = true
	}
	for i := range doc.Roles {
		c.roles[doc.Roles[i].Name] = true
	}
	for i := range doc.Collections {
		collection := &doc.Collections[i]
		for j := range collection.Fields {
			c.add(collection.Name, &collection.Fields[j])
		}
	}
	return c
}

func (c *catalogue) add(collection string, f *fieldSpec) {
	n := len(c.fields)
	purposes := make(map[string]bool, len(f.Purposes))
	for _, p := range f.Purposes {
		purposes[p.name] = true
	}
	c.fields = append(c.fields, purposes)
	for _, name := range []string{collection + "." + f.Name, collection + ".*", every} {
		c.byName[name] = append(c.byName[name], n)
	}
	c.byCategory[f.Category] = append(c.byCategory[f.Category], n)
	for i, char := range f.Category {
		if char == '.' {
			above := f.Category[:i] + ".*"
			c.byCategory[above] = append(c.byCategory[above], n)
		}
	}
}

// of returns the indexes of all fields of a rule, in rising order.
func (c *catalogue) of(ru *ruleSpec) []int {
	in := make([]bool, len(c.fields))
	for _, one := range ru.Fields {
		for _, n := range c.byName[one.name] {
			in[n] = true
		}
	}
	for _, one := range ru.Categories {
		for _, n := range c.byCategory[one.name] {
			in[n] = true
		}
	}
	var list []int
	for n, is := range in {
		if is {
			list = append(list, n)
		}
	}
	return list
}
