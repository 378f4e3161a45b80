package policy

import (
	"encoding/binary"
	"slices"
)

// access builds one table a role, and from these one table for each set of
// roles that some principal has. Principals with equal roles share a table.
func (c *compiler) access() error {
	cells := len(c.policy.fields.list) + c.pairs
	sets := map[string][]int{}
	positions := map[string]int{}
	for i := range c.doc.Roles {
		positions[c.doc.Roles[i].Name] = i
		c.policy.roles[c.doc.Roles[i].Name] = &c.doc.Roles[i]
	}
	for i := range c.doc.Principals {
		set := roleSet(c.doc.Principals[i].Roles, positions)
		sets[setKey(set)] = set
	}
	if (len(positions)+len(sets))*cells > maxCells {
		at := c.doc.Principals[0].line
		return Problems{{at, "principals", "too many different sets of roles for so many fields and purposes"}}
	}

	catalogue := c.doc.catalogue()
	roles := make([]*table, len(c.doc.Roles))
	for i := range roles {
		roles[i] = c.role(&c.doc.Roles[i], catalogue)
	}
	tables := make(map[string]*table, len(sets))
	for key, set := range sets {
		tables[key] = c.together(roles, set)
	}
	for _, t := range tables {
		c.possible(t)
	}
	for i := range c.doc.Principals {
		spec := &c.doc.Principals[i]
		pr := &Principal{
			ID:          spec.ID,
			Description: spec.Description,
			policy:      c.policy,
			table:       tables[setKey(roleSet(spec.Roles, positions))],
		}
		for _, role := range spec.Roles {
			pr.Roles = append(pr.Roles, role.name)
		}
		c.policy.principals = append(c.policy.principals, pr)
		c.policy.principalByID[pr.ID] = pr
	}
	c.policy.grants, c.policy.rights = c.grants.list, c.rights.list
	return nil
}

// roleSet returns the positions of the named roles, sorted: which roles a
// principal has counts, their order does not.
func roleSet(roles []ref, positions map[string]int) []int {
	set := make([]int, len(roles))
	for i, role := range roles {
		set[i] = positions[role.name]
	}
	slices.Sort(set)
	return set
}

func setKey(set []int) string {
	var key []byte
	for _, n := range set {
		key = binary.BigEndian.AppendUint16(key, uint16(n))
	}
	return string(key)
}

// role builds the table of one role.
func (c *compiler) role(role *roleSpec, catalogue *catalogue) *table {
	fields := c.policy.fields.list
	t := &table{fields: make([]uint32, len(fields)), pairs: make([]uint32, c.pairs)}
	resolved, covering := make([]*resolved, len(role.Rules)), make([][]uint16, len(fields))
	for i := range role.Rules {
		if role.Rules[i].Effect == effectNone {
			continue
		}
		ru := c.resolve(&role.Rules[i])
		resolved[i] = ru
		if ru.allows {
			t.allow |= ru.actions
		} else {
			t.deny |= ru.actions
		}
		for _, n := range catalogue.of(&role.Rules[i]) {
			covering[n] = append(covering[n], uint16(i))
		}
	}
	var scratch []draft // one a purpose; reused, as most fields of most roles need it
	for n, rules := range covering {
		if len(rules) == 0 {
			continue
		}
		f := fields[n]
		var byAction draft
		scratch = slices.Grow(scratch[:0], len(f.Purposes))
		byView := scratch[:len(f.Purposes)]
		clear(byView)
		for _, i := range rules {
			ru := resolved[i]
			ru.onField(&byAction)
			for i, purpose := range f.Purposes {
				if ru.purposes[purpose.index] {
					ru.onReveal(&byView[i])
				}
			}
		}
		t.fields[n] = c.seal(&byAction)
		for i := range byView {
			t.pairs[f.pairs+i] = c.seal(&byView[i])
		}
	}
	return t
}

// together returns the table of a set of roles: what any of them allows is
// allowed, what any of them denies is denied.
func (c *compiler) together(roles []*table, set []int) *table {
	first := roles[set[0]]
	t := &table{
		allow:  first.allow,
		deny:   first.deny,
		fields: slices.Clone(first.fields),
		pairs:  slices.Clone(first.pairs),
	}
	for _, n := range set[1:] {
		t.allow |= roles[n].allow
		t.deny |= roles[n].deny
		for i, number := range roles[n].fields {
			t.fields[i] = c.grants.join(t.fields[i], number, c.union)
		}
		for i, number := range roles[n].pairs {
			t.pairs[i] = c.grants.join(t.pairs[i], number, c.union)
		}
	}
	return t
}

// possible fills in the actions that some request is allowed for.
func (c *compiler) possible(t *table) {
	for a := ActionWrite; a < actionEnd; a++ {
		if !a.OnFields() && t.allow.has(a) && !t.deny.has(a) {
			t.can.add(a)
		}
	}
	for _, number := range t.fields {
		g := &c.grants.list[number]
		for a := ActionWrite; a < ActionReveal; a++ {
			if g.has(uint8(a)) && c.rights.list[g.rights[a]].held() {
				t.can.add(a)
			}
		}
	}
	for _, number := range t.pairs {
		g := &c.grants.list[number]
		for v := ViewPlain; v < viewEnd; v++ {
			if g.has(uint8(v)) && c.rights.list[g.rights[v]].held() {
				t.can.add(ActionReveal)
			}
		}
	}
}
