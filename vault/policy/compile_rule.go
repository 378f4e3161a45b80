package policy

// resolved is a rule with its names looked up.
type resolved struct {
	allows   bool
	actions  actionSet
	purposes []bool // by purpose index; none unless the rule is about reveals
	views    ViewSet
	domains  domainSet
}

func (c *compiler) resolve(spec *ruleSpec) *resolved {
	ru := &resolved{
		allows:   spec.Effect == effectAllow,
		actions:  spec.actions(),
		purposes: make([]bool, len(c.policy.purposes.list)),
		domains:  c.domainsOf(spec),
	}
	for i, purpose := range c.policy.purposes.list {
		ru.purposes[i] = names(spec.Purposes, purpose.Name)
	}
	for v := ViewPlain; v < viewEnd; v++ {
		if names(spec.Views, v.String()) {
			ru.views |= ViewsOf(v)
		}
	}
	return ru
}

// domainsOf returns the domains of a rule. None named is the default domain
// for a rule that allows and every domain for one that denies, so that what
// is left out never widens a right.
func (c *compiler) domainsOf(ru *ruleSpec) domainSet {
	var set domainSet
	switch {
	case len(ru.Domains) == 0 && ru.Effect == effectAllow:
		set.add(c.policy.domains.byName[DefaultDomainName].index)
	case len(ru.Domains) == 0 || ru.Domains[0].name == every:
		set = c.allDomains
	default:
		for _, one := range ru.Domains {
			set.add(c.policy.domains.byName[one.name].index)
		}
	}
	return set
}

// onField adds what the rule says of a field that it covers, but for the views.
func (ru *resolved) onField(d *draft) {
	var everywhere domainSet
	everywhere.add(anywhere)
	for a := ActionWrite; a < ActionReveal; a++ {
		switch {
		case !ru.actions.has(a):
		case a.inDomain():
			d.add(uint8(a), ru.allows, &ru.domains)
		default:
			d.add(uint8(a), ru.allows, &everywhere)
		}
	}
	if ru.allows && ru.actions.has(ActionReveal) {
		d.allowed |= 1 << ActionReveal
	}
}

// onReveal adds what the rule says of a field that it covers, for a purpose
// that it names.
func (ru *resolved) onReveal(d *draft) {
	for v := ViewPlain; v < viewEnd; v++ {
		if ru.views.Has(v) {
			d.add(uint8(v), ru.allows, &ru.domains)
		}
	}
}
