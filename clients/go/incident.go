package cloakroom

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// FreezeKind says what kind of thing is frozen.
type FreezeKind string

// The kinds of the contract.
const (
	// FreezePrincipal freezes a principal, known to the policy or not: it is
	// refused everything.
	FreezePrincipal FreezeKind = "principal"
	// FreezeRole freezes a role of the policy: the rights held through it are
	// gone.
	FreezeRole FreezeKind = "role"
	// FreezeField freezes a field, as "collection.field": no value of it is
	// revealed or confirmed.
	FreezeField FreezeKind = "field"
	// FreezeCollection freezes a collection in the same way.
	FreezeCollection FreezeKind = "collection"
	// FreezeVault freezes the whole vault in the same way; its target is empty.
	FreezeVault FreezeKind = "vault"
)

// FreezeKinds returns the kinds there are, in the order of the contract.
func FreezeKinds() []FreezeKind {
	return []FreezeKind{FreezePrincipal, FreezeRole, FreezeField, FreezeCollection, FreezeVault}
}

// ParseFreezeKind returns the kind of that name. Its error names the kinds.
func ParseFreezeKind(name string) (FreezeKind, error) {
	kinds := FreezeKinds()
	if slices.Contains(kinds, FreezeKind(name)) {
		return FreezeKind(name), nil
	}
	texts := make([]string, len(kinds))
	for i, k := range kinds {
		texts[i] = string(k)
	}
	return "", fmt.Errorf("unknown kind; the kinds are %s", strings.Join(texts, ", "))
}

func freezeKindFrom(n cloakroomv1.FreezeKind) FreezeKind {
	kinds := FreezeKinds()
	if n < 1 || int(n) > len(kinds) {
		return FreezeKind(fmt.Sprintf("kind_%d", int32(n)))
	}
	return kinds[n-1]
}

// ActiveFreeze is a freeze in force.
type ActiveFreeze struct {
	// ID is its number, never used again.
	ID uint64
	// Kind is what kind of thing is frozen.
	Kind FreezeKind
	// Target is its name; empty for the vault.
	Target string
	// Reason is the code or ticket given.
	Reason string
	// FrozenBy is the principal who froze it.
	FrozenBy string
	// Time is when.
	Time time.Time
	// UnknownPrincipal says that the policy in force names no such principal: it
	// may be mistyped. It is frozen nevertheless.
	UnknownPrincipal bool
}

// Freeze freezes what kind and target name. Every call whose read starts after
// the answer obeys. Freezing what is frozen already answers the freeze that
// stands. reason is a code or ticket of at most 128 bytes of letters, digits
// and "-_.:/#"; no personal data.
func (c *Client) Freeze(ctx context.Context, kind FreezeKind, target, reason string) (ActiveFreeze, error) {
	number := slices.Index(FreezeKinds(), kind) + 1
	if number == 0 {
		return ActiveFreeze{}, invalidRequest("kind", "unknown kind")
	}
	answer, err := invoke(ctx, c, idempotent, c.incidents.Freeze, cloakroomv1.FreezeRequest_builder{
		Kind: cloakroomv1.FreezeKind(number), Target: target, Reason: reason,
	}.Build())
	if err != nil {
		return ActiveFreeze{}, err
	}
	return freezeFrom(answer.GetFreeze()), nil
}

// Thaw ends a freeze. It is sent again like a read: when the first answer was
// lost, the second may be ErrFreezeNotFound. The freeze is not in force then
// either.
func (c *Client) Thaw(ctx context.Context, id uint64, reason string) error {
	_, err := invoke(ctx, c, idempotent, c.incidents.Thaw, cloakroomv1.ThawRequest_builder{Id: id, Reason: reason}.Build())
	return err
}

// Freezes returns the freezes in force, oldest first.
func (c *Client) Freezes(ctx context.Context) ([]ActiveFreeze, error) {
	answer, err := invoke(ctx, c, idempotent, c.incidents.ListFreezes, &cloakroomv1.ListFreezesRequest{})
	if err != nil {
		return nil, err
	}
	freezes := make([]ActiveFreeze, len(answer.GetFreezes()))
	for i, m := range answer.GetFreezes() {
		freezes[i] = freezeFrom(m)
	}
	return freezes, nil
}

func freezeFrom(m *cloakroomv1.ActiveFreeze) ActiveFreeze {
	return ActiveFreeze{
		ID: m.GetId(), Kind: freezeKindFrom(m.GetKind()), Target: m.GetTarget(), Reason: m.GetReason(),
		FrozenBy: m.GetFrozenBy(), Time: timeFrom(m.GetFreezeTime()), UnknownPrincipal: m.GetUnknownPrincipal(),
	}
}

// HoneyRecord is a person who does not exist, so that nobody has a reason to
// look: a reveal raises an alarm.
type HoneyRecord struct {
	// SubjectID is the caller's own id of the person.
	SubjectID string
	// Refuse says whether a reveal is refused as if there were nothing.
	Refuse bool
	// Reason is the code or ticket given.
	Reason string
	// MarkedBy is the principal who marked it.
	MarkedBy string
	// Time is when.
	Time time.Time
}

// MarkHoney marks a person as a honey record. ErrSubjectNotFound when there is
// no such person. reason is as for Freeze.
func (c *Client) MarkHoney(ctx context.Context, subjectID, reason string, options ...HoneyOption) error {
	o := c.newCall()
	for _, option := range options {
		option.applyHoney(&o)
	}
	_, err := invoke(ctx, c, idempotent, c.incidents.MarkHoneyRecord, cloakroomv1.MarkHoneyRecordRequest_builder{
		SubjectId: subjectID, Refuse: o.refuse, Reason: reason,
	}.Build())
	return err
}

// UnmarkHoney takes a mark back. reason is as for Freeze.
func (c *Client) UnmarkHoney(ctx context.Context, subjectID, reason string) error {
	_, err := invoke(ctx, c, idempotent, c.incidents.UnmarkHoneyRecord, cloakroomv1.UnmarkHoneyRecordRequest_builder{
		SubjectId: subjectID, Reason: reason,
	}.Build())
	return err
}

// HoneyRecords returns all honey records in the order in which they were
// marked.
func (c *Client) HoneyRecords(ctx context.Context) ([]HoneyRecord, error) {
	answer, err := invoke(ctx, c, idempotent, c.incidents.ListHoneyRecords, &cloakroomv1.ListHoneyRecordsRequest{})
	if err != nil {
		return nil, err
	}
	records := make([]HoneyRecord, len(answer.GetRecords()))
	for i, m := range answer.GetRecords() {
		records[i] = HoneyRecord{
			SubjectID: m.GetSubjectId(), Refuse: m.GetRefuse(), Reason: m.GetReason(),
			MarkedBy: m.GetMarkedBy(), Time: timeFrom(m.GetMarkTime()),
		}
	}
	return records, nil
}
