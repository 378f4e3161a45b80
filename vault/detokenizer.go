package vault

import (
	"context"
	"fmt"
	"slices"
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// detokenizer is the memory of one call, used again by later ones.
type detokenizer struct {
	items []revealItem
	pairs []store.Key
	arena []byte
	rows  store.Rows
	need  []subjectKey
	keys  keyScratch

	unopened []int // items that were authorised and turned out to be damaged
}

// revealItem is one value on its way out.
type revealItem struct {
	id      token.ID
	field   *policy.Field
	view    policy.View
	refusal Reason // 0: goes on
	version uint16 // of the field's key under which the value is sealed
	pair    int    // index of the header in pairs; the cell follows
	key     int    // index in need
}

var detokenizers = sync.Pool{New: func() any { return new(detokenizer) }}

func (s *detokenizer) release() {
	for i := range s.need {
		clear(s.need[i].key[:])
	}
	clear(s.items) // drops references to the policy
	detokenizers.Put(s)
}

// decide parses the tokens and judges the right to each, before any read.
func (s *detokenizer) decide(st *state, pr *policy.Principal, purpose *policy.Purpose, q *DetokenizeRequest) {
	s.items = s.items[:0]
	for _, text := range q.Tokens {
		it := revealItem{}
		var err error
		switch it.id, err = st.tokens.Parse(text); {
		case err == nil:
			it.field, it.view, it.refusal = st.decideToken(pr, purpose, it.id, q.View)
		case isMalformed(err):
			it.refusal = MalformedToken
		default:
			it.refusal = st.unread(text)
		}
		s.items = append(s.items, it)
	}
}

// decideToken judges the right on a token's field and domain.
func (st *state) decideToken(pr *policy.Principal, purpose *policy.Purpose, id token.ID, view policy.View) (*policy.Field, policy.View, Reason) {
	f := st.policy.Field(policy.FieldID(id.Field))
	if f == nil {
		return nil, 0, TokenNotFound
	}
	held, refusal := st.viewFor(pr, policy.Request{
		Action: policy.ActionReveal, Field: f.ID, Purpose: purpose.ID,
		View: view, Domain: policy.DomainID(id.Domain),
	})
	if refusal == 0 && st.frozen.hides(f) {
		refusal = Frozen
	}
	return f, held, refusal
}

// stopped reports whether a freeze refuses some item to a caller who has the
// right to it.
func (s *detokenizer) stopped() bool {
	return slices.ContainsFunc(s.items, func(it revealItem) bool { return it.refusal == Frozen })
}

// ask collects the rows to read, all from one snapshot: the control row, and
// header and cell of every item that may be read.
func (s *detokenizer) ask() {
	s.pairs = append(s.pairs[:0], controlPair)
	s.arena = s.arena[:0]
	need := 0
	for i := range s.items {
		if s.items[i].refusal == 0 {
			need += headerKeyLen + cellKeyLen
		}
	}
	if cap(s.arena) < need {
		s.arena = make([]byte, 0, need) // the keys below must not move
	}
	for i := range s.items {
		it := &s.items[i]
		if it.refusal != 0 {
			continue
		}
		it.pair = len(s.pairs)
		at := len(s.arena)
		s.arena = rows.AppendHeaderKey(s.arena, it.id.Ref)
		mid := len(s.arena)
		s.arena = rows.AppendCellKey(s.arena, it.id.Ref, it.id.Field, it.id.Item)
		s.pairs = append(s.pairs,
			store.Key{Table: rows.People, Key: s.arena[at:mid:mid]},
			store.Key{Table: rows.People, Key: s.arena[mid:len(s.arena):len(s.arena)]})
	}
}

// refuseDamaged refuses the items whose rows cannot be read.
func (s *detokenizer) refuseDamaged(damaged map[int]bool) {
	if len(damaged) == 0 {
		return
	}
	for i := range s.items {
		if it := &s.items[i]; it.refusal == 0 && damaged[(it.pair-1)/2] {
			it.refusal = DataCorrupt
		}
	}
}

const (
	headerKeyLen = 9
	cellKeyLen   = 14
)

// judge checks existence, the token's generation, and the person, and notes
// which persons' keys are needed. A honey record that refuses is like a person
// who is not there, up to the audit log, which names it.
func (s *detokenizer) judge(st *state, purpose *policy.Purpose) {
	s.need = s.need[:0]
	for i := range s.items {
		it := &s.items[i]
		if it.refusal != 0 {
			continue
		}
		row, ok := s.rows.Value(it.pair)
		blob, cell := s.rows.Value(it.pair + 1)
		if !ok || !cell {
			it.refusal = TokenNotFound
			continue
		}
		h, err := rows.ParseHeader(row)
		switch {
		case err != nil:
			it.refusal = DataCorrupt
		case h.State != rows.Active || h.TokenGeneration != it.id.Generation || st.honey.refuses(it.id.Ref):
			it.refusal = TokenNotFound
		case purpose.Basis == policy.BasisConsent:
			it.refusal = ConsentRequired
		default:
			// A blob that names no version does not open either; then nothing is
			// revealed, and 0 says that it is unknown.
			it.version, _ = seal.OuterVersion(st.keys.Field(it.id.Field), blob)
			it.key = len(s.need)
			s.need = append(s.need, subjectKey{ref: it.id.Ref, generation: h.KeyGeneration})
		}
	}
}

// personKeys fetches the keys of the persons. A person whose header was there
// and whose key is gone was erased meanwhile, or the key is lost.
func (v *Vault) personKeys(ctx context.Context, s *detokenizer) error {
	if len(s.need) == 0 {
		return nil
	}
	if err := v.subjectKeys(ctx, s.need, &s.keys); err != nil {
		return err
	}
	for i := range s.items {
		it := &s.items[i]
		if it.refusal != 0 || s.need[it.key].found {
			continue
		}
		erased, err := v.erased(ctx, it.id.Ref)
		if err != nil {
			return err
		}
		it.refusal = DataCorrupt
		if erased {
			it.refusal = TokenNotFound
		} else {
			v.logger.Error("a person's key is missing", "field", it.field.Name)
		}
	}
	return nil
}

// openAll opens what was authorised into out.
func (v *Vault) openAll(st *state, s *detokenizer, out *Revealed) {
	out.reset(len(s.items))
	s.unopened = s.unopened[:0]
	now := v.now()
	for i := range s.items {
		it := &s.items[i]
		if it.refusal != 0 {
			out.Items[i].Err = it.error()
			continue
		}
		if len(out.arena) > MaxAnswer {
			out.Items[i].Err = refuse(Busy, it.field.Name, fmt.Sprintf("the answer would hold more than %d bytes; ask for fewer at once", MaxAnswer))
			continue
		}
		blob, _ := s.rows.Value(it.pair + 1)
		out.Items[i].Err = v.openCell(st, out, i, it.field, &s.need[it.key], it.id.Item, it.view, blob, now)
		if err := out.Items[i].Err; err != nil && err.Reason == DataCorrupt {
			s.unopened = append(s.unopened, i)
		}
	}
}

// error is the item's refusal for the caller. The field is named only where
// the refusal is about it.
func (it *revealItem) error() *Error {
	field := ""
	if it.field != nil && it.refusal != TokenNotFound {
		field = it.field.Name
	}
	return fail(it.refusal, field)
}
