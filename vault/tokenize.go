package vault

import (
	"context"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// TokenizeRequest makes sure that 1 to MaxBatch subjects' field holds a value.
type TokenizeRequest struct {
	Collection string
	Field      string
	Items      []TokenizeItem
	Domain     string
}

// TokenizeItem is one value of one person.
type TokenizeItem struct {
	SubjectID string
	Value     Given
}

// TokenizeResult is the token of one item.
type TokenizeResult struct {
	Token  string
	Stored bool // the value was stored by this call
	Err    *Error
}

// Tokenize stores values that are not there yet and returns their tokens, each
// item on its own. It confirms whether a field holds a value, so it is a right
// of its own and logged like a reveal. MarkHoney says what becomes of a honey
// record.
func (v *Vault) Tokenize(ctx context.Context, c Caller, q TokenizeRequest) ([]TokenizeResult, error) {
	changes := make([]*change, min(len(q.Items), MaxBatch))
	for i := range changes {
		changes[i] = v.newChange(ensure, q.Items[i].SubjectID, "")
	}
	var field *policy.Field
	var domain policy.DomainID
	st, err := v.applyAll(ctx, c, audit.ActionTokenize, changes, func(st *state) (*policy.Collection, *Error) {
		pr := st.policy.Principal(c.Principal)
		if err := st.may(pr, policy.ActionTokenize); err != nil {
			return nil, err
		}
		if len(q.Items) == 0 || len(q.Items) > MaxBatch {
			return nil, refuse(InvalidRequest, "items", fmt.Sprintf("must be 1 to %d", MaxBatch))
		}
		coll, err := collectionOf(st, q.Collection)
		if err != nil {
			return nil, err
		}
		if domain, err = domainOf(st, q.Domain); err != nil {
			return nil, err
		}
		if field = st.policy.FieldByName(coll.Name, q.Field); field == nil {
			return nil, fail(UnknownField, printable(q.Field))
		}
		if refusal := st.decide(pr, policy.Request{Action: policy.ActionTokenize, Field: field.ID, Domain: domain}); refusal != 0 {
			return nil, fail(refusal, field.Name)
		}
		if st.frozen.hides(field) { // the answer would confirm what is stored
			return nil, fail(Frozen, field.Name)
		}
		if st.closed[field.ID] {
			return nil, fail(Contention, field.Name)
		}
		for i, ch := range changes {
			if ch.open() {
				var values [][]byte
				values, ch.err = canonical(field, []Given{q.Items[i].Value}, v.now())
				ch.set = []fieldChange{{field: field, values: values}}
			}
		}
		refuseTwice(changes)
		return coll, nil
	})
	if err != nil {
		return nil, err
	}
	return v.tokensOf(ctx, c, st, field, domain, changes)
}

// tokensOf answers the changes of a Tokenize and logs those that found their
// value already there; the others have entries of their own.
func (v *Vault) tokensOf(ctx context.Context, c Caller, st *state, f *policy.Field, domain policy.DomainID, changes []*change) ([]TokenizeResult, error) {
	out := make([]TokenizeResult, len(changes))
	var confirmed []audit.Item
	for i, ch := range changes {
		if out[i].Err = ch.err; ch.err != nil {
			continue
		}
		text, err := st.tokens.Append(nil, token.ID{
			Domain: uint16(domain), Ref: ch.ref, Field: uint32(f.ID), Item: ch.item, Generation: ch.header.TokenGeneration,
		})
		if err != nil {
			return nil, failure(err)
		}
		out[i].Token, out[i].Stored = string(text), ch.stored
		if !ch.stored {
			confirmed = append(confirmed, audit.Item{
				Subject: v.subject.encipher(ch.ref), Field: uint32(f.ID), Item: ch.item, Outcome: audit.Allowed, KeyVersion: ch.version,
			})
		}
	}
	if len(confirmed) == 0 {
		return out, nil
	}
	err := waitFor(ctx, v.log.Append(&audit.Entry{
		Request: c.Request, Principal: c.Principal, Action: audit.ActionTokenize,
		PolicyVersion: st.policy.Version(), Collection: f.Collection.Name,
		Outcome: audit.Allowed, Count: uint32(len(confirmed)), Items: confirmed,
	}))
	if err != nil {
		return nil, err
	}
	return out, nil
}

// compare finds, for changes that make sure a value is there, the item that
// holds it already: all cells of the field in one read. A single-valued field
// with another value refuses the change.
func (w *writer) compare(ctx context.Context, pending []*change, priors []prior) error {
	pairs := []store.Key{controlPair}
	for i, c := range pending {
		if items := w.itemsOf(c, &priors[i]); items != nil {
			for _, item := range items.Items {
				pairs = append(pairs, store.Key{Table: rows.People, Key: rows.CellKey(priors[i].ref, items.Field, item)})
			}
		}
	}
	if len(pairs) == 1 {
		return nil
	}
	var have store.Rows
	if err := w.v.values.Get(ctx, pairs, &have); err != nil {
		return err
	}
	if row, ok := have.Value(0); !w.st.current(row, ok) {
		w.stale = true
		return nil
	}
	at := 1
	for i, c := range pending {
		items := w.itemsOf(c, &priors[i])
		if items == nil {
			continue
		}
		f := c.set[0].field
		for n, item := range items.Items {
			blob, ok := have.Value(at + n)
			if !ok || c.item != 0 || c.err != nil {
				continue // deleted meanwhile: the commit conflicts and looks anew
			}
			found, err := w.look(f, &priors[i].key, item, blob, c.set[0].values[0])
			switch {
			case err != nil:
				c.err = err
			case found == expired:
				c.expired = append(c.expired, item)
			case found == same && !w.st.honey.refuses(priors[i].ref): // which is told nothing of
				c.item = item
				c.version, _ = seal.OuterVersion(w.st.keys.Field(uint32(f.ID)), blob) // it opened just now
			}
		}
		at += len(items.Items)
		held := len(items.Items) - len(c.expired)
		switch {
		case c.err != nil || c.item != 0 || held == 0:
		case f.Multi == 1:
			c.err = fail(ValueExists, f.Name)
		case held >= f.Multi:
			c.err = refuse(TooManyValues, f.Name, fmt.Sprintf("holds at most %d", f.Multi))
		}
	}
	return nil
}

// itemsOf returns the items that a change must be compared with, or nil.
func (w *writer) itemsOf(c *change, was *prior) *rows.FieldItems {
	if c.mode != ensure || was.record == nil || !was.record.Live || !was.key.found {
		return nil
	}
	items := was.record.Find(uint32(c.set[0].field.ID))
	if items == nil || len(items.Items) == 0 {
		return nil
	}
	return items
}

// found is what a look into a cell says.
type found uint8

const (
	other   found = iota // it holds another value
	same                 // it holds the value
	expired              // it holds a value past its retention, which is as good as none
)

// look compares a cell with a value, in constant time for equal lengths.
func (w *writer) look(f *policy.Field, k *subjectKey, item uint16, blob, value []byte) (found, *Error) {
	outer := w.st.keys.Field(uint32(f.ID))
	if outer == nil {
		return other, fail(KeysUnavailable, f.Name)
	}
	place := w.v.cellPlace(f, k.ref, item, k.generation)
	opened, err := seal.Open(nil, outer, k.key.bytes(), &place, blob)
	if err != nil || len(opened) < cellTime {
		w.v.logger.Error("a stored value does not open", "field", f.Name, "error", err)
		e := fail(DataCorrupt, f.Name)
		if err != nil && !errors.Is(err, keys.ErrNoKey) { // the keyset is there; what is not is the key id that the cell names
			e = asError(err)
			e.Field = f.Name
		}
		return other, e
	}
	defer clear(opened)
	switch {
	case f.Retention > 0 && w.now.UnixMilli()-int64(binary.BigEndian.Uint64(opened)) > f.Retention.Milliseconds():
		return expired, nil
	case subtle.ConstantTimeCompare(opened[cellTime:], value) == 1:
		return same, nil
	}
	return other, nil
}
