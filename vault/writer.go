package vault

import (
	"context"
	"errors"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// writer is one attempt to store changes of one collection under one state.
type writer struct {
	v      *Vault
	st     *state
	coll   *policy.Collection
	caller Caller
	action audit.Action
	now    time.Time
	stale  bool // the control row changed: decide again
	// crossed: another change of one of the records came between.
	crossed bool

	outbox  outboxRows
	orphans []uint64 // persons made whose header lost a race
}

// write reads what is there, builds a batch for each change and commits them:
// together when first is set, one by one otherwise, since a conflict fails a
// whole batch. Changes that conflict stay open.
func (w *writer) write(ctx context.Context, pending []*change, together bool) error {
	if len(pending) == 0 {
		return nil
	}
	priors, err := w.readPrior(ctx, pending)
	if err != nil || w.stale {
		return err
	}
	if err := w.fetchKeys(ctx, pending, priors); err != nil {
		return err
	}
	defer func() { w.v.dropPersons(w.orphans) }()
	if err := w.compare(ctx, pending, priors); err != nil {
		return err
	}
	if w.stale { // between the two reads; the persons made for this attempt go
		for i := range priors {
			if priors[i].ref == 0 && priors[i].key.found {
				w.orphans = append(w.orphans, priors[i].key.ref)
			}
		}
		return nil
	}
	var plans []*plan
	for i, c := range pending {
		if priors[i].gone {
			continue
		}
		if c.err == nil {
			c.err = w.v.judge(c, &priors[i])
		}
		if c.err != nil {
			continue
		}
		if c.item != 0 { // the value is there already
			c.done, c.ref, c.header, c.record = true, priors[i].ref, priors[i].header, priors[i].record
			continue
		}
		p, err := w.plan(ctx, c, &priors[i])
		if own := (*Error)(nil); errors.As(err, &own) {
			c.err = own
			if p.fresh {
				w.orphans = append(w.orphans, p.key.ref)
			}
			continue
		}
		if err != nil {
			return err
		}
		plans = append(plans, p)
	}
	return w.commit(ctx, plans, together)
}

// fetchKeys gets the keys of the persons that exist and makes those of new
// ones, each in one go. A person without a key is an error of that change.
func (w *writer) fetchKeys(ctx context.Context, pending []*change, priors []prior) error {
	fresh := 0
	var need []subjectKey
	var of []int
	for i := range priors {
		switch {
		case pending[i].err != nil:
		case priors[i].ref != 0 && pending[i].mode != remove:
			need = append(need, priors[i].key)
			of = append(of, i)
		case priors[i].ref == 0 && pending[i].mode != update && pending[i].mode != remove:
			fresh++
		}
	}
	if len(need) > 0 {
		if err := w.v.subjectKeys(ctx, need, new(keyScratch)); err != nil {
			return err
		}
		for j, i := range of {
			priors[i].key = need[j]
			if need[j].found {
				continue
			}
			gone, err := w.v.erased(ctx, need[j].ref)
			if err != nil {
				return err
			}
			if priors[i].gone = gone; !gone {
				w.v.logger.Error("a person's key is missing")
				pending[i].err = fail(DataCorrupt, "")
			}
		}
	}
	made, err := w.v.newPersons(ctx, fresh)
	if err != nil {
		return err
	}
	for i := range priors {
		c := pending[i]
		if c.err == nil && priors[i].ref == 0 && c.mode != update && c.mode != remove {
			p := made[0]
			made = made[1:]
			priors[i].key = subjectKey{ref: p.ref, generation: firstKeyGeneration, found: true, key: p.key}
		}
	}
	return nil
}
