package fakeserver

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// checkExposed refuses principals and roles that neither the policy nor the log
// knows.
func (s *Server) checkExposed(q *cloakroomv1.ExposureRequest) error {
	s.Audit.mu.Lock()
	seen := map[string]bool{}
	for _, e := range s.Audit.entries {
		seen[e.GetPrincipal()] = true
	}
	s.Audit.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, list := range []struct {
		field, rule string
		names       []string
	}{
		{"principals", "holds a name that neither the policy nor the log knows", q.GetPrincipals()},
		{"roles", "holds a name that no policy ever gave a role", q.GetRoles()},
	} {
		for _, name := range list.names {
			if !seen[name] && !s.named(name) {
				return (&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
					message: list.field + ": " + list.rule, field: list.field}).call()
			}
		}
	}
	return nil
}

// exposed answers exposure from the log. A person has an id when it is stored
// and was not erased.
func (s *Server) exposed(q *cloakroomv1.ExposureRequest) (*cloakroomv1.ExposureSummary, []*cloakroomv1.ExposureRow) {
	type key struct{ subject, field string }
	type row struct {
		first, last                 time.Time
		count                       uint64
		views, principals, purposes map[string]uint64
	}
	s.Audit.mu.Lock()
	entries, first := slices.Clone(s.Audit.entries), s.Audit.first
	s.Audit.mu.Unlock()

	filter := cloakroomv1.AuditFilter_builder{
		Principals: append(slices.Clone(q.GetPrincipals()), q.GetRoles()...), Fields: q.GetFields(), Actions: []string{"reveal"},
		Since: q.GetSince(), Until: q.GetUntil(),
	}.Build()
	rows, all := map[key]*row{}, row{views: map[string]uint64{}, principals: map[string]uint64{}, purposes: map[string]uint64{}}
	fields, subjects, matching := map[string]uint64{}, map[string]bool{}, uint64(0)
	unknown, nobodys, traps := uint64(0), uint64(0), s.traps()
	for _, e := range entries[first:] {
		e = match(filter, e)
		counted := false
		for _, it := range e.GetItems() {
			versions := q.GetKeyVersions()
			if it.GetOutcome() != cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED {
				continue
			}
			if len(versions) > 0 && !slices.Contains(versions, it.GetKeyVersion()) {
				if it.GetKeyVersion() == 0 {
					unknown++
				}
				continue
			}
			if traps[it.GetSubject()] {
				nobodys++
				continue
			}
			counted = true
			k := key{it.GetSubject(), it.GetField()}
			if rows[k] == nil {
				rows[k] = &row{views: map[string]uint64{}, principals: map[string]uint64{}, purposes: map[string]uint64{}}
			}
			when := e.GetTime().AsTime()
			for _, r := range []*row{rows[k], &all} {
				r.count++
				if r.first.IsZero() || when.Before(r.first) {
					r.first = when
				}
				if when.After(r.last) {
					r.last = when
				}
				r.views[e.GetView()]++
				r.principals[e.GetPrincipal()]++
				r.purposes[e.GetPurpose()]++
			}
			fields[it.GetField()]++
			subjects[it.GetSubject()] = true
		}
		if counted {
			matching++
		}
	}

	summary := cloakroomv1.ExposureSummary_builder{
		AsOf: timestamppb.New(now()), FirstIndex: uint64(first), EndIndex: uint64(len(entries)), MissingEntries: uint64(first),
		Entries: matching, Subjects: uint64(len(subjects)), Reveals: all.count,
		Principals: counts(all.principals), Fields: counts(fields), Purposes: counts(all.purposes), Views: counts(all.views), VersionUnknown: unknown,
		HoneyReveals: nobodys,
	}.Build()
	if all.count > 0 {
		summary.SetFirstTime(timestamppb.New(all.first))
		summary.SetLastTime(timestamppb.New(all.last))
	}
	ids := s.ids()
	var out []*cloakroomv1.ExposureRow
	for _, k := range slices.SortedFunc(maps.Keys(rows), func(a, b key) int {
		return cmp.Or(cmp.Compare(a.subject, b.subject), cmp.Compare(a.field, b.field))
	}) {
		r := rows[k]
		out = append(out, cloakroomv1.ExposureRow_builder{
			Subject: k.subject, SubjectId: ids[k.subject], Field: k.field, FirstTime: timestamppb.New(r.first), LastTime: timestamppb.New(r.last),
			Reveals: r.count, Views: slices.Sorted(maps.Keys(r.views)), Principals: slices.Sorted(maps.Keys(r.principals)),
			Purposes: slices.Sorted(maps.Keys(r.purposes)),
		}.Build())
	}
	return summary, out
}

func counts(m map[string]uint64) []*cloakroomv1.ExposureCount {
	var out []*cloakroomv1.ExposureCount
	for _, name := range slices.Sorted(maps.Keys(m)) {
		out = append(out, cloakroomv1.ExposureCount_builder{Name: name, Reveals: m[name]}.Build())
	}
	return out
}

// traps has the handles of honey records.
func (s *Server) traps() map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	traps := map[string]bool{}
	for _, h := range s.honey {
		traps[Handle(h.GetSubjectId())] = true
	}
	return traps
}

// ids maps handles to ids.
func (s *Server) ids() map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	ids := map[string]string{}
	for _, p := range s.people {
		ids[Handle(p.id)] = p.id
	}
	for _, id := range s.erased {
		delete(ids, Handle(id))
	}
	return ids
}
