package vault

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// MaxHoneys is how many honey marks there may be, those of erased persons
// included. All are held in memory, at some 50 bytes each.
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
// the new settings.
//
// A Tokenize of one is answered as usual too. With Refuse it confirms no value,
// right or wrong: each is taken for another than the record holds, so a field of
// one value answers VALUE_EXISTS, and one of several stores one more until it is
// full. What an unknown person gives, the value stored, it cannot give, since
// that would write over what is there.
//
// The mark outlives the person: when the record is erased, its old tokens stay a
// trap, and nobody can undo an alarm by erasing. A new person of the same id is
// not marked. When there are MaxHoneys marks, a new one takes the place of the
// oldest of an erased person, and is refused when there is none.
//
// The entry of a mark in the audit log names its number and no person, so who
// reads the log does not learn who is marked until somebody steps into the trap.
func (v *Vault) MarkHoney(ctx context.Context, c Caller, q HoneyRequest) error {
	suffix := ""
	if q.Refuse {
		suffix = ", refuse"
	}
	return v.changeHoney(ctx, c, q.Subject, q.Reason, "mark"+suffix, func(n *honeyChange) (*Error, error) {
		ref, header, err := v.personOf(ctx, q.Subject)
		if err != nil {
			return nil, err
		}
		if ref == 0 {
			return fail(SubjectNotFound, "subject_id"), nil
		}
		mark, marked := n.marks[ref]
		if !marked {
			if refused, err := n.makeRoom(ctx); refused != nil || err != nil {
				return refused, err
			}
			mark.number = n.control.Freezes
		}
		mark.refuse = q.Refuse
		n.marks = n.marks.with(ref, mark)
		n.enter(fmt.Sprintf("mark %d%s", mark.number, suffix))
		n.batch.RequireEqual(rows.People, rows.HeaderKey(ref), header) // who is being erased gets no mark
		hash, err := v.lookupHash(q.Subject)
		if err != nil {
			return nil, err
		}
		return nil, v.putRow(&n.batch, rows.Honey, mark.number, &storedHoney{
			Ref: ref, Hash: hash[:], Refuse: q.Refuse, Reason: q.Reason, By: c.Principal, At: v.now().UTC(),
		})
	})
}

// UnmarkHoney ends the marks of an id at once: that of the person, and those of
// persons who were marked and erased under it. When there is none it is
// SubjectNotFound. The mark of an erased person knows the id by a hash alone:
// once the version of the lookup key is disabled or destroyed that made it, the
// mark stays until it has to make room.
func (v *Vault) UnmarkHoney(ctx context.Context, c Caller, subject, reason string) error {
	return v.changeHoney(ctx, c, subject, reason, "unmark", func(n *honeyChange) (*Error, error) {
		ref, _, err := v.personOf(ctx, subject)
		if err != nil {
			return nil, err
		}
		hashes, err := v.everyHash(subject)
		if err != nil {
			return nil, err
		}
		err = v.eachHoney(ctx, func(h *storedHoney) {
			if h.Ref == ref || len(h.Hash) == len(rows.Hash{}) && slices.Contains(hashes, rows.Hash(h.Hash)) {
				n.end(h.Ref)
			}
		})
		if err == nil && len(n.entries) == 0 {
			return refuse(SubjectNotFound, "subject_id", "nobody of this id is marked"), nil
		}
		return nil, err
	})
}

// Honeys lists the honey records in the order in which they were marked. Left
// out are the marks of erased persons, who have no id any more, and of persons
// who do not open, of which the server's log tells; the count in the audit log
// is of all.
func (v *Vault) Honeys(ctx context.Context, c Caller) ([]Honey, error) {
	entry := honeyList()
	st, err := v.inspect(ctx, c, policy.ActionHoney, entry)
	if err != nil {
		return nil, err
	}
	var found []storedHoney
	if err := v.eachHoney(ctx, func(h *storedHoney) { found = append(found, *h) }); err != nil {
		return nil, failure(err)
	}
	entry.Count = uint32(len(found))
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
	if err := v.inspected(ctx, c, st, entry); err != nil {
		return nil, err
	}
	return out, nil
}

// IsHoney reports whether a person is a honey record or was one when erased, by
// the subject of an audit item. It is for what raises alarms and reads nothing.
func (v *Vault) IsHoney(subject [16]byte) bool {
	honey := v.state.Load().honey
	if len(honey) == 0 {
		return false
	}
	ref, ok := v.subject.decipher(subject)
	_, marked := honey[ref]
	return ok && marked
}
