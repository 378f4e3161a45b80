package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// mode says what a change does with a record that exists or does not.
type mode uint8

const (
	create mode = iota + 1 // it must not exist
	upsert                 // either way
	update                 // it must exist
	ensure                 // either way; the value of the one field must be there afterwards
	remove                 // it must exist, and is deleted
)

// change is one record's change on its way to the store.
type change struct {
	mode    mode
	subject string
	finder  *finder
	hash    personHash
	etag    string
	set     []fieldChange
	request *remembered // with a request id

	done    bool
	err     *Error
	created bool // the record is new
	stored  bool // a value was written (ensure)
	item    uint16
	version uint16   // of the key of the value that was there already (ensure)
	expired []uint16 // items that give way to the value (ensure)
	deleted int

	ref    uint64 // once looked up; 0: nobody
	header rows.Header
	record *rows.Record
}

// fieldChange sets one field to values in canonical form; none clears it.
type fieldChange struct {
	field  *policy.Field
	values [][]byte
}

// open reports whether the change still has to be tried.
func (c *change) open() bool { return !c.done && c.err == nil }

// prior is what the store holds of a change's person and record.
type prior struct {
	ref       uint64 // 0: no such person
	headerRow []byte
	header    rows.Header
	recordRow []byte // nil: no row
	record    *rows.Record
	key       subjectKey
	gone      bool // erased since the rows were read: look again
}

// judge refuses a change whose record exists or does not, as its mode says.
func (v *Vault) judge(c *change, p *prior) *Error {
	live := p.record != nil && p.record.Live
	switch {
	case c.mode == create && live:
		return fail(RecordExists, "")
	case (c.mode == update || c.mode == remove) && !live:
		return fail(RecordNotFound, "")
	case c.etag != "" && live:
		current, err := c.finder.fits(c.etag, p.ref, p.record.Version)
		if err != nil {
			return asError(err)
		}
		if !current {
			return fail(ETagMismatch, "etag")
		}
	}
	return nil
}

// applyAll carries out changes of one collection, each on its own: those that
// conflict with somebody else's change are read and tried again. It returns an
// error only when the vault cannot serve; then some changes may be stored.
// prepare is called at each attempt with the state in force and decides the
// rights of each change anew.
func (v *Vault) applyAll(ctx context.Context, c Caller, action audit.Action, changes []*change, prepare func(*state) (*policy.Collection, *Error)) (*state, error) {
	v.pace.calls.Add(1)
	if err := v.log.Healthy(); err != nil {
		return nil, &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
	}
	if err := v.settle(ctx); err != nil {
		return nil, err
	}
	var mine turn
	defer func() { v.turns.end(mine) }()
	together := true
	for attempt := 0; ; attempt++ {
		st := v.state.Load()
		coll, refused := prepare(st)
		if refused != nil {
			return st, v.refused(ctx, c, st, refused, audit.Entry{Action: action, Count: uint32(len(changes))})
		}
		pending := openChanges(changes)
		if attempt == 0 { // not before the first decision: no right, no waiting
			var err error
			if mine, err = v.turns.begin(ctx, pending); err != nil {
				return st, err
			}
		}
		if err := v.recall(ctx, pending); err != nil {
			return st, failure(err)
		}
		w := &writer{v: v, st: st, coll: coll, caller: c, action: action, now: v.now()}
		if err := w.write(ctx, openChanges(pending), together); err != nil {
			return st, failure(err)
		}
		pending = openChanges(changes)
		if attempt == maxAttempts-1 {
			for _, ch := range pending {
				ch.err = fail(Contention, "")
			}
			pending = nil
		}
		if len(pending) == 0 {
			// Decided and stored under this state, whatever is in force by now.
			return st, v.auditUnchanged(ctx, c, st, coll, action, changes)
		}
		together = together && !w.crossed
		if w.stale {
			if _, err := v.reload(ctx); err != nil {
				return st, failure(err)
			}
		}
	}
}

func openChanges(all []*change) []*change {
	var out []*change
	for _, c := range all {
		if c.open() {
			out = append(out, c)
		}
	}
	return out
}

// readPrior reads header and record of the persons of pending, in two reads
// for all of them: the look-up, then the rows. It reports as stale when the
// control row is not the one of the state.
func (w *writer) readPrior(ctx context.Context, pending []*change) ([]prior, error) {
	l, err := w.v.finder(w.st.keys)
	if err != nil {
		return nil, err
	}
	hashes := make([]personHash, len(pending))
	for i, c := range pending {
		if err := c.hashBy(l); err != nil {
			return nil, err
		}
		hashes[i] = c.hash
	}
	refs, err := w.v.findHashes(ctx, l, hashes)
	if err != nil {
		return nil, err
	}
	pairs := []store.Key{controlPair}
	for _, ref := range refs {
		if ref != 0 {
			pairs = append(pairs,
				store.Key{Table: rows.People, Key: rows.HeaderKey(ref)},
				store.Key{Table: rows.People, Key: rows.RecordKey(ref, uint16(w.coll.ID))})
		}
	}
	var have store.Rows
	damaged, changed, err := salvage(ctx, w.v.values, pairs, 1, 2, &have)
	if err != nil {
		return nil, err
	}
	if row, ok := have.Value(0); changed || !w.st.current(row, ok) {
		w.stale = true
		return nil, nil
	}
	out := make([]prior, len(pending))
	at := 1
	for i, ref := range refs {
		if ref == 0 {
			continue
		}
		if damaged[(at-1)/2] {
			pending[i].err = fail(DataCorrupt, "")
		} else if err := out[i].read(ref, &have, at); err != nil {
			w.v.logger.Error("a person's rows are damaged", "collection", w.coll.Name, "error", err)
			pending[i].err = asError(err)
		}
		at += 2
	}
	for i, c := range pending {
		c.ref = out[i].ref
	}
	return out, nil
}

// read takes a person's header and record from two entries of have. A person
// who was erased after the look-up is a new person.
func (p *prior) read(ref uint64, have *store.Rows, at int) error {
	head, ok := have.Value(at)
	if !ok {
		return fmt.Errorf("%w: a person who can be looked up has no header", store.ErrCorrupt)
	}
	var err error
	if p.header, err = rows.ParseHeader(head); err != nil || p.header.State != rows.Active {
		return err
	}
	if row, ok := have.Value(at + 1); ok {
		if p.record, err = rows.ParseRecord(row); err != nil {
			return err
		}
		p.recordRow = row
	}
	p.ref, p.headerRow = ref, head
	p.key = subjectKey{ref: ref, generation: p.header.KeyGeneration}
	return nil
}

// auditUnchanged writes to the log what has no entry of its own: one entry for
// the changes that were refused, and one for those that an earlier call with
// the same request id had done, whose answer reads the record.
func (v *Vault) auditUnchanged(ctx context.Context, c Caller, st *state, coll *policy.Collection, action audit.Action, changes []*change) error {
	var refused, repeated []audit.Item
	for _, ch := range changes {
		switch {
		case ch.err != nil:
			it := audit.Item{Outcome: audit.Refused, Refusal: uint16(ch.err.Reason)}
			if ch.ref != 0 { // it was about what this person has
				it.Subject = v.subject.encipher(ch.ref)
			}
			if f := st.policy.FieldByName(coll.Name, ch.err.Field); f != nil {
				it.Field = uint32(f.ID)
			}
			refused = append(refused, it)
		case ch.request != nil && ch.request.was != nil:
			repeated = append(repeated, audit.Item{Outcome: audit.Allowed, Subject: v.subject.encipher(ch.ref)})
		}
	}
	var waiting receipts
	add := func(a audit.Action, o audit.Outcome, items []audit.Item) {
		if len(items) > 0 {
			waiting.add(v.log.Append(&audit.Entry{
				Request: c.Request, Principal: c.Principal, Action: a, PolicyVersion: st.policy.Version(),
				Collection: coll.Name, Outcome: o, Count: uint32(len(items)), Items: items,
			}))
		}
	}
	add(action, audit.Refused, refused)
	add(audit.ActionRead, audit.Allowed, repeated)
	return waiting.wait(ctx)
}

// newChange checks the form of a record and makes its change, with the keyed
// hash of its id. The field values are not looked at yet.
func (v *Vault) newChange(m mode, subject, etag string) *change {
	ch := &change{mode: m, subject: subject, etag: etag}
	if ch.err = checkSubjectID(subject); ch.err != nil {
		return ch
	}
	l, err := v.finder(v.ring.Snapshot())
	if err == nil {
		err = ch.hashBy(l)
	}
	if err != nil {
		ch.err = asError(err)
	}
	return ch
}

// hashBy makes the keys under which the person may stand, unless they are
// those of this finder already.
func (c *change) hashBy(l *finder) (err error) {
	if c.finder == nil || !c.finder.same(l) {
		c.hash, err = l.person(c.subject)
	}
	c.finder = l
	return err
}

// asError is failure for an item.
func asError(err error) *Error {
	var e *Error
	if errors.As(failure(err), &e) {
		return e
	}
	return &Error{Reason: StoreUnavailable, Detail: "the call ended before the item was done", cause: err}
}

// digestInput encodes what a change asks for, for the keyed hash that tells a
// repeated request from a different one.
func digestInput(in *RecordInput, extra ...string) []byte {
	var b []byte
	add := func(s string) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(s)))
		b = append(b, s...)
	}
	add(in.SubjectID)
	for _, f := range in.Fields {
		add(f.Field)
		b = binary.BigEndian.AppendUint32(b, uint32(len(f.Values)))
		for _, g := range f.Values {
			add(fmt.Sprint(g.Binary))
			b = binary.BigEndian.AppendUint32(b, uint32(g.Len()))
			b = append(b, g.Expose()...)
		}
	}
	for _, s := range extra {
		add(s)
	}
	return b
}
