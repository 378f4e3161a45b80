package vault

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// MaxCriteria bounds each list of a HistoryFilter and an ExposureRequest.
const MaxCriteria = 100

// HistoryFilter narrows entries of the audit log. Criteria that are given must
// all hold; of a list, one value must match.
type HistoryFilter struct {
	Principals []string
	SubjectIDs []string // the caller's ids of persons
	Subjects   []string // handles of persons: 32 hexadecimal digits
	Fields     []string // "collection.field"
	Purposes   []string
	Actions    []string
	Outcome    audit.Outcome // 0: any
	Since      time.Time     // inclusive; zero: any
	Until      time.Time     // exclusive; zero: any
}

// matcher is a filter made ready.
type matcher struct {
	principals, purposes map[string]bool
	subjects             map[[16]byte]bool // nil: any; empty: none can match
	fields               map[uint32]bool
	actions              map[audit.Action]bool
	outcome              audit.Outcome
	since, until         time.Time

	keys   [][]index.Key
	digest []byte // of the filter, for page tokens
	handle [][16]byte

	// refs are the persons asked for whom the vault can tell, others the handles
	// of those whom it cannot; set is what subjects was made by.
	refs   []uint64
	others [][16]byte
	set    *subjectSet
}

func (v *Vault) newMatcher(ctx context.Context, st *state, f *HistoryFilter) (*matcher, *Error, error) {
	m := &matcher{outcome: f.Outcome, since: f.Since, until: f.Until}
	for _, list := range []struct {
		name string
		n    int
	}{
		{"principals", len(f.Principals)},
		{"subject_ids", len(f.SubjectIDs)},
		{"subjects", len(f.Subjects)},
		{"fields", len(f.Fields)},
		{"purposes", len(f.Purposes)},
		{"actions", len(f.Actions)},
	} {
		if list.n > MaxCriteria {
			return nil, refuse(InvalidRequest, list.name, fmt.Sprintf("must be at most %d", MaxCriteria)), nil
		}
	}
	if f.Outcome > audit.Mixed {
		return nil, refuse(InvalidRequest, "outcome", "is not known"), nil
	}
	if !f.Since.IsZero() && !f.Until.IsZero() && !f.Since.Before(f.Until) {
		return nil, refuse(InvalidRequest, "until", "must be after since"), nil
	}
	m.principals = setOf(f.Principals)
	m.purposes = setOf(f.Purposes)
	if bad := m.addActions(f.Actions); bad != nil {
		return nil, bad, nil
	}
	var bad *Error
	if m.fields, bad = st.fieldNumbers(f.Fields); bad != nil {
		return nil, bad, nil
	}
	if bad, err := v.addSubjects(ctx, m, f); bad != nil || err != nil {
		return nil, bad, err
	}
	m.makeKeys()
	text, err := json.Marshal(f)
	if err != nil {
		return nil, nil, err
	}
	sum := sha256.Sum256(text)
	m.digest = sum[:]
	return m, nil, nil
}

func setOf(names []string) map[string]bool {
	if len(names) == 0 {
		return nil
	}
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

func (m *matcher) addActions(names []string) *Error {
	for _, name := range names {
		a, ok := audit.ParseAction(name)
		if !ok {
			return refuse(InvalidRequest, "actions", "holds a name that is no action")
		}
		if m.actions == nil {
			m.actions = map[audit.Action]bool{}
		}
		m.actions[a] = true
	}
	return nil
}

// fieldNumbers finds all numbers that a name was given: a field that was
// dropped and declared again has two.
func (st *state) fieldNumbers(names []string) (map[uint32]bool, *Error) {
	if len(names) == 0 {
		return nil, nil
	}
	out := make(map[uint32]bool, len(names))
	left := setOf(names)
	wanted := setOf(names)
	for id := policy.FieldID(1); ; id++ {
		name := st.registry.FieldName(id)
		if name == "" {
			break
		}
		if wanted[name] {
			out[uint32(id)] = true
			delete(left, name)
		}
	}
	if len(left) > 0 {
		return nil, refuse(UnknownField, "fields", "holds a name that no field ever had; write collection.field")
	}
	return out, nil
}

// addSubjects turns persons into what stands for them in entries.
func (v *Vault) addSubjects(ctx context.Context, m *matcher, f *HistoryFilter) (*Error, error) {
	if len(f.Subjects)+len(f.SubjectIDs) == 0 {
		return nil, nil
	}
	set := v.subject.set.Load()
	for _, text := range f.Subjects {
		raw, err := hex.DecodeString(text)
		if err != nil || len(raw) != 16 {
			return refuse(InvalidRequest, "subjects", "must be handles of 32 hexadecimal digits"), nil
		}
		if ref, _, ok := set.decipher((*[16]byte)(raw)); ok {
			m.refs = append(m.refs, ref)
		} else {
			m.others = append(m.others, [16]byte(raw))
		}
	}
	for _, id := range f.SubjectIDs {
		if bad := checkSubjectID(id); bad != nil {
			return bad, nil
		}
	}
	refs, err := v.findRefs(ctx, f.SubjectIDs)
	if err != nil {
		return nil, err
	}
	m.refs = append(m.refs, slices.DeleteFunc(refs, func(ref uint64) bool { return ref == 0 })...)
	slices.Sort(m.refs)
	m.refs = slices.Compact(m.refs)
	m.nameSubjects(set)
	return nil, nil
}

// nameSubjects says what stands for the persons in entries: their texts under
// every version of the key that is in use, since each entry has the one of its
// time.
func (m *matcher) nameSubjects(set *subjectSet) {
	m.set, m.subjects, m.handle = set, map[[16]byte]bool{}, nil
	for _, ref := range m.refs {
		texts := set.texts(ref)
		m.handle = append(m.handle, texts[0])
		for _, text := range texts {
			m.subjects[text] = true
		}
	}
	for _, text := range m.others {
		m.handle = append(m.handle, text)
		m.subjects[text] = true
	}
}

// follow makes a filter by persons fit the versions of the key that are in use
// now. Whoever looks at entries calls it after it has learned how far the log
// is: each of these was made under a version that was in use before.
func (m *matcher) follow(v *Vault) {
	if set := v.subject.set.Load(); m.subjects != nil && m.set != set {
		m.nameSubjects(set)
		m.makeKeys()
	}
}

// makeKeys says what the index can look up: all lists must be met, by one of
// their keys each.
func (m *matcher) makeKeys() {
	m.keys = nil
	add := func(keys []index.Key) {
		if len(keys) > 0 {
			m.keys = append(m.keys, keys)
		}
	}
	var keys []index.Key
	for s := range m.subjects {
		keys = append(keys, index.Subject(s))
	}
	add(keys)
	keys = nil
	for p := range m.principals {
		keys = append(keys, index.Principal(p))
	}
	add(keys)
	keys = nil
	for f := range m.fields {
		keys = append(keys, index.Field(f))
	}
	add(keys)
	keys = nil
	for a := range m.actions {
		keys = append(keys, index.Action(a))
	}
	add(keys)
	keys = nil
	for p := range m.purposes {
		keys = append(keys, index.Purpose(p))
	}
	add(keys)
	if m.outcome != 0 && m.subjects == nil && m.fields == nil { // else it is asked of items
		add([]index.Key{index.Outcome(m.outcome)})
	}
}

// none reports that no entry can match: persons were asked for who are not
// known.
func (m *matcher) none() bool { return m.subjects != nil && len(m.subjects) == 0 }

// match reports whether an entry matches, and leaves of its items those that
// do when persons or fields were asked for.
func (m *matcher) match(e *audit.Entry) bool {
	switch {
	case m.principals != nil && !m.principals[e.Principal],
		m.purposes != nil && !m.purposes[e.Purpose],
		m.actions != nil && !m.actions[e.Action],
		!m.since.IsZero() && e.Time.Before(m.since),
		!m.until.IsZero() && !e.Time.Before(m.until):
		return false
	}
	if m.subjects == nil && m.fields == nil {
		return m.outcome == 0 || e.Outcome == m.outcome
	}
	e.Items = slices.DeleteFunc(e.Items, func(it audit.Item) bool {
		return m.subjects != nil && !m.subjects[it.Subject] ||
			m.fields != nil && !m.fields[it.Field] ||
			m.outcome != 0 && m.outcome != audit.Mixed && it.Outcome != m.outcome ||
			m.outcome == audit.Mixed && e.Outcome != audit.Mixed
	})
	return len(e.Items) > 0
}
