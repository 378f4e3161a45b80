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

// within reports whether every domain of s is in o.
func (s *domainSet) within(o *domainSet) bool {
	return s[0]&^o[0]|s[1]&^o[1]|s[2]&^o[2]|s[3]&^o[3] == 0
}

// A right is the domains in which something is allowed, and those in which a
// rule denies it. Denied wins.
type right struct{ allow, deny domainSet }

func (r right) union(o right) right {
	r.allow.or(&o.allow)
	r.deny.or(&o.deny)
	return r
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

// A grant is what a set of roles may do with one field (by action, but for
// reveals), or see of one field for one purpose (by view). It is small and
// holds numbers of rights, of which a policy has few different ones.
type grant struct {
	allowed uint16           // the actions or views that some rule allows, one bit each
	rights  [grantEnd]uint32 // by action or view; number 0 is no right
}

// grantEnd is one past the last action or view that has a right in a grant.
// ActionReveal has only its bit in allowed: its rights are those by view.
const grantEnd = 6

var (
	_ [0]struct{} = [grantEnd - ActionReveal]struct{}{}
	_ [0]struct{} = [grantEnd - viewEnd]struct{}{}
)

// has reports whether some rule allows action or view n; no number past the
// last one is ever allowed.
func (g *grant) has(n uint8) bool { return g.allowed&(1<<n) != 0 }

// A draft is a grant in the making.
type draft struct {
	allowed uint16
	rights  [grantEnd]right
}

// add adds what one rule says of an action or view in some domains.
func (d *draft) add(n uint8, allows bool, in *domainSet) {
	if allows {
		d.allowed |= 1 << n
		d.rights[n].allow.or(in)
	} else {
		d.rights[n].deny.or(in)
	}
}

// A table is what a set of roles may do. Fields and pairs hold numbers of
// grants, which all tables of a policy share: there are far fewer different
// grants than fields times purposes.
type table struct {
	allow  actionSet // actions that some allow rule names
	deny   actionSet // actions that some deny rule names
	can    actionSet // actions that are possible for at least one request
	fields []uint32  // by field index: number of the grant by action
	pairs  []uint32  // by Field.pairs + position of the purpose: number of the grant by view
}
