package vault

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// storedHoney is a row of the honey table. Its number says nothing of the
// person, and all rows are equally long, so the disk does not show who is one;
// how many there are it does show. Hash is what the caller's id is looked up by:
// by it a mark is ended, also when its person is erased and has no id any more.
// It goes with the mark.
type storedHoney struct {
	Ref    uint64    `json:"ref"`
	Hash   []byte    `json:"hash"`
	Refuse bool      `json:"refuse,omitempty"`
	Reason string    `json:"reason"`
	By     string    `json:"by"`
	At     time.Time `json:"at"`
}

// eachHoney opens every mark, by rising number.
func (v *Vault) eachHoney(ctx context.Context, fn func(*storedHoney)) error {
	return v.eachRow(ctx, rows.Honey, func(_ uint64, decode func(any) error) error {
		var h storedHoney
		if err := decode(&h); err != nil {
			return err
		}
		fn(&h)
		return nil
	})
}

func honeyList() audit.Entry {
	return audit.Entry{Action: audit.ActionIncidentRead, Object: "honey records"}
}

// honeyChange is a change of the marks on its way to the store.
type honeyChange struct {
	v       *Vault
	caller  Caller
	reason  string
	st      *state
	control rows.ControlRow // as it will be
	marks   honeySet        // as they will be
	batch   store.Batch
	entries []*audit.Entry
}

// changeHoney lets change fill the next marks and the batch, and enacts both.
// asked is what the log says of a refusal.
func (v *Vault) changeHoney(ctx context.Context, c Caller, subject, reason, asked string, change func(*honeyChange) (*Error, error)) error {
	refusal := &audit.Entry{Action: audit.ActionHoney, Reason: knownReason(reason), Object: asked}
	return v.administer(ctx, c, policy.ActionHoney, refusal, func(st *state) (*Error, error) {
		if refused := checkSubjectID(subject); refused != nil {
			return refused, nil
		}
		if refused := requireReason(reason); refused != nil {
			return refused, nil
		}
		n := &honeyChange{v: v, caller: c, reason: reason, st: st, marks: st.honey}
		var err error
		if n.control, err = st.nextControl(); err != nil {
			return nil, err
		}
		if refused, err := change(n); refused != nil || err != nil {
			return refused, err
		}
		next := *st
		next.honey = n.marks
		return nil, v.enact(ctx, st, &next, n.control, &n.batch, n.entries...)
	})
}

// enter adds an entry of one mark. It names no person: who reads the log shall
// not learn who is marked.
func (n *honeyChange) enter(object string) {
	entry := n.v.changeEntry(n.caller, audit.ActionHoney, n.st.policy.Version())
	entry.Object, entry.Reason, entry.Count = object, n.reason, 1
	n.entries = append(n.entries, entry)
}

// end takes the mark from a person.
func (n *honeyChange) end(ref uint64) {
	number := n.marks[ref].number
	n.marks = n.marks.without(ref)
	n.batch.Delete(rows.Honey, rows.NumberKey(number))
	n.enter(fmt.Sprintf("unmark %d", number))
}

// makeRoom sees to it that there may be one mark more: at the bound the oldest
// of an erased person goes.
func (n *honeyChange) makeRoom(ctx context.Context) (*Error, error) {
	if len(n.marks) < MaxHoneys {
		return nil, nil
	}
	refs := slices.Collect(maps.Keys(n.marks))
	slices.SortFunc(refs, func(a, b uint64) int { return cmp.Compare(n.marks[a].number, n.marks[b].number) })
	for page := range slices.Chunk(refs, scanPage) {
		pairs := make([]store.Key, len(page))
		for i, ref := range page {
			pairs[i] = store.Key{Table: rows.Ledger, Key: rows.RefKey(ref)}
		}
		var have store.Rows
		if err := n.v.values.Get(ctx, pairs, &have); err != nil {
			return nil, err
		}
		for i, ref := range page {
			if _, erased := have.Value(i); erased {
				n.end(ref)
				return nil, nil
			}
		}
	}
	return refuse(InvalidRequest, "subject_id", fmt.Sprintf("no more than %d persons may be marked", MaxHoneys)), nil
}

// everyHash hashes a caller's id under every version of the key that is enabled.
func (v *Vault) everyHash(id string) ([]rows.Hash, error) {
	l, err := v.finder(v.ring.Snapshot())
	if err != nil {
		return nil, err
	}
	var out []rows.Hash
	for _, version := range primaryFirst(l.prf) {
		hash, err := l.hash(version, subjectIDLabel, []byte(id))
		if err != nil {
			return nil, err
		}
		out = append(out, hash)
	}
	return out, nil
}

// personOf finds a person by the caller's id: the ref, 0 for nobody, and the
// stored header.
func (v *Vault) personOf(ctx context.Context, id string) (uint64, []byte, error) {
	refs, err := v.findRefs(ctx, []string{id})
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
