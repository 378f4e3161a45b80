package vault

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// receipts are entries on their way to the disk.
type receipts struct {
	some [2]audit.Receipt
	n    int
	more []audit.Receipt
}

func (r *receipts) add(one audit.Receipt) {
	if r.n < len(r.some) {
		r.some[r.n] = one
		r.n++
		return
	}
	r.more = append(r.more, one)
}

// wait returns when every entry is durable, or the error for the caller.
func (r *receipts) wait(ctx context.Context) error {
	for i := range r.n {
		if err := waitFor(ctx, r.some[i]); err != nil {
			return err
		}
	}
	for _, one := range r.more {
		if err := waitFor(ctx, one); err != nil {
			return err
		}
	}
	return nil
}

func waitFor(ctx context.Context, one audit.Receipt) error {
	_, err := one.Wait(ctx)
	switch {
	case err == nil:
		return nil
	case isContext(err):
		return err
	}
	return &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
}

// refused writes the refusal of a whole call to the log and returns it. When
// the log cannot be written, that is what the caller is told.
func (v *Vault) refused(ctx context.Context, c Caller, st *state, why *Error, e audit.Entry) error {
	e.Request, e.Principal = c.Request, c.Principal
	e.PolicyVersion = st.policy.Version()
	e.Outcome, e.Refusal = audit.Refused, why.Reason.String()
	if err := waitFor(ctx, v.log.Append(&e)); err != nil {
		return err
	}
	if why.Reason == Frozen {
		// Such a call reads nothing by which it would learn that another node
		// has thawed; the next one shall.
		if _, err := v.reload(ctx); err != nil && !isContext(err) {
			v.logger.Warn("whether a freeze still holds could not be read", "error", err)
		}
	}
	return why
}

func outcomeOf(allowed, all int) audit.Outcome {
	switch allowed {
	case 0:
		return audit.Refused
	case all:
		return audit.Allowed
	}
	return audit.Mixed
}

func outcomeOfItems(items []audit.Item) audit.Outcome {
	allowed := 0
	for i := range items {
		if items[i].Outcome == audit.Allowed {
			allowed++
		}
	}
	return outcomeOf(allowed, len(items))
}

func viewName(v policy.View) string {
	if v == 0 {
		return ""
	}
	return v.String()
}

// knownName and knownReason keep what a caller made up out of the log.
func knownName(p *policy.Purpose) string {
	if p == nil {
		return ""
	}
	return p.Name
}

func knownReason(reason string) string {
	if checkReason(reason) != nil {
		return ""
	}
	return reason
}

func isMalformed(err error) bool { return errors.Is(err, token.ErrMalformed) }

// auditReveal appends what was authorised: the entries of one view after the
// other's, with the refused items in the first.
func (v *Vault) auditReveal(c Caller, st *state, purpose *policy.Purpose, reason string, asked policy.View, items []revealItem) receipts {
	var out receipts
	views := [...]policy.View{policy.ViewPlain, policy.ViewMasked}
	scratch := auditItems.Get().(*[]audit.Item)
	defer auditItems.Put(scratch)
	for n, view := range views {
		list, allowed := (*scratch)[:0], 0
		for i := range items {
			it := &items[i]
			switch {
			case it.refusal == 0 && it.view == view:
				allowed++
				list = v.appendItem(list, it, audit.Allowed)
			case it.refusal != 0 && n == 0:
				list = v.appendItem(list, it, audit.Refused)
			}
		}
		*scratch = list
		if len(list) == 0 {
			continue
		}
		shown := view
		if allowed == 0 {
			shown = asked
		}
		for part := range slices.Chunk(list, audit.MaxItems) {
			out.add(v.log.Append(&audit.Entry{
				Request: c.Request, Principal: c.Principal, Action: audit.ActionReveal,
				Purpose: purpose.Name, View: viewName(shown), Reason: reason,
				PolicyVersion: st.policy.Version(), Outcome: outcomeOfItems(part),
				Count: uint32(len(list)), Items: part,
			}))
		}
	}
	return out
}

// auditUnopened enters what was authorised and does not open, so that an alarm
// is raised: the entry before could not know.
func (v *Vault) auditUnopened(c Caller, st *state, purpose *policy.Purpose, reason string, s *detokenizer, out *receipts) {
	if len(s.unopened) == 0 {
		return
	}
	items := make([]audit.Item, 0, len(s.unopened))
	for _, i := range s.unopened {
		it := s.items[i]
		it.refusal = DataCorrupt
		items = v.appendItem(items, &it, audit.Refused)
	}
	for part := range slices.Chunk(items, audit.MaxItems) {
		out.add(v.log.Append(&audit.Entry{
			Request: c.Request, Principal: c.Principal, Action: audit.ActionReveal, Purpose: purpose.Name, Reason: reason,
			PolicyVersion: st.policy.Version(), Outcome: audit.Refused, Count: uint32(len(items)), Items: part,
		}))
	}
}

var auditItems = sync.Pool{New: func() any { return new([]audit.Item) }}

func (v *Vault) appendItem(list []audit.Item, it *revealItem, o audit.Outcome) []audit.Item {
	list = append(list, audit.Item{
		Field: it.id.Field, Item: it.id.Item, Outcome: o, Refusal: uint16(it.refusal), KeyVersion: it.version,
	})
	if it.id.Ref != 0 {
		v.subject.encipherTo(&list[len(list)-1].Subject, it.id.Ref)
	}
	return list
}
