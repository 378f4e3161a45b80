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
	// on the policy.
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
	g := &p.fieldGrants[t.fields[f.index]]
	if r.Action == ActionReveal {
		if !g.reveal {
			return refuse(ReasonFieldDenied)
		}
		return p.decideReveal(t, f, r)
	}
	right := &g.rights[r.Action]
	if right.allow.empty() {
		return refuse(ReasonFieldDenied)
	}
	if !r.Action.inDomain() {
		return right.in(anywhere)
	}
	return right.in(p.domainIndex(r.Domain))
}

func (p *Policy) decideReveal(t *table, f *Field, r Request) Decision {
	if r.Purpose == 0 {
		return refuse(ReasonPurposeRequired)
	}
	purpose := p.purposes.get(r.Purpose)
	if purpose == nil {
		return refuse(ReasonPurposeUnknown)
	}
	at := f.purposes[purpose.index]
	if at == 0 {
		return refuse(ReasonPurposeNotDeclared)
	}
	g := &p.revealGrants[t.pairs[f.pairs+int(at)-1]]
	if g.none() {
		return refuse(ReasonPurposeDenied)
	}
	if r.View == 0 || r.View >= viewEnd || g.rights[r.View].allow.empty() {
		return refuse(ReasonViewDenied)
	}
	return g.rights[r.View].in(p.domainIndex(r.Domain))
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
	var set ViewSet
	for v := ViewPlain; v < viewEnd; v++ {
		r := Request{Action: ActionReveal, Field: field, Purpose: purpose, View: v, Domain: domain}
		if p.Decide(pr, r).Allowed {
			set |= 1 << v
		}
	}
	return set
}

// Widest returns the view of Views that shows most, or 0 when there is none.
func (p *Policy) Widest(pr *Principal, field FieldID, purpose PurposeID, domain DomainID) View {
	return p.Views(pr, field, purpose, domain).Widest()
}

// Can reports whether there is any request with this action that Decide
// allows pr: any field, purpose, view and domain. It lets a caller be refused
// before anything is read.
func (p *Policy) Can(pr *Principal, a Action) bool {
	return pr != nil && pr.policy == p && pr.table.can.has(a)
}
