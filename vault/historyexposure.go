package vault

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/exposure"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// ExposureRequest asks whom an incident concerns. Criteria that are given must
// all hold; of a list, one must match.
type ExposureRequest struct {
	Principals  []string
	Roles       []string // of the principal when it was decided
	Fields      []string // "collection.field"
	KeyVersions []uint32 // of the key of the one field
	Since       time.Time
	Until       time.Time
	Reason      string // a code or ticket for the audit log
}

// ExposureSummary is what the rows add up to.
type ExposureSummary struct {
	AsOf                 time.Time
	FirstIndex, EndIndex uint64 // the entries that were looked at
	Missing              uint64 // entries that the log keeps no more
	VersionUnknown       uint64 // reveals left out because the log does not know the key's version
	HoneyReveals         uint64 // reveals of honey records, left out because they are nobody's
	Entries              uint64 // with a reveal that counts
	Subjects             uint64
	Reveals              uint64 // of values
	First, Last          time.Time
	Principals           []ExposureCount
	Fields               []ExposureCount
	Purposes             []ExposureCount
	Views                []ExposureCount
}

// ExposureCount is a name and how many reveals it stands for.
type ExposureCount struct {
	Name    string
	Reveals uint64
}

// ExposureRow is one person and field.
type ExposureRow struct {
	Subject     string // the handle in the log
	SubjectID   string // the caller's id; empty when the person is gone
	Field       string
	First, Last time.Time
	Reveals     uint64
	Views       []string
	Principals  []string
	Purposes    []string
}

// exposureLot is how many rows are handed out at once.
const exposureLot = 500

// Exposure tells from the log which persons and fields were revealed: first
// the sums, then the rows by person and field. It is an upper bound of what
// was seen.
func (v *Vault) Exposure(ctx context.Context, c Caller, q ExposureRequest, sum func(*ExposureSummary) error, each func([]ExposureRow) error) error {
	st, refused, err := v.beginHistory(ctx, c, policy.ActionExposure)
	if err != nil {
		return err
	}
	entry := audit.Entry{Action: audit.ActionExposure, Reason: knownReason(q.Reason)}
	var ready *exposure.Query
	var roles *roleHistory
	if refused == nil {
		ready, roles, refused = v.exposureQuery(ctx, st, &q)
	}
	if refused != nil {
		return v.refused(ctx, c, st, refused, entry)
	}
	entry.Object = q.object()
	if err := v.enterHistory(ctx, c, st, entry); err != nil {
		return err
	}
	tally, err := v.tally(ctx, st, ready)
	if err = errors.Join(err, roles.failed()); err != nil {
		return exposureError(err)
	}
	if err := sum(v.exposureSummary(st, tally)); err != nil {
		return err
	}
	return v.exposureRows(ctx, c, st, tally, each)
}

// tally adds up the log. Every entry is read, and the index is not asked: what
// rests on this answer must not rest on a derived file. One exposure is added
// up at a time, since each takes memory for every person it finds.
//
// A person counts once, under whichever versions of the key the entries name
// the person. Should one be added or taken away meanwhile, all is added up again.
func (v *Vault) tally(ctx context.Context, st *state, q *exposure.Query) (*exposure.Tally, error) {
	select {
	case v.history.tallying <- struct{}{}:
		defer func() { <-v.history.tallying }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for {
		set := v.subject.set.Load()
		q.Except = q.Except[:0]
		for ref := range st.honey {
			q.Except = append(q.Except, set.texts(ref)...)
		}
		if q.Subject = nil; len(set.blocks) > 1 {
			q.Subject = set.canonical
		}
		tally, err := exposure.Scan(ctx, v.history.log, *q, nil)
		if err != nil || v.subject.set.Load() == set {
			return tally, err
		}
	}
}

// exposureError says of a question that is too large what can be done.
func exposureError(err error) error {
	if errors.Is(err, exposure.ErrLimit) {
		return &Error{Reason: Busy, Detail: "the answer would be too large; ask for a shorter window, or for one field at a time", cause: err}
	}
	return failure(err)
}

func (v *Vault) exposureSummary(st *state, tally *exposure.Tally) *ExposureSummary {
	s := tally.Summary()
	out := &ExposureSummary{
		AsOf: v.now().UTC(), FirstIndex: s.Begin, EndIndex: s.End, Missing: s.Begin, VersionUnknown: s.VersionUnknown, HoneyReveals: s.Excepted,
		Entries: s.Matching, Subjects: s.Subjects, Reveals: s.Values, First: s.First, Last: s.Last,
		Principals: countsOf(s.Principals), Purposes: countsOf(s.Purposes), Views: countsOf(s.Views),
	}
	for _, f := range s.Fields {
		out.Fields = append(out.Fields, ExposureCount{Name: st.registry.FieldName(policy.FieldID(f.Field)), Reveals: f.Values})
	}
	return out
}

// object is what the log says was asked for.
func (q *ExposureRequest) object() string {
	var words []string
	for _, list := range []struct {
		name  string
		names []string
	}{{"principals", q.Principals}, {"roles", q.Roles}, {"fields", q.Fields}} {
		if len(list.names) > 0 {
			words = append(words, list.name+"="+strings.Join(list.names, ","))
		}
	}
	if len(q.KeyVersions) > 0 {
		words = append(words, fmt.Sprintf("key_versions=%v", q.KeyVersions))
	}
	if !q.Since.IsZero() {
		words = append(words, "since="+q.Since.UTC().Format(time.RFC3339))
	}
	if !q.Until.IsZero() {
		words = append(words, "until="+q.Until.UTC().Format(time.RFC3339))
	}
	return objectText(words...)
}

func (v *Vault) exposureQuery(ctx context.Context, st *state, q *ExposureRequest) (*exposure.Query, *roleHistory, *Error) {
	for _, list := range []struct {
		name string
		n    int
	}{
		{"principals", len(q.Principals)},
		{"roles", len(q.Roles)},
		{"fields", len(q.Fields)},
		{"key_versions", len(q.KeyVersions)},
	} {
		if list.n > MaxCriteria {
			return nil, nil, refuse(InvalidRequest, list.name, fmt.Sprintf("must be at most %d", MaxCriteria))
		}
	}
	if err := checkReason(q.Reason); err != nil {
		return nil, nil, err
	}
	if !q.Since.IsZero() && !q.Until.IsZero() && !q.Since.Before(q.Until) {
		return nil, nil, refuse(InvalidRequest, "until", "must be after since")
	}
	out := &exposure.Query{Principals: q.Principals, From: q.Since, To: q.Until}
	numbers, bad := st.fieldNumbers(q.Fields)
	if bad != nil {
		return nil, nil, bad
	}
	for n := range numbers {
		out.Fields = append(out.Fields, n)
	}
	if len(q.KeyVersions) > 0 && len(q.Fields) != 1 {
		return nil, nil, refuse(InvalidRequest, "key_versions", "needs exactly one field: each field has keys of its own")
	}
	for _, version := range q.KeyVersions {
		if version == 0 || version > 1<<16-1 {
			return nil, nil, refuse(InvalidRequest, "key_versions", "must be 1 to 65535")
		}
		out.KeyVersions = append(out.KeyVersions, uint16(version))
	}
	if bad := st.knownVersions(out); bad != nil {
		return nil, nil, bad
	}
	if bad := v.checkExposed(ctx, st, q.Principals); bad != nil {
		return nil, nil, bad
	}
	roles := &roleHistory{v: v, ctx: ctx, wanted: setOf(q.Roles), held: map[roleKey]bool{}, policies: map[uint64]*policy.Policy{}}
	for _, role := range q.Roles {
		known, err := roles.known(st, role)
		if err != nil {
			return nil, nil, asError(err)
		}
		if !known {
			return nil, nil, refuse(InvalidRequest, "roles", "holds a name that no policy ever gave a role")
		}
	}
	if len(q.Roles) > 0 {
		out.Match = roles.match
	}
	return out, roles, nil
}

// knownVersions refuses versions that no key of the field ever had.
func (st *state) knownVersions(q *exposure.Query) *Error {
	if len(q.KeyVersions) == 0 {
		return nil
	}
	had := map[uint16]bool{}
	for _, info := range st.keys.Info() {
		if info.ID.Kind != keys.KindField || !slices.Contains(q.Fields, info.ID.Number) {
			continue
		}
		for _, v := range info.Versions {
			had[v.Version] = true
		}
	}
	for _, version := range q.KeyVersions {
		if !had[version] {
			return refuse(InvalidRequest, "key_versions", "holds a version that no key of the field ever had")
		}
	}
	return nil
}

// checkExposed refuses principals that are none, and those that neither the
// policy nor the log knows: an answer of "nobody" to a mistyped name would read
// as all clear.
func (v *Vault) checkExposed(ctx context.Context, st *state, principals []string) *Error {
	for _, id := range principals {
		if policy.CheckPrincipalID(id) != nil {
			return refuse(InvalidRequest, "principals", "holds a name that is no principal: spiffe://… or dns:…")
		}
		if st.whole.Principal(id) != nil || v.history.index == nil {
			continue
		}
		seen := false
		covered, err := v.history.find(ctx, lookup{keys: [][]index.Key{{index.Principal(id)}}}, func(uint64) error {
			seen = true
			return errEnough
		})
		if !seen && err == nil {
			err = v.history.read(ctx, covered, v.history.log.Size(), func(_ uint64, raw []byte) error {
				e, err := audit.Decode(raw)
				seen = seen || err == nil && e.Principal == id
				return err
			})
		}
		if !seen && err == nil {
			return refuse(InvalidRequest, "principals", "holds a name that neither the policy nor the log knows")
		}
	}
	return nil
}

// known reports whether the policy in force or one before gave a role this
// name.
func (r *roleHistory) known(st *state, role string) (bool, error) {
	if st.whole.HasRole(role) {
		return true, nil
	}
	for version := st.policy.Version(); version > 0; version-- {
		p, err := r.policy(version)
		if err != nil || p.HasRole(role) {
			return err == nil, err
		}
	}
	return false, nil
}

// roleHistory tells who held a role under which policy.
type roleHistory struct {
	v      *Vault
	ctx    context.Context
	wanted map[string]bool

	mu       sync.Mutex
	held     map[roleKey]bool
	policies map[uint64]*policy.Policy
	err      error
}

type roleKey struct {
	principal string
	version   uint64
}

func (r *roleHistory) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// match reports whether a principal held one of the roles under a policy. One
// that cannot be read counts, and makes the whole answer fail.
func (r *roleHistory) match(principal string, version uint64) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	key := roleKey{principal, version}
	held, known := r.held[key]
	if known {
		return held
	}
	p, err := r.policy(version)
	if err != nil {
		r.err = err
		return true
	}
	if p != nil {
		if pr := p.Principal(principal); pr != nil {
			held = slices.ContainsFunc(pr.Roles, func(role string) bool { return r.wanted[role] })
		}
	}
	r.held[key] = held
	return held
}

func (r *roleHistory) policy(version uint64) (*policy.Policy, error) {
	if version == 0 {
		return nil, nil // before the first policy nobody revealed anything
	}
	if p := r.policies[version]; p != nil {
		return p, nil
	}
	p, _, err := r.v.loadPolicy(r.ctx, version)
	if err != nil {
		return nil, err
	}
	r.policies[version] = p
	return p, nil
}

func countsOf(counts []exposure.NameCount) []ExposureCount {
	out := make([]ExposureCount, len(counts))
	for i, c := range counts {
		out[i] = ExposureCount{Name: c.Name, Reveals: c.Values}
	}
	return out
}

// exposureRows hands the rows out in lots, with the ids of the persons who are
// still there.
func (v *Vault) exposureRows(ctx context.Context, c Caller, st *state, tally *exposure.Tally, each func([]ExposureRow) error) error {
	lot := make([]exposure.Row, 0, exposureLot)
	for row := range tally.Rows() {
		if lot = append(lot, row); len(lot) < exposureLot {
			continue
		}
		if err := v.exposureLot(ctx, c, st, lot, each); err != nil {
			return err
		}
		lot = lot[:0]
	}
	return v.exposureLot(ctx, c, st, lot, each)
}

func (v *Vault) exposureLot(ctx context.Context, c Caller, st *state, lot []exposure.Row, each func([]ExposureRow) error) error {
	if len(lot) == 0 {
		return nil
	}
	if err := v.stillMay(ctx, c, policy.ActionExposure, "rows"); err != nil {
		return err
	}
	var refs []uint64
	at := make(map[uint64]int, len(lot))
	for i := range lot {
		ref, ok := v.subject.decipher(lot[i].Subject)
		if _, there := at[ref]; !there && ok {
			at[ref] = len(refs)
			refs = append(refs, ref)
		}
	}
	ids, err := v.identities(ctx, refs)
	if err != nil {
		return failure(err)
	}
	out := make([]ExposureRow, len(lot))
	for i := range lot {
		r := &lot[i]
		out[i] = ExposureRow{
			Subject: hex.EncodeToString(r.Subject[:]), Field: st.registry.FieldName(policy.FieldID(r.Field)),
			First: r.First, Last: r.Last, Reveals: r.Count, Views: r.Views, Principals: r.Principals, Purposes: r.Purposes,
		}
		if ref, ok := v.subject.decipher(r.Subject); ok && ids[at[ref]].err == nil {
			out[i].SubjectID = ids[at[ref]].subject
		}
	}
	return each(out)
}
