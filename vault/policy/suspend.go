package policy

import "slices"

// Suspend returns the policy without the rights that come from the named
// roles: their allow rules say nothing, their deny rules stay, and what other
// roles allow stays. Names that the policy does not declare are ignored.
// Collections, fields, purposes, domains and the version are those of p;
// principals are the new policy's own. Problems when the tables would take
// more memory than a policy may, which p itself did not.
func (p *Policy) Suspend(roles ...string) (*Policy, error) {
	doc := *p.doc
	doc.Roles = slices.Clone(doc.Roles)
	for i := range doc.Roles {
		role := &doc.Roles[i]
		if !slices.Contains(roles, role.Name) {
			continue
		}
		role.Rules = slices.Clone(role.Rules)
		for j := range role.Rules {
			if role.Rules[j].Effect == effectAllow {
				role.Rules[j].Effect = effectNone
			}
		}
	}
	next := *p
	next.principals, next.principalByID = nil, map[string]*Principal{}
	next.roles = map[string]*roleSpec{}
	c := compiler{doc: &doc, policy: &next, grants: newPool[grant](), rights: newPool[right]()}
	for _, f := range p.fields.list {
		c.pairs += len(f.Purposes)
	}
	for i := range p.domains.list {
		c.allDomains.add(i)
	}
	if err := c.access(); err != nil {
		return nil, err
	}
	next.doc = &doc
	return &next, nil
}
