package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// ListAuditRequest asks for a page of the audit log.
type ListAuditRequest struct {
	Filter    HistoryFilter
	PageSize  int // 0: 100; at most MaxBatch
	PageToken string
	Newest    bool // newest first
}

// AuditPage is a page of the audit log.
type AuditPage struct {
	Entries []HistoryEntry
	Next    string // the token of the next page, empty after the last
	First   uint64 // the first entry that the log keeps
	Size    uint64 // entries ever written
}

// Bounds of one page, so that every answer comes in time and fits a message:
// a page that reaches one is short and not the last.
const (
	scanBudget  = 200_000  // entries looked at
	readBudget  = 64 << 20 // their bytes
	pageEntries = 1 << 20  // bytes of the items found, about
)

// ListAudit returns a page of the audit log. What matches is found through the
// index as far as it covers the log, and by reading the rest.
func (v *Vault) ListAudit(ctx context.Context, c Caller, q ListAuditRequest) (*AuditPage, error) {
	st, refused, err := v.beginHistory(ctx, c, policy.ActionAuditRead)
	if err != nil {
		return nil, err
	}
	size := q.PageSize
	if size == 0 {
		size = 100
	}
	var m *matcher
	p := &pager{v: v, newest: q.Newest, budget: scanBudget, bytes: readBudget, room: pageEntries}
	if refused == nil && (size < 0 || size > MaxBatch) {
		refused = refuse(InvalidRequest, "page_size", fmt.Sprintf("must be 0 to %d", MaxBatch))
	}
	if refused == nil {
		if m, refused, err = v.newMatcher(ctx, st, &q.Filter); err != nil {
			return nil, failure(err)
		}
	}
	if refused == nil {
		p.m, p.want, p.size, p.first = m, size, v.history.log.Size(), v.history.log.First()
		m.follow(v)
		refused = p.begin(c, q.PageToken)
	}
	if refused != nil {
		return nil, v.refused(ctx, c, st, refused, audit.Entry{Action: audit.ActionAuditRead, Object: "list"})
	}
	if err := p.run(ctx); err != nil {
		return nil, failure(err)
	}
	out := &AuditPage{Entries: p.found, First: p.first, Size: p.size}
	if !p.done {
		out.Next = p.token(c)
	}
	err = v.enterHistory(ctx, c, st, audit.Entry{
		Action: audit.ActionAuditRead, Object: "list", Count: uint32(len(out.Entries)), Items: m.lookedAt(),
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// lookedAt names in the log whose history was asked for.
func (m *matcher) lookedAt() []audit.Item {
	items := make([]audit.Item, len(m.handle))
	for i := range m.handle {
		items[i] = audit.Item{Subject: m.handle[i], Outcome: audit.Allowed}
	}
	return items
}

// pager walks through the log in one direction until a page is full.
type pager struct {
	v      *Vault
	m      *matcher
	newest bool
	want   int
	budget int    // entries
	bytes  int    // of entries
	room   int    // bytes of what is found
	first  uint64 // the log's first entry
	size   uint64 // the log's size for this list; later entries are not in it

	// from and to bound what is still to be looked at: [from, to).
	from, to uint64
	found    []HistoryEntry
	done     bool
}

func (p *pager) run(ctx context.Context) error {
	if p.m.none() {
		p.done = true
		return nil
	}
	covered := min(max(p.v.history.covered(), p.first), p.size)
	var err error
	if p.newest {
		if p.to > covered {
			err = p.scanBack(ctx, max(covered, p.from))
		}
		if err == nil && p.to <= covered {
			err = p.lookUp(ctx, p.from, p.to)
		}
	} else {
		if p.from < covered {
			err = p.lookUp(ctx, p.from, min(covered, p.to))
		}
		if err == nil {
			err = p.scan(ctx, p.to)
		}
	}
	if errors.Is(err, errEnough) {
		return nil
	}
	if err == nil {
		p.done = true
	}
	return err
}

// take looks at one entry and returns errEnough when the page is full or the
// budget is spent; the entry is then looked at.
func (p *pager) take(i uint64, raw []byte) error {
	e, err := audit.Decode(raw)
	if err != nil {
		return err
	}
	if p.newest {
		p.to = i
	} else {
		p.from = i + 1
	}
	if p.m.match(e) {
		p.found = append(p.found, HistoryEntry{Index: i, Entry: e})
		p.room -= len(e.Items) * itemSize
	}
	p.budget--
	p.bytes -= len(raw)
	if p.budget <= 0 || p.bytes <= 0 || p.room <= 0 || len(p.found) >= p.want {
		return errEnough
	}
	return nil
}

// itemSize is about how much an item takes in an answer.
const itemSize = 100

// scan reads on to an index.
func (p *pager) scan(ctx context.Context, to uint64) error {
	full := false
	err := p.v.history.read(ctx, p.from, to, func(i uint64, raw []byte) error {
		err := p.take(i, raw)
		full = errors.Is(err, errEnough)
		return err
	})
	if err == nil && full {
		return errEnough
	}
	return err
}

// backStep is how many entries are read at once on the way back.
const backStep = 512

// scanBack reads back to an index, a step forward at a time.
func (p *pager) scanBack(ctx context.Context, down uint64) error {
	for p.to > down {
		from := max(down, p.to-min(p.to, backStep))
		var step lot
		if err := p.v.history.read(ctx, from, p.to, step.add); err != nil {
			return err
		}
		if err := step.each(true, p.take); err != nil {
			return err
		}
		p.to = from
	}
	return nil
}

// lookUpStep is how many candidates are read at once.
const lookUpStep = 64

// lookUp goes through the candidates of the index in [from, to).
func (p *pager) lookUp(ctx context.Context, from, to uint64) error {
	if from >= to {
		return nil
	}
	var at []uint64
	var own error // of ours, not of the index
	flush := func() error {
		batch := at
		at = at[:0]
		own = p.takeAll(ctx, batch)
		return own
	}
	covered, err := p.v.history.find(ctx, lookup{
		keys: p.m.keys, from: from, to: to, after: p.m.since, before: p.m.until, newest: p.newest,
	}, func(i uint64) error {
		if at = append(at, i); len(at) < lookUpStep {
			return nil
		}
		return flush()
	})
	if err == nil {
		err = flush()
	}
	switch {
	case own != nil:
		return own
	case ctx.Err() != nil:
		return ctx.Err()
	case err != nil: // the log has all of it
		p.v.logger.Warn("the index of the audit log cannot be used; the log is read instead", "error", err)
		if p.newest {
			return p.scanBack(ctx, from)
		}
		return p.scan(ctx, to)
	}
	if covered < to { // the index was emptied meanwhile
		if p.newest {
			return &Error{Reason: Contention, Detail: "the index of the log is being built again; try again"}
		}
		to = max(covered, p.from)
	}
	if p.newest {
		p.to = from
	} else {
		p.from = to
	}
	return nil
}

// takeAll looks at candidates in their order. Of those that were pruned
// meanwhile the log gives nothing.
func (p *pager) takeAll(ctx context.Context, at []uint64) error {
	if len(at) == 0 {
		return nil
	}
	rising := at
	if p.newest {
		rising = slices.Clone(at)
		slices.Reverse(rising)
	}
	var kept lot
	if err := p.v.history.log.At(ctx, rising, kept.add); err != nil {
		return err
	}
	return kept.each(p.newest, p.take)
}

// lot is some entries, in rising order.
type lot struct {
	at   []uint64
	ends []int
	raw  []byte
}

func (l *lot) add(i uint64, raw []byte) error {
	l.raw = append(l.raw, raw...)
	l.at, l.ends = append(l.at, i), append(l.ends, len(l.raw))
	return nil
}

// each calls fn for every entry, the last one first if falling.
func (l *lot) each(falling bool, fn func(uint64, []byte) error) error {
	for k := range l.at {
		if falling {
			k = len(l.at) - 1 - k
		}
		from := 0
		if k > 0 {
			from = l.ends[k-1]
		}
		if err := fn(l.at[k], l.raw[from:l.ends[k]]); err != nil {
			return err
		}
	}
	return nil
}

// A page token says where the list goes on and how long the log was when it
// began, sealed for one principal and filter.
func (p *pager) token(c Caller) string {
	at := make([]byte, 0, 16)
	if p.newest {
		at = binary.BigEndian.AppendUint64(at, p.to)
	} else {
		at = binary.BigEndian.AppendUint64(at, p.from)
	}
	at = binary.BigEndian.AppendUint64(at, p.size)
	return base64.RawURLEncoding.EncodeToString(p.v.ring.Snapshot().Rows().Seal(nil, at, p.place(c)))
}

// begin sets what is to be looked at, from a page token.
func (p *pager) begin(c Caller, text string) *Error {
	p.from, p.to = p.first, p.size
	if text == "" {
		return nil
	}
	invalid := refuse(InvalidPageToken, "page_token", "is not one that this list gave out")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return invalid
	}
	at, err := p.v.ring.Snapshot().Rows().Open(nil, sealed, p.place(c))
	if err != nil || len(at) != 16 {
		return invalid
	}
	next, size := binary.BigEndian.Uint64(at), binary.BigEndian.Uint64(at[8:])
	if next > size || size > p.size {
		return invalid
	}
	p.size = size
	if p.newest {
		p.to = max(next, p.first)
	} else {
		p.from, p.to = max(next, p.first), size
	}
	return nil
}

func (p *pager) place(c Caller) []byte {
	direction := uint64(0)
	if p.newest {
		direction = 1
	}
	place := append(sealedRow(p.v.id, "audit-page/", direction), p.m.digest...)
	return append(place, c.Principal...)
}
