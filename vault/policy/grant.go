package policy

// domainSet is a set of domains by index.
type domainSet [MaxDomains / 64]uint64

func (s *domainSet) has(i int) bool { return s[i/64]&(1<<(i%64)) != 0 }

func (s *domainSet) add(i int) { s[i/64] |= 1 << (i % 64) }

func (s *domainSet) or(o *domainSet) {
	for w := range s {
		s[w] |= o[w]
	}
}

func (s *domainSet) empty() bool { return s[0]|s[1]|s[2]|s[3] == 0 }

// within reports whether every domain of s is in o.
func (s *domainSet) within(o *domainSet) bool {
	return s[0]&^o[0]|s[1]&^o[1]|s[2]&^o[2]|s[3]&^o[3] == 0
}

// A right is the domains in which something is allowed, and those in which a
// rule denies it. Denied wins.
type right struct{ allow, deny domainSet }

func (r *right) or(o *right) {
	r.allow.or(&o.allow)
	r.deny.or(&o.deny)
}

// held reports whether anything is allowed and not denied.
func (r *right) held() bool { return !r.allow.within(&r.deny) }

// in decides for one domain, when no earlier part of the request failed.
func (r *right) in(domain int) Decision {
	switch {
	case domain < 0 || !r.allow.has(domain):
		return refuse(ReasonDomainDenied)
	case r.deny.has(domain):
		return refuse(ReasonDenyRule)
	}
	return allowed
}

// anywhere is the domain index of actions that do not depend on the domain.
const anywhere = 0

// A fieldGrant is what a principal may do with one field, but for reveals.
type fieldGrant struct {
	rights [ActionReveal]right // by action; 0 is unused
	reveal bool                // some rule allows a reveal of the field
}

func (g fieldGrant) or(o fieldGrant) fieldGrant {
	for a := range g.rights {
		g.rights[a].or(&o.rights[a])
	}
	g.reveal = g.reveal || o.reveal
	return g
}

// A revealGrant is what a principal may see of one field for one purpose.
type revealGrant struct {
	rights [viewEnd]right // by view; 0 is unused
}

func (g revealGrant) or(o revealGrant) revealGrant {
	for v := range g.rights {
		g.rights[v].or(&o.rights[v])
	}
	return g
}

// none reports whether no rule allows any view.
func (g *revealGrant) none() bool {
	for v := ViewPlain; v < viewEnd; v++ {
		if !g.rights[v].allow.empty() {
			return false
		}
	}
	return true
}

// A table is what a set of roles may do. Fields and pairs hold numbers of
// grants, which many tables share: there are far fewer different grants than
// fields times purposes.
type table struct {
	allow  actionSet // actions that some allow rule names
	deny   actionSet // policy actions that some deny rule names
	can    actionSet // actions that are possible for at least one request
	fields []uint32  // by field index: number of a fieldGrant
	pairs  []uint32  // by Field.pairs + position of the purpose: number of a revealGrant
}

// A pool keeps each different grant once. Number 0 is the grant of nothing.
type pool[G interface {
	comparable
	or(G) G
}] struct {
	list   []G
	number map[G]uint32
	joined map[[2]uint32]uint32
}

func (p *pool[G]) of(g G) uint32 {
	if p.number == nil {
		var nothing G
		p.list, p.number = []G{nothing}, map[G]uint32{nothing: 0}
		p.joined = map[[2]uint32]uint32{}
	}
	n, known := p.number[g]
	if !known {
		n = uint32(len(p.list))
		p.list, p.number[g] = append(p.list, g), n
	}
	return n
}

// join returns the number of the union of two grants.
func (p *pool[G]) join(a, b uint32) uint32 {
	if a == b || b == 0 {
		return a
	}
	if a == 0 {
		return b
	}
	pair := [2]uint32{min(a, b), max(a, b)}
	n, known := p.joined[pair]
	if !known {
		n = p.of(p.list[a].or(p.list[b]))
		p.joined[pair] = n
	}
	return n
}
