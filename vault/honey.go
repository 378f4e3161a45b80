package vault

import (
	"context"
	"encoding/binary"
	"fmt"
	"maps"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// MaxHoneys is how many honey records there may be. All are held in memory, at
// some 50 bytes each.
const MaxHoneys = 10_000

// Honey is a honey record: a person who does not exist, so that nobody has a
// reason to look.
type Honey struct {
	Subject string // the caller's id of the person
	Refuse  bool   // reveals are answered as if there were nothing
	Reason  string // a code or ticket
	By      string // the principal who marked it
	At      time.Time
}

// HoneyRequest marks a person as a honey record.
type HoneyRequest struct {
	Subject string // the caller's id of the person
	Refuse  bool
	Reason  string // a code or ticket; required
}

// storedHoney is a row of the honey table. Its number says nothing of the
// person, and all rows are equally long, so the disk does not show who is one;
// how many there are it does show.
type storedHoney struct {
	Ref    uint64    `json:"ref"`
	Refuse bool      `json:"refuse,omitempty"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// honeySet is who is marked, by ref. A state in which nobody is has none.
type honeySet map[uint64]honeyMark

type honeyMark struct {
	number uint64 // of the row
	refuse bool
}

// refuses reports whether reveals of a person are answered as if there were
// nothing.
func (h honeySet) refuses(ref uint64) bool { return len(h) > 0 && h[ref].refuse }

// with returns the set with one mark more; without, with one less.
func (h honeySet) with(ref uint64, m honeyMark) honeySet {
	next := make(honeySet, len(h)+1)
	maps.Copy(next, h)
	next[ref] = m
	return next
}

func (h honeySet) without(ref uint64) honeySet {
	next := maps.Clone(h)
	delete(next, ref)
	return next
}

// MarkHoney marks a person as a honey record. A reveal of one is answered as
// usual, or with Refuse exactly like one of nothing; either way the audit log
// names the person, which is what raises the alarm. Who is marked already gets
// the new settings. The mark goes when the person is erased.
func (v *Vault) MarkHoney(ctx context.Context, c Caller, q HoneyRequest) error {
	object := "mark"
	if q.Refuse {
		object = "mark, refuse"
	}
	return v.changeHoney(ctx, c, q.Subject, q.Reason, object, func(st, next *state, b *store.Batch, ref, generation uint64) (*Error, error) {
		mark, marked := st.honey[ref]
		if !marked {
			if len(st.honey) >= MaxHoneys {
				return refuse(InvalidRequest, "subject_id", fmt.Sprintf("no more than %d persons may be marked", MaxHoneys)), nil
			}
			mark.number = generation
		}
		mark.refuse = q.Refuse
		next.honey = st.honey.with(ref, mark)
		return nil, v.putRow(b, rows.Honey, mark.number, &storedHoney{
			Ref: ref, Refuse: q.Refuse, Reason: q.Reason, By: c.Principal, At: v.now().UTC(),
		})
	})
}

// UnmarkHoney takes the mark from a person. One who is not marked is
// SubjectNotFound.
func (v *Vault) UnmarkHoney(ctx context.Context, c Caller, subject, reason string) error {
	return v.changeHoney(ctx, c, subject, reason, "unmark", func(st, next *state, b *store.Batch, ref, _ uint64) (*Error, error) {
		mark, marked := st.honey[ref]
		if !marked {
			return refuse(SubjectNotFound, "subject_id", "the person is not marked"), nil
		}
		next.honey = st.honey.without(ref)
		b.Delete(rows.Honey, rows.NumberKey(mark.number))
		return nil, nil
	})
}

// changeHoney finds the person, lets change fill the next state and the batch,
// and enacts both; the person's header is required unchanged, so that nobody
// who is being erased gets a mark.
func (v *Vault) changeHoney(ctx context.Context, c Caller, subject, reason, object string, change func(st, next *state, b *store.Batch, ref, generation uint64) (*Error, error)) error {
	refusal := &audit.Entry{Action: audit.ActionHoney, Reason: knownReason(reason), Object: object}
	return v.administer(ctx, c, policy.ActionHoney, refusal, func(st *state) (*Error, error) {
		if refused := checkSubjectID(subject); refused != nil {
			return refused, nil
		}
		if refused := requireReason(reason); refused != nil {
			return refused, nil
		}
		ref, header, err := v.personOf(ctx, subject)
		if err != nil {
			return nil, err
		}
		if ref == 0 {
			return fail(SubjectNotFound, "subject_id"), nil
		}
		control, err := st.nextControl()
		if err != nil {
			return nil, err
		}
		next := *st
		var b store.Batch
		b.RequireEqual(rows.People, rows.HeaderKey(ref), header)
		if refused, err := change(st, &next, &b, ref, control.Freezes); refused != nil || err != nil {
			return refused, err
		}
		entry := v.changeEntry(c, audit.ActionHoney, st.policy.Version())
		entry.Object, entry.Reason, entry.Count = object, reason, 1
		entry.Items = []audit.Item{{Subject: v.subject.encipher(ref), Outcome: audit.Allowed}}
		return nil, v.enact(ctx, st, &next, control, &b, entry)
	})
}

// personOf finds a person by the caller's id: the ref, 0 for nobody, and the
// stored header.
func (v *Vault) personOf(ctx context.Context, subject string) (uint64, []byte, error) {
	hash, err := v.lookupHash(subject)
	if err != nil {
		return 0, nil, err
	}
	refs, err := v.findRefs(ctx, []rows.Hash{hash})
	if err != nil || refs[0] == 0 {
		return 0, nil, err
	}
	var have store.Rows
	if err := v.values.Get(ctx, []store.Key{{Table: rows.People, Key: rows.HeaderKey(refs[0])}}, &have); err != nil {
		return 0, nil, err
	}
	row, ok := have.Value(0)
	if !ok {
		return 0, nil, nil
	}
	h, err := rows.ParseHeader(row)
	if err != nil || h.State != rows.Active {
		return 0, nil, err
	}
	return refs[0], row, nil
}

// Honeys lists the honey records in the order in which they were marked. One
// whose person does not open is left out, and the server's log says so.
func (v *Vault) Honeys(ctx context.Context, c Caller) ([]Honey, error) {
	entry := audit.Entry{Action: audit.ActionIncidentRead, Object: "honey records"}
	st, err := v.inspect(ctx, c, policy.ActionHoney, entry)
	if err != nil {
		return nil, err
	}
	var found []storedHoney
	err = v.eachRow(ctx, rows.Honey, func(_ uint64, decode func(any) error) error {
		var h storedHoney
		err := decode(&h)
		found = append(found, h)
		return err
	})
	if err != nil {
		return nil, failure(err)
	}
	out := make([]Honey, 0, len(found))
	for len(found) > 0 {
		page := found[:min(len(found), scanPage)]
		found = found[len(page):]
		refs := make([]uint64, len(page))
		for i := range page {
			refs[i] = page[i].Ref
		}
		ids, err := v.identities(ctx, refs)
		if err != nil {
			return nil, failure(err)
		}
		for i, h := range page {
			if ids[i].err == nil {
				out = append(out, Honey{Subject: ids[i].subject, Refuse: h.Refuse, Reason: h.Reason, By: h.By, At: h.At})
			}
		}
	}
	entry.Count = uint32(len(out))
	if err := v.inspected(ctx, c, st, entry); err != nil {
		return nil, err
	}
	return out, nil
}

// IsHoney reports whether a person is a honey record, by the subject of an
// audit item. It is for what raises alarms and reads nothing.
func (v *Vault) IsHoney(subject [16]byte) bool {
	honey := v.state.Load().honey
	if len(honey) == 0 {
		return false
	}
	ref, ok := v.subject.decipher(subject)
	_, marked := honey[ref]
	return ok && marked
}

// decipher is the opposite of encipher; false for what it never made.
func (c subjectCipher) decipher(subject [16]byte) (ref uint64, ok bool) {
	c.block.Decrypt(subject[:], subject[:])
	return binary.BigEndian.Uint64(subject[8:]), binary.BigEndian.Uint64(subject[:8]) == 0
}
