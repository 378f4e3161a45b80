package fakeserver

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// Handle is the handle of a person in the audit log.
func Handle(subject string) string {
	sum := sha256.Sum256([]byte("handle " + subject))
	return hex.EncodeToString(sum[:16])
}

// match returns the entry as the filter lets it through, nil for not at all.
func match(f *cloakroomv1.AuditFilter, e *cloakroomv1.AuditEntry) *cloakroomv1.AuditEntry {
	among := func(list []string, value string) bool { return len(list) == 0 || slices.Contains(list, value) }
	when := e.GetTime().AsTime()
	if !among(f.GetPrincipals(), e.GetPrincipal()) || !among(f.GetPurposes(), e.GetPurpose()) || !among(f.GetActions(), e.GetAction()) ||
		f.HasSince() && when.Before(f.GetSince().AsTime()) || f.HasUntil() && !when.Before(f.GetUntil().AsTime()) {
		return nil
	}
	handles := slices.Clone(f.GetSubjects())
	for _, id := range f.GetSubjectIds() {
		handles = append(handles, Handle(id))
	}
	unspecified := cloakroomv1.AuditOutcome_AUDIT_OUTCOME_UNSPECIFIED
	if len(handles) == 0 && len(f.GetFields()) == 0 {
		if o := f.GetOutcome(); o != unspecified && o != e.GetOutcome() {
			return nil
		}
		return e
	}
	var items []*cloakroomv1.AuditItem
	for _, it := range e.GetItems() {
		if among(handles, it.GetSubject()) && among(f.GetFields(), it.GetField()) &&
			(f.GetOutcome() == unspecified || f.GetOutcome() == it.GetOutcome()) {
			items = append(items, it)
		}
	}
	if len(items) == 0 {
		return nil
	}
	e = proto.Clone(e).(*cloakroomv1.AuditEntry)
	e.SetItems(items)
	return e
}

// SampleEntries makes n entries, a minute apart from now's day 06:00 on, that are
// always the same: the principal "support" reads e-mail addresses and telephone
// numbers of the persons C1 to C7, every fifth time masked, and every tenth
// call is refused.
func SampleEntries(n int) []*cloakroomv1.AuditEntry {
	start := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	entries := make([]*cloakroomv1.AuditEntry, n)
	for i := range entries {
		subject, view := fmt.Sprintf("C%d", i%7+1), "plain"
		if i%5 == 4 {
			view = "masked"
		}
		outcome, reason := cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED, cloakroomv1.ErrorReason_ERROR_REASON_UNSPECIFIED
		if i%10 == 9 {
			outcome, reason = cloakroomv1.AuditOutcome_AUDIT_OUTCOME_REFUSED, cloakroomv1.ErrorReason_ERROR_REASON_FIELD_DENIED
		}
		items := []*cloakroomv1.AuditItem{cloakroomv1.AuditItem_builder{
			Subject: Handle(subject), Field: "customers.email", Outcome: outcome, Refusal: reason, KeyVersion: 1,
		}.Build()}
		if i%3 == 0 {
			items = append(items, cloakroomv1.AuditItem_builder{
				Subject: Handle(subject), Field: "customers.phone", Outcome: outcome, Refusal: reason, KeyVersion: 1,
			}.Build())
		}
		entries[i] = cloakroomv1.AuditEntry_builder{
			Id: fmt.Sprintf("%032x", i), Time: timestamppb.New(start.Add(time.Duration(i) * time.Minute)),
			RequestId: fmt.Sprintf("r%d", i), Principal: "support", Action: "reveal", Purpose: "support", View: view,
			Reason: "T-1", PolicyVersion: 1, Collection: "customers", Outcome: outcome, Count: uint32(len(items)), Items: items,
		}.Build()
	}
	return entries
}
