package cloakroom

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// Outcome says what was decided.
type Outcome string

// The outcomes of the contract.
const (
	// OutcomeAny is no criterion in a filter.
	OutcomeAny Outcome = ""
	// OutcomeAllowed: everything asked for was authorised.
	OutcomeAllowed Outcome = "allowed"
	// OutcomeRefused: nothing was authorised.
	OutcomeRefused Outcome = "refused"
	// OutcomeMixed: some items were authorised and some refused.
	OutcomeMixed Outcome = "mixed"
)

// outcomeNames has each outcome at the place of its number in the contract.
func outcomeNames() []Outcome {
	return []Outcome{OutcomeAny, OutcomeAllowed, OutcomeRefused, OutcomeMixed}
}

// AuditItem is what happened to one item of a batch.
type AuditItem struct {
	// Subject is the person's handle, 32 hexadecimal digits; empty when no person
	// is known.
	Subject string
	// Field is "collection.field"; empty when none is known.
	Field string
	// Item is the number of the item within its field.
	Item uint32
	// Outcome is allowed or refused.
	Outcome Outcome
	// Refusal is why it was refused, such as "FIELD_DENIED"; empty when it was
	// not.
	Refusal string
	// KeyVersion is the version of the field's key that sealed the value; 0 when
	// unknown.
	KeyVersion uint32
	// Hash is, of writes, the first 16 bytes of the SHA-256 of the inner
	// ciphertext.
	Hash []byte
}

// AuditEntry is what happened, once. It states what was authorised, which is an
// upper bound of what was done. It holds no value, no token and no caller's id
// of a person.
type AuditEntry struct {
	// Index is the place in the log, from 0 without gaps.
	Index uint64
	// ID is the entry's unique id, 32 hexadecimal digits.
	ID string
	// Time is when it was decided. It need not rise with the index.
	Time time.Time
	// RequestID is the id of the call.
	RequestID string
	// Principal is who called, as authenticated.
	Principal string
	// Action is what was asked for, such as "reveal" or "policy.apply".
	Action string
	// Purpose is the name of the purpose.
	Purpose string
	// View is the view in which values were asked for or given.
	View string
	// Reason is the caller's code or ticket.
	Reason string
	// PolicyVersion is the version of the policy by which it was decided.
	PolicyVersion uint64
	// Collection is the collection, for actions on records.
	Collection string
	// Object is what the action was done to when that is no item, such as
	// "role support" for a freeze.
	Object string
	// Outcome is what was decided.
	Outcome Outcome
	// Refusal is why the whole call was refused, such as "FIELD_DENIED".
	Refusal string
	// Count is the number of items asked for.
	Count uint32
	// Items has one element an item; with persons or fields in the filter, only
	// those that match.
	Items []AuditItem
}

// AuditFilter narrows entries. Criteria that are given must all hold; of a
// list, of at most 100, one must match. The zero filter matches every entry.
type AuditFilter struct {
	// Principals are exact.
	Principals []string
	// SubjectIDs are the caller's own ids of persons. Nothing matches a person
	// who was erased: use the handle.
	SubjectIDs []string
	// Subjects are handles of persons, as in AuditItem.
	Subjects []string
	// Fields are "collection.field".
	Fields []string
	// Purposes are names of purposes.
	Purposes []string
	// Actions are names of actions.
	Actions []string
	// Outcome is that of the entry or, with persons or fields, of the item.
	Outcome Outcome
	// Since is the first time that matches; zero for no limit.
	Since time.Time
	// Until is the first time past the last that matches; zero for no limit.
	Until time.Time
}

func (f AuditFilter) message() (*cloakroomv1.AuditFilter, error) {
	outcome := slices.Index(outcomeNames(), f.Outcome)
	if outcome < 0 {
		return nil, invalidRequest("filter.outcome", "unknown outcome")
	}
	return cloakroomv1.AuditFilter_builder{
		Principals: f.Principals, SubjectIds: f.SubjectIDs, Subjects: f.Subjects, Fields: f.Fields,
		Purposes: f.Purposes, Actions: f.Actions, Outcome: cloakroomv1.AuditOutcome(outcome),
		Since: timestamp(f.Since), Until: timestamp(f.Until),
	}.Build(), nil
}

func outcomeFrom(n cloakroomv1.AuditOutcome) Outcome {
	names := outcomeNames()
	if n < 0 || int(n) >= len(names) {
		// An outcome of a newer contract: say so, do not pass it off as another.
		return Outcome(fmt.Sprintf("outcome_%d", int32(n)))
	}
	return names[n]
}

func auditEntryFrom(m *cloakroomv1.AuditEntry) AuditEntry {
	e := AuditEntry{
		Index: m.GetIndex(), ID: m.GetId(), Time: timeFrom(m.GetTime()), RequestID: m.GetRequestId(),
		Principal: m.GetPrincipal(), Action: m.GetAction(), Purpose: m.GetPurpose(), View: m.GetView(),
		Reason: m.GetReason(), PolicyVersion: m.GetPolicyVersion(), Collection: m.GetCollection(),
		Object: m.GetObject(), Outcome: outcomeFrom(m.GetOutcome()), Refusal: m.GetRefusal(), Count: m.GetCount(),
	}
	for _, it := range m.GetItems() {
		e.Items = append(e.Items, AuditItem{
			Subject: it.GetSubject(), Field: it.GetField(), Item: it.GetItem(), Outcome: outcomeFrom(it.GetOutcome()),
			Refusal: reasonName(it.GetRefusal()), KeyVersion: it.GetKeyVersion(), Hash: it.GetHash(),
		})
	}
	return e
}

// reasonName returns the name of a reason without its prefix, empty for none.
func reasonName(r cloakroomv1.ErrorReason) string {
	if r == cloakroomv1.ErrorReason_ERROR_REASON_UNSPECIFIED {
		return ""
	}
	return strings.TrimPrefix(r.String(), "ERROR_REASON_")
}

// timestamp returns nil for the zero time.
func timestamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}
