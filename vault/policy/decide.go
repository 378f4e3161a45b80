package policy

// Request is what a caller wants to do.
type Request struct {
	Action Action
	// Field is for actions on fields; others ignore it.
	Field FieldID
	// Purpose and View are for ActionReveal; others ignore them.
	Purpose PurposeID
	View    View
	// Domain of the token; ignored by ActionWrite, ActionDelete and the actions
	// that are not on fields.
	Domain DomainID
}

// Decision is the answer to a Request.
type Decision struct {
	Allowed bool
	// Reason is ReasonOK when allowed, else the first part of the request that
	// no rule allows, in the order of the constants; ReasonDenyRule comes last,
	// when rules allow everything and one denies it.
	Reason Reason
}

var allowed = Decision{Allowed: true, Reason: ReasonOK}

func refuse(r Reason) Decision { return Decision{Reason: r} }

// Decide says whether a principal of this policy may do r. It does not
// allocate. A nil principal, and one of another policy, gets
// ReasonPrincipalUnknown; so does everything else that is unknown get a
// refusal.
func (p *Policy) Decide(pr *Principal, r Request) Decision {
	if pr == nil || pr.policy != p {
		return refuse(ReasonPrincipalUnknown)
	}
	t := pr.table
	if !t.allow.has(r.Action) {
		return refuse(ReasonActionDenied)
	}
	if !r.Action.OnFields() {
		if t.deny.has(r.Action) {
			return refuse(ReasonDenyRule)
		}
		return allowed
	}
	f := p.fields.get(r.Field)
	if f == nil {
		return refuse(ReasonFieldDenied)
	}
	g := &p.grants[t.fields[f.index]]
	switch {
	case !g.has(uint8(r.Action)):
		return refuse(ReasonFieldDenied)
	case r.Action == ActionReveal:
		return p.decideReveal(t, f, r)
	case r.Action.inDomain():
		return p.rights[g.rights[r.Action]].in(p.domainIndex(r.Domain))
	}
	return p.rights[g.rights[r.Action]].in(anywhere)
}

func (p *Policy) decideReveal(t *table, f *Field, r Request) Decision {
	g, missing := p.byView(t, f, r.Purpose)
	switch {
	case g == nil:
		return refuse(missing)
	case !g.has(uint8(r.View)):
		return refuse(ReasonViewDenied)
	}
	return p.rights[g.rights[r.View]].in(p.domainIndex(r.Domain))
}

// byView returns what may be seen of a field for a purpose, at least one
// view, or nil and the reason.
func (p *Policy) byView(t *table, f *Field, id PurposeID) (*grant, Reason) {
	if id == 0 {
		return nil, ReasonPurposeRequired
	}
	purpose := p.purposes.get(id)
	if purpose == nil {
		return nil, ReasonPurposeUnknown
	}
	at := f.purposes[purpose.index]
	if at == 0 {
		return nil, ReasonPurposeNotDeclared
	}
	g := &p.grants[t.pairs[f.pairs+int(at)-1]]
	if g.allowed == 0 {
		return nil, ReasonPurposeDenied
	}
	return g, ReasonOK
}

// domainIndex returns the index of a domain, or -1.
func (p *Policy) domainIndex(id DomainID) int {
	if d := p.domains.get(id); d != nil {
		return d.index
	}
	return -1
}

// Views returns the views in which pr may reveal the field for the purpose,
// of tokens of the domain: those for which Decide allows ActionReveal.
func (p *Policy) Views(pr *Principal, field FieldID, purpose PurposeID, domain DomainID) ViewSet {
	if pr == nil || pr.policy != p {
		return 0
	}
	f, at := p.fields.get(field), p.domainIndex(domain)
	if f == nil {
		return 0
	}
	g, _ := p.byView(pr.table, f, purpose)
	if g == nil {
		return 0
	}
	var set ViewSet
	for v := ViewPlain; v < viewEnd; v++ {
		if g.has(uint8(v)) && p.rights[g.rights[v]].in(at).Allowed {
			set |= 1 << v
		}
	}
	return set
}

// Widest returns the view of Views that shows most, or 0 when there is none.
func (p *Policy) Widest(pr *Principal, field FieldID, purpose PurposeID, domain DomainID) View {
	return p.Views(pr, field, purpose, domain).Widest()
}

// Privileged reports whether pr may do anything that is not on fields.
func (p *Policy) Privileged(pr *Principal) bool {
	return pr != nil && pr.policy == p && pr.table.can.any(func(a Action) bool { return !a.OnFields() })
}

// Can reports whether there is any request with this action that Decide
// allows pr: any field, purpose, view and domain. It lets a caller be refused
// before anything is read.
func (p *Policy) Can(pr *Principal, a Action) bool {
	return pr != nil && pr.policy == p && pr.table.can.has(a)
}
