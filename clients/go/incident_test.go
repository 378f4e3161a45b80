package cloakroom_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

func TestFreezeLife(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	day := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	var want []cloakroom.ActiveFreeze
	for i, kind := range cloakroom.FreezeKinds() {
		target := fmt.Sprintf("t%d", i)
		if kind == cloakroom.FreezeVault {
			target = ""
		}
		f, err := client.Freeze(ctx, kind, target, "INC-1")
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, cloakroom.ActiveFreeze{
			ID: uint64(i + 1), Kind: kind, Target: target, Reason: "INC-1", FrozenBy: "tester", Time: day,
			UnknownPrincipal: kind == cloakroom.FreezePrincipal,
		})
		if diff := cmp.Diff(want[i], f); diff != "" {
			t.Error(diff)
		}
	}
	got, err := client.Freezes(ctx)
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Error(diff, err)
	}
	// Sent again after a lost answer, it answers the freeze that stands.
	s.LoseAnswer("Freeze", fakeserver.Unavailable())
	if f, err := client.Freeze(ctx, cloakroom.FreezeRole, "x", "INC-2"); err != nil || f.ID != 6 {
		t.Errorf("Freeze with a lost answer: %+v, %v", f, err)
	}
	if _, err := client.ApplyPolicy(ctx, []byte("principals: [known]")); err != nil {
		t.Fatal(err)
	}
	if f, err := client.Freeze(ctx, cloakroom.FreezePrincipal, "known", "INC-2"); err != nil || f.UnknownPrincipal {
		t.Errorf("Freeze of a principal that the policy names: %+v, %v", f, err)
	}
	if err := client.Thaw(ctx, 6, "INC-2"); err != nil {
		t.Error(err)
	}
	if err := client.Thaw(ctx, 6, "INC-2"); !errors.Is(err, cloakroom.ErrFreezeNotFound) {
		t.Errorf("second Thaw: %v", err)
	}
	if _, err := client.Freeze(ctx, "planet", "x", "INC-2"); !errors.Is(err, cloakroom.ErrInvalidArgument) {
		t.Errorf("Freeze of an unknown kind: %v", err)
	}
	if _, err := cloakroom.ParseFreezeKind("planet"); err == nil {
		t.Error("ParseFreezeKind takes anything")
	}
}

func TestHoneyRecords(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	if err := client.MarkHoney(ctx, "C1", "TRAP-1", cloakroom.RefuseReveals()); err != nil {
		t.Fatal(err)
	}
	if err := client.MarkHoney(ctx, "C2", "TRAP-1"); !errors.Is(err, cloakroom.ErrSubjectNotFound) {
		t.Errorf("a mark on nobody: %v", err)
	}
	got, err := client.HoneyRecords(ctx)
	day := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	if diff := cmp.Diff([]cloakroom.HoneyRecord{{SubjectID: "C1", Refuse: true, Reason: "TRAP-1", MarkedBy: "tester", Time: day}}, got); err != nil || diff != "" {
		t.Error(diff, err)
	}
	if err := client.UnmarkHoney(ctx, "C1", "TRAP-2"); err != nil {
		t.Error(err)
	}
	if got, err := client.HoneyRecords(ctx); err != nil || len(got) != 0 {
		t.Errorf("%d marks left, %v", len(got), err)
	}
}

func TestExposure(t *testing.T) {
	s := fakeserver.Start(t)
	for i := range 150 {
		s.Audit.Append(cloakroomv1.AuditEntry_builder{
			Time: fakeserver.SampleEntries(1)[0].GetTime(), Principal: "p", Action: "reveal", View: "plain", Purpose: "u",
			Items: []*cloakroomv1.AuditItem{cloakroomv1.AuditItem_builder{
				Subject: fmt.Sprintf("%032x", i), Field: "customers.email", Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED,
			}.Build()},
		}.Build())
	}
	client := dial(t, s)
	since := time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC)
	s.Fail("Exposure", fakeserver.Unavailable())
	e, err := client.Exposure(t.Context(), cloakroom.ExposureQuery{
		Principals: []string{"p"}, Fields: []string{"customers.email"}, KeyVersions: []uint32{0}, Since: since, Until: since.Add(time.Hour), Reason: "INC-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	defer e.Close()
	want := cloakroom.ExposureSummary{
		AsOf: time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC), EndIndex: 150, Entries: 150, Subjects: 150, Reveals: 150, FirstTime: since, LastTime: since,
		Principals: []cloakroom.ExposureCount{{Name: "p", Reveals: 150}}, Fields: []cloakroom.ExposureCount{{Name: "customers.email", Reveals: 150}},
		Purposes: []cloakroom.ExposureCount{{Name: "u", Reveals: 150}}, Views: []cloakroom.ExposureCount{{Name: "plain", Reveals: 150}},
	}
	if diff := cmp.Diff(want, e.Summary); diff != "" {
		t.Error(diff)
	}
	n := 0
	for row, err := range e.Rows() {
		want := cloakroom.ExposureRow{
			Subject: fmt.Sprintf("%032x", n), Field: "customers.email", FirstTime: since, LastTime: since, Reveals: 1,
			Views: []string{"plain"}, Principals: []string{"p"}, Purposes: []string{"u"},
		}
		if diff := cmp.Diff(want, row); err != nil || diff != "" {
			t.Fatal(diff, err)
		}
		n++
	}
	e.Close()
	if n != 150 {
		t.Errorf("%d rows", n)
	}
	if e, err := client.Exposure(t.Context(), cloakroom.ExposureQuery{Fields: []string{"customers.email"}, KeyVersions: []uint32{3}}); err != nil || e.Summary.VersionUnknown != 150 || e.Summary.Reveals != 0 {
		t.Errorf("another key version: %+v, %v", e, err)
	} else {
		e.Close()
	}
	s.WaitForStreams()
	if _, err := client.Exposure(t.Context(), cloakroom.ExposureQuery{Roles: []string{"nobody"}}); !errors.Is(err, cloakroom.ErrInvalidArgument) {
		t.Errorf("exposure to a role that there never was: %v", err)
	}
	if _, err := client.ApplyPolicy(t.Context(), []byte("roles: [idle]")); err != nil {
		t.Fatal(err)
	}
	none, err := client.Exposure(t.Context(), cloakroom.ExposureQuery{Roles: []string{"idle"}})
	if err != nil || none.Summary.Subjects != 0 {
		t.Fatalf("exposure of nobody: %+v, %v", none, err)
	}
	for range none.Rows() {
		t.Error("a row of nobody")
	}
	none.Close()
	s.Fail("Exposure", fakeserver.Busy(-1))
	if _, err := client.Exposure(t.Context(), cloakroom.ExposureQuery{}); !errors.Is(err, cloakroom.ErrResourceExhausted) {
		t.Errorf("a failing exposure: %v", err)
	}
}
