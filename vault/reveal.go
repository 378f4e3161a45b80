package vault

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/plain"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Revealed holds the answer of a reveal: one item a token, all values in one
// buffer. The zero value is ready; it may be used again after Wipe.
type Revealed struct {
	arena []byte
	Items []RevealedItem
}

// RevealedItem is one value, or why there is none.
type RevealedItem struct {
	start, end int
	View       policy.View // the view of the value
	Binary     bool        // the value is bytes, not text
	Err        *Error
}

// Value returns the value of item i. It shares the buffer of r.
func (r *Revealed) Value(i int) plain.Value {
	it := &r.Items[i]
	return plain.New(r.arena[it.start:it.end:it.end])
}

// Span returns where item i stands in what ExposeAll returns.
func (r *Revealed) Span(i int) (start, end int) { return r.Items[i].start, r.Items[i].end }

// ExposeAll returns the buffer with all values in clear, for transports that
// copy it once. It must not be logged, formatted or put into an error.
func (r *Revealed) ExposeAll() []byte { return r.arena }

// Format implements fmt.Formatter: every verb prints the same, since the values
// in the buffer have no type of their own that could hide them.
func (Revealed) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(plain.Redacted)) }

// Wipe clears the values and empties r.
func (r *Revealed) Wipe() {
	clear(r.arena)
	clear(r.Items)
	r.arena, r.Items = r.arena[:0], r.Items[:0]
}

// reset makes room for n items, none of them answered yet.
func (r *Revealed) reset(n int) {
	r.Wipe()
	for range n {
		r.Items = append(r.Items, RevealedItem{})
	}
}

// purposeOf finds a purpose by its name.
func purposeOf(st *state, name string) (*policy.Purpose, *Error) {
	if name == "" {
		return nil, fail(PurposeRequired, "purpose")
	}
	p := st.policy.Purpose(name)
	if p == nil {
		return nil, fail(UnknownPurpose, "purpose")
	}
	return p, nil
}

// checkView refuses views that a reveal does not offer.
func checkView(view policy.View) *Error {
	switch view {
	case 0, policy.ViewPlain, policy.ViewMasked:
		return nil
	}
	return refuse(InvalidRequest, "view", "this view is not offered")
}

// checkReason accepts codes and tickets and refuses free text, which could
// carry personal data into the audit log.
func checkReason(reason string) *Error {
	if len(reason) > MaxReason {
		return refuse(InvalidRequest, "reason", fmt.Sprintf("must be at most %d bytes", MaxReason))
	}
	for i := range len(reason) {
		c := reason[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || strings.IndexByte("-_.:/#", c) >= 0) {
			return refuse(InvalidRequest, "reason", `must be a code or ticket of letters, digits and "-_.:/#"`)
		}
	}
	return nil
}

// viewFor decides in which view a caller gets a field: the one asked for, or
// with 0 the widest held of those that are offered.
func (st *state) viewFor(pr *policy.Principal, r policy.Request) (policy.View, Reason) {
	if r.View != 0 {
		refusal := st.decide(pr, r)
		if refusal != 0 {
			return 0, refusal
		}
		return r.View, 0
	}
	r.View = policy.ViewPlain
	plain := st.decide(pr, r)
	if plain == 0 {
		return policy.ViewPlain, 0
	}
	r.View = policy.ViewMasked
	switch masked := st.decide(pr, r); masked {
	case 0:
		return policy.ViewMasked, 0
	case Frozen: // the caller has a right, and it is frozen
		return 0, Frozen
	}
	return 0, plain
}

// A cell's sealed bytes are the time it was written, in Unix milliseconds as 8
// bytes, and the canonical value; so both locks vouch for the age of a value.
const cellTime = 8

// openCell opens a cell and appends the value in the given view to r's buffer
// as item i. The canonical value does not stay in memory after a masked view.
func (v *Vault) openCell(st *state, r *Revealed, i int, f *policy.Field, k *subjectKey, item uint16, view policy.View, blob []byte, now time.Time) *Error {
	if !k.found {
		return fail(DataCorrupt, f.Name)
	}
	outer := st.keys.Field(uint32(f.ID))
	if outer == nil {
		return fail(KeysUnavailable, f.Name)
	}
	place := v.cellPlace(f, k.ref, item, k.generation)
	start := len(r.arena)
	opened, err := seal.Open(r.arena, outer, k.key.bytes(), &place, blob)
	if err == nil && len(opened)-start < cellTime {
		err = fmt.Errorf("%w: a cell without its time", store.ErrCorrupt)
	}
	if err != nil {
		e := asError(err)
		if e.Reason != KeyDisabled && e.Reason != KeyDestroyed { // which is as somebody wanted it
			v.logger.Error("a stored value does not open", "field", f.Name, "error", err)
		}
		if errors.Is(err, keys.ErrNoKey) {
			// The keyset is there; what is not is the key id that the cell names.
			e.Reason, e.Detail = DataCorrupt, texts[DataCorrupt]
		}
		e.Field = f.Name
		return e
	}
	r.arena = opened
	written := int64(binary.BigEndian.Uint64(opened[start:]))
	value := opened[start+cellTime:]
	if f.Retention > 0 && now.UnixMilli()-written > f.Retention.Milliseconds() {
		clear(opened[start:])
		r.arena = opened[:start]
		return fail(TokenNotFound, "")
	}
	it := &r.Items[i]
	it.View, it.Binary = view, view == policy.ViewPlain && f.Type.Binary()
	it.start = start + cellTime
	if view == policy.ViewMasked {
		end := len(r.arena)
		r.arena = f.Type.AppendMask(r.arena, value)
		clear(r.arena[it.start:end])
		it.start = end
	}
	it.end = len(r.arena)
	return nil
}

// cellPlace is where a cell stands.
func (v *Vault) cellPlace(f *policy.Field, ref uint64, item uint16, generation uint32) seal.Place {
	return seal.Place{
		Vault: v.id, Collection: uint16(f.Collection.ID), Ref: ref,
		Field: uint32(f.ID), Item: item, KeyGeneration: generation,
	}
}
