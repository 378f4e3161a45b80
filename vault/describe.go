package vault

import (
	"context"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// TokenDescription says what a token stands for, or why that is not said.
type TokenDescription struct {
	Field  *policy.Field
	Domain *policy.Domain
	Latest bool // the text is the newest form of the token
	Err    *Error
}

// DescribeTokens says what 1 to MaxBatch tokens stand for, each on its own.
// Nothing of a value is read in clear.
func (v *Vault) DescribeTokens(ctx context.Context, c Caller, tokens []string) ([]TokenDescription, error) {
	return steady(ctx, v, func(st *state) ([]TokenDescription, error) { return v.describeTokens(ctx, c, st, tokens) })
}

func (v *Vault) describeTokens(ctx context.Context, c Caller, st *state, tokens []string) ([]TokenDescription, error) {
	pr := st.policy.Principal(c.Principal)
	refused := st.may(pr, policy.ActionDescribe)
	if refused == nil && (len(tokens) == 0 || len(tokens) > MaxBatch) {
		refused = refuse(InvalidRequest, "tokens", fmt.Sprintf("must be 1 to %d", MaxBatch))
	}
	if refused != nil {
		return nil, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionDescribe, Count: uint32(len(tokens))})
	}
	out := make([]TokenDescription, len(tokens))
	ids := make([]token.ID, len(tokens))
	pairs := []store.Key{controlPair}
	for i, text := range tokens {
		if ids[i], out[i].Err = st.tokenFor(pr, policy.ActionDescribe, text); out[i].Err != nil {
			continue
		}
		id := ids[i]
		pairs = append(pairs,
			store.Key{Table: rows.People, Key: rows.HeaderKey(id.Ref)},
			store.Key{Table: rows.People, Key: rows.CellKey(id.Ref, id.Field, id.Item)})
	}
	var have store.Rows
	damaged, changed, err := salvage(ctx, v.values, pairs, 1, 2, &have)
	if err != nil {
		return nil, failure(err)
	}
	if row, ok := have.Value(0); changed || !st.current(row, ok) {
		return nil, errStale
	}
	at := 1
	for i := range out {
		if out[i].Err != nil {
			continue
		}
		head, ok := have.Value(at)
		_, cell := have.Value(at + 1)
		at += 2
		if damaged[(at-1)/2-1] {
			out[i].Err = fail(DataCorrupt, "")
			continue
		}
		if !ok || !cell {
			out[i].Err = fail(TokenNotFound, "")
			continue
		}
		h, err := rows.ParseHeader(head)
		switch {
		case err != nil:
			out[i].Err = fail(DataCorrupt, "")
		case h.State != rows.Active || h.TokenGeneration != ids[i].Generation:
			out[i].Err = fail(TokenNotFound, "")
		default:
			out[i].Field = st.policy.Field(policy.FieldID(ids[i].Field))
			out[i].Domain = st.policy.DomainByID(policy.DomainID(ids[i].Domain))
			out[i].Latest = ids[i].Version == st.primary[ids[i].Domain]
		}
	}
	if err := v.auditDescribe(ctx, c, st, ids, out); err != nil {
		return nil, err
	}
	return out, nil
}

// tokenFor parses a token and decides the right to an action on its field in
// its domain, before anything is read. With a refusal by right it returns what
// the token stands for too, for the log.
func (st *state) tokenFor(pr *policy.Principal, a policy.Action, text string) (token.ID, *Error) {
	id, err := st.tokens.Parse(text)
	switch {
	case err == nil:
	case isMalformed(err):
		return token.ID{}, fail(MalformedToken, "")
	default:
		return token.ID{}, fail(st.unread(text), "")
	}
	f := st.policy.Field(policy.FieldID(id.Field))
	if f == nil {
		return token.ID{}, fail(TokenNotFound, "")
	}
	if refusal := st.decide(pr, policy.Request{Action: a, Field: f.ID, Domain: policy.DomainID(id.Domain)}); refusal != 0 {
		return id, fail(refusal, f.Name) // the log names what was asked for
	}
	return id, nil
}

func (v *Vault) auditDescribe(ctx context.Context, c Caller, st *state, ids []token.ID, out []TokenDescription) error {
	items := make([]audit.Item, len(out))
	allowed := 0
	for i := range out {
		items[i] = audit.Item{Field: ids[i].Field, Item: ids[i].Item, Outcome: audit.Allowed}
		if ids[i].Ref != 0 {
			items[i].Subject = v.subject.encipher(ids[i].Ref)
		}
		if out[i].Err != nil {
			items[i].Outcome, items[i].Refusal = audit.Refused, uint16(out[i].Err.Reason)
		} else {
			allowed++
		}
	}
	return waitFor(ctx, v.log.Append(&audit.Entry{
		Request: c.Request, Principal: c.Principal, Action: audit.ActionDescribe,
		PolicyVersion: st.policy.Version(), Outcome: outcomeOf(allowed, len(items)),
		Count: uint32(len(items)), Items: items,
	}))
}
