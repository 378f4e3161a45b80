package policy

import "slices"

// Explanation is a decision with the rule that made it.
type Explanation struct {
	Decision
	// Role and Rule (its index in the role, from 0) name the allow rule that
	// allowed, or the deny rule that denied: the first that applies, in the
	// order of the principal's roles. A missing right has no rule: then Role is
	// "" and Rule is -1.
	Role string
	Rule int
	// Line of the rule in the document, or 0.
	Line int
}

// Explain decides like Decide, slowly, by reading the rules one after the
// other, and says which rule decided. It shares no table with Decide, and
// tests hold the two together.
func (p *Policy) Explain(principalID string, r Request) Explanation {
	pr := p.Principal(principalID)
	if pr == nil {
		return missing(ReasonPrincipalUnknown)
	}
	var rules []candidate
	for _, name := range pr.Roles {
		role := p.roles[name]
		for i := range role.Rules {
			rules = append(rules, candidate{name, i, &role.Rules[i]})
		}
	}
	allow := keep(rules, func(c candidate) bool { return c.rule.Effect == effectAllow })
	deny := keep(rules, func(c candidate) bool { return c.rule.Effect == effectDeny })
	var tests []test
	if r.Action.OnFields() {
		tests = p.fieldTests(r)
	}
	tests = slices.Insert(tests, 0, test{ReasonActionDenied, func(ru *ruleSpec) bool {
		return slices.ContainsFunc(ru.Actions, func(one ref) bool { return one.name == r.Action.String() })
	}})
	for _, one := range tests {
		allow = keep(allow, func(c candidate) bool { return one.says(c.rule) })
		deny = keep(deny, func(c candidate) bool { return one.says(c.rule) })
		if len(allow) == 0 {
			return missing(one.otherwise)
		}
	}
	if len(deny) > 0 {
		return deny[0].decided(refuse(ReasonDenyRule))
	}
	return allow[0].decided(Decision{Allowed: true, Reason: ReasonOK})
}

type candidate struct {
	role  string
	index int
	rule  *ruleSpec
}

func (c candidate) decided(d Decision) Explanation {
	return Explanation{Decision: d, Role: c.role, Rule: c.index, Line: c.rule.line}
}

func missing(r Reason) Explanation { return Explanation{Decision: refuse(r), Rule: -1} }

func keep(list []candidate, yes func(candidate) bool) []candidate {
	var kept []candidate
	for _, c := range list {
		if yes(c) {
			kept = append(kept, c)
		}
	}
	return kept
}

// A test asks whether a rule speaks of one part of a request; when no allow
// rule does, the reason is otherwise.
type test struct {
	otherwise Reason
	says      func(*ruleSpec) bool
}

// never is a test that no rule passes.
func never(otherwise Reason) test {
	return test{otherwise, func(*ruleSpec) bool { return false }}
}

// fieldTests returns the tests after the action, in the order of the reasons.
func (p *Policy) fieldTests(r Request) []test {
	f := p.Field(r.Field)
	if f == nil {
		return []test{never(ReasonFieldDenied)}
	}
	tests := []test{{ReasonFieldDenied, func(ru *ruleSpec) bool {
		return slices.ContainsFunc(ru.Fields, func(one ref) bool { return inFields(one.name, f.Collection.Name, f.Name) }) ||
			slices.ContainsFunc(ru.Categories, func(one ref) bool { return inCategory(one.name, f.Category) })
	}}}
	if r.Action == ActionReveal {
		purpose := p.PurposeByID(r.Purpose)
		switch {
		case r.Purpose == 0:
			return append(tests, never(ReasonPurposeRequired))
		case purpose == nil:
			return append(tests, never(ReasonPurposeUnknown))
		case !slices.Contains(f.Purposes, purpose):
			return append(tests, never(ReasonPurposeNotDeclared))
		}
		tests = append(tests,
			test{ReasonPurposeDenied, func(ru *ruleSpec) bool { return names(ru.Purposes, purpose.Name) }},
			test{ReasonViewDenied, func(ru *ruleSpec) bool {
				return r.View > 0 && r.View < viewEnd && names(ru.Views, r.View.String())
			}})
	}
	if r.Action.inDomain() {
		domain := p.DomainByID(r.Domain)
		tests = append(tests, test{ReasonDomainDenied, func(ru *ruleSpec) bool {
			switch {
			case domain == nil:
				return false
			case len(ru.Domains) == 0:
				return ru.Effect == effectDeny || domain.ID == DefaultDomain
			}
			return names(ru.Domains, domain.Name)
		}})
	}
	return tests
}
