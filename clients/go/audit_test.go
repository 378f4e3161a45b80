package cloakroom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

func TestAuditEntriesAreWhatTheLogSays(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(cloakroomv1.AuditEntry_builder{
		Id: "0a", Principal: "p", Action: "freeze", Purpose: "u", View: "masked", Reason: "T-1", PolicyVersion: 3, RequestId: "r",
		Collection: "customers", Object: "role support", Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_MIXED, Refusal: "FROZEN", Count: 2,
		Items: []*cloakroomv1.AuditItem{cloakroomv1.AuditItem_builder{
			Subject: "ab", Field: "customers.email", Item: 4, Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_REFUSED,
			Refusal: cloakroomv1.ErrorReason_ERROR_REASON_FROZEN, KeyVersion: 7, Hash: []byte{1},
		}.Build(), cloakroomv1.AuditItem_builder{Outcome: 9}.Build()},
	}.Build())
	page, err := dial(t, s).AuditPage(t.Context(), cloakroom.AuditFilter{}, "")
	if err != nil {
		t.Fatal(err)
	}
	want := cloakroom.AuditPage{LogSize: 1, Entries: []cloakroom.AuditEntry{{
		ID: "0a", Principal: "p", Action: "freeze", Purpose: "u", View: "masked", Reason: "T-1", PolicyVersion: 3, RequestID: "r",
		Collection: "customers", Object: "role support", Outcome: cloakroom.OutcomeMixed, Refusal: "FROZEN", Count: 2,
		Items: []cloakroom.AuditItem{
			{Subject: "ab", Field: "customers.email", Item: 4, Outcome: cloakroom.OutcomeRefused, Refusal: "FROZEN", KeyVersion: 7, Hash: []byte{1}},
			{Outcome: "outcome_9"},
		},
	}}}
	if diff := cmp.Diff(want, page); diff != "" {
		t.Error(diff)
	}
}

func TestAuditFilterReachesTheVault(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	since, until := time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), time.Date(2026, 2, 3, 0, 0, 0, 0, time.UTC)
	_, err := client.AuditPage(t.Context(), cloakroom.AuditFilter{
		Principals: []string{"a"}, SubjectIDs: []string{"b"}, Subjects: []string{"c"}, Fields: []string{"d"},
		Purposes: []string{"e"}, Actions: []string{"f"}, Outcome: cloakroom.OutcomeRefused, Since: since, Until: until,
	}, "", cloakroom.NewestFirst(), cloakroom.PageSize(7))
	if err != nil {
		t.Fatal(err)
	}
	q := s.Received("ListEntries")[0].(*cloakroomv1.ListEntriesRequest)
	f := q.GetFilter()
	got := []string{f.GetPrincipals()[0], f.GetSubjectIds()[0], f.GetSubjects()[0], f.GetFields()[0], f.GetPurposes()[0], f.GetActions()[0], f.GetOutcome().String()}
	if diff := cmp.Diff([]string{"a", "b", "c", "d", "e", "f", "AUDIT_OUTCOME_REFUSED"}, got); diff != "" {
		t.Error(diff)
	}
	if !f.GetSince().AsTime().Equal(since) || !f.GetUntil().AsTime().Equal(until) || !q.GetNewestFirst() || q.GetPageSize() != 7 {
		t.Errorf("the request is %v", q)
	}
	if _, err := client.AuditPage(t.Context(), cloakroom.AuditFilter{Outcome: "maybe"}, ""); !errors.Is(err, cloakroom.ErrInvalidArgument) {
		t.Errorf("an unknown outcome: %v", err)
	}
}

func TestAuditEntriesByPages(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(25)...)
	client := dial(t, s)
	for _, tc := range []struct {
		name    string
		options []cloakroom.AuditOption
		first   uint64
		calls   int
	}{
		{"oldest first", []cloakroom.AuditOption{cloakroom.PageSize(10)}, 0, 3},
		{"newest first", []cloakroom.AuditOption{cloakroom.NewestFirst(), cloakroom.PageSize(5)}, 24, 5},
		{"one page", nil, 0, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			before, n := s.Calls("ListEntries"), 0
			for e, err := range client.AuditEntries(t.Context(), cloakroom.AuditFilter{}, tc.options...) {
				want := uint64(n)
				if tc.first > 0 {
					want = tc.first - uint64(n)
				}
				if err != nil || e.Index != want {
					t.Fatalf("entry %d: index %d, %v", n, e.Index, err)
				}
				n++
			}
			if calls := s.Calls("ListEntries") - before; n != 25 || calls != tc.calls {
				t.Errorf("%d entries by %d calls", n, calls)
			}
		})
	}
	s.Fail("ListEntries", nil, fakeserver.Busy(-1))
	var last error
	n := 0
	for _, err := range client.AuditEntries(t.Context(), cloakroom.AuditFilter{}, cloakroom.PageSize(10)) {
		last = err
		n++
	}
	if n != 11 || !errors.Is(last, cloakroom.ErrResourceExhausted) {
		t.Errorf("a failing page gave %d results, the last %v", n, last)
	}
}

func TestExportResumesWhereItBroke(t *testing.T) {
	for _, tc := range []struct {
		name     string
		from, to uint64
		pruned   int
		broken   int
		want     [2]uint64 // first, and one past the last
	}{
		{"all", 0, 0, 0, 123, [2]uint64{0, 250}},
		{"a part", 20, 140, 0, 130, [2]uint64{20, 140}},
		{"broken behind the last", 0, 130, 0, 130, [2]uint64{0, 130}},
		{"what retention left", 0, 0, 60, 123, [2]uint64{60, 250}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := fakeserver.Start(t)
			s.Audit.Append(fakeserver.SampleEntries(250)...)
			s.Audit.Prune(tc.pruned)
			s.Audit.BreakExport(tc.broken)
			next := tc.want[0]
			for e, err := range dial(t, s).ExportAudit(t.Context(), tc.from, tc.to) {
				if err != nil || e.Index != next || len(e.Data) == 0 {
					t.Fatalf("entry %d: index %d, %v", next, e.Index, err)
				}
				next++
			}
			if next != tc.want[1] {
				t.Errorf("it ended before entry %d", next)
			}
		})
	}
}

func TestExportEnds(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(250)...)
	client := dial(t, s, cloakroom.WithRetry(1, time.Millisecond))
	s.Audit.BreakExport(10)
	n := 0
	var last error
	for _, err := range client.ExportAudit(t.Context(), 0, 0) {
		n, last = n+1, err
	}
	if n != 11 || !errors.Is(last, cloakroom.ErrUnavailable) {
		t.Errorf("without retries: %d results, the last %v", n, last)
	}
	for range client.ExportAudit(t.Context(), 0, 0) {
		break
	}
	s.WaitForStreams()
}

func TestWatchGoesOnWhereItBroke(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(10)...)
	s.Audit.Prune(2)
	var told []error
	recovered := 0
	client := dial(t, s)
	next, more := uint64(4), fakeserver.SampleEntries(40)[10:]
	ctx, cancel := context.WithCancel(t.Context())
	var last error
	for e, err := range client.WatchAudit(ctx, cloakroom.AuditFilter{}, cloakroom.FromIndex(4), cloakroom.OnReconnect(func(err error) {
		told = append(told, err)
		// However often it fails, once there was a vault.
		if len(told) < 10 {
			s.Fail("WatchEntries", fakeserver.Unavailable())
		}
	}), cloakroom.OnRecovery(func() { recovered++ })) {
		if err != nil {
			last = err
			break
		}
		if e.Index != next {
			t.Fatalf("entry %d came instead of %d", e.Index, next)
		}
		next++
		switch next {
		case 10:
			s.Audit.BreakWatches()
			s.Audit.Append(more...)
		case 40:
			cancel()
		}
	}
	if next != 40 || !errors.Is(last, context.Canceled) {
		t.Errorf("%d entries, then %v", next, last)
	}
	if len(told) != 10 || !errors.Is(told[0], cloakroom.ErrUnavailable) {
		t.Errorf("told of %d reconnections: %v", len(told), told)
	}
	if recovered != 1 {
		t.Errorf("told %d times that it works again", recovered)
	}
	cancel()
}

// A vault whose log went back is not taken for one that goes on.
func TestWatchThatGoesBack(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(10)...)
	s.Audit.SetBackWatches(2)
	var last error
	for e, err := range dial(t, s).WatchAudit(t.Context(), cloakroom.AuditFilter{}, cloakroom.FromIndex(5)) {
		if err == nil {
			t.Fatalf("entry %d came", e.Index)
		}
		last = err
	}
	if asError(t, last).Code != codes.Internal {
		t.Errorf("%v", last)
	}
}

func TestWatchFiltersAndLeaves(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(20)...)
	for e, err := range dial(t, s).WatchAudit(t.Context(), cloakroom.AuditFilter{Outcome: cloakroom.OutcomeRefused}, cloakroom.FromIndex(0)) {
		if err != nil || e.Index != 9 {
			t.Errorf("entry %d, %v", e.Index, err)
		}
		break
	}
	s.WaitForStreams()
}

func TestWatchFails(t *testing.T) {
	refusal := fakeserver.Refusal(codes.PermissionDenied, "ACTION_DENIED", "no role allows it", "", "")
	for _, tc := range []struct {
		name   string
		faults []error
		want   error
		calls  int
	}{
		{"refused", []error{refusal}, cloakroom.ErrPermissionDenied, 1},
		{"never there", []error{fakeserver.Unavailable(), fakeserver.Unavailable(), fakeserver.Unavailable(), fakeserver.Unavailable()}, cloakroom.ErrUnavailable, 4},
		{"busy without a delay", []error{fakeserver.Busy(-1)}, cloakroom.ErrResourceExhausted, 1},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := fakeserver.Start(t)
			s.Fail("WatchEntries", tc.faults...)
			var got error
			for _, err := range dial(t, s).WatchAudit(t.Context(), cloakroom.AuditFilter{}) {
				got = err
			}
			if !errors.Is(got, tc.want) || s.Calls("WatchEntries") != tc.calls {
				t.Errorf("%v after %d calls", got, s.Calls("WatchEntries"))
			}
		})
	}
}

// A peer that vanished without a word is not waited for.
func TestSilentWatchIsOpenedAgain(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(1)...)
	s.Hang("WatchEntries")
	told := 0
	client := dial(t, s, cloakroom.WithSilence(50*time.Millisecond))
	for e, err := range client.WatchAudit(t.Context(), cloakroom.AuditFilter{}, cloakroom.FromIndex(0),
		cloakroom.OnReconnect(func(error) { told++ })) {
		if err != nil || e.Index != 0 {
			t.Errorf("entry %d, %v", e.Index, err)
		}
		break
	}
	if told == 0 {
		t.Error("it was not opened again")
	}
}

func TestProofsOfTheContract(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(13)...)
	s.Audit.Prune(3)
	client, ctx := dial(t, s), t.Context()
	checkpoint, err := client.AuditCheckpoint(ctx)
	if err != nil || checkpoint.Size != 13 || checkpoint.VerifierKey != s.Audit.VerifierKey || len(checkpoint.Signed) == 0 {
		t.Errorf("checkpoint %+v, %v", checkpoint, err)
	}
	for index, kept := range map[uint64]bool{2: false, 3: true} {
		p, err := client.AuditInclusion(ctx, index, 0)
		if err != nil || p.Size != 13 || len(p.Hashes) != 4 || (p.Entry != nil) != kept || string(p.Checkpoint) != string(checkpoint.Signed) {
			t.Errorf("inclusion of %d: %+v, %v", index, p, err)
		}
	}
	if _, err := client.AuditInclusion(ctx, 13, 0); !errors.Is(err, cloakroom.ErrEntryNotFound) || !errors.Is(err, cloakroom.ErrNotFound) {
		t.Errorf("inclusion of an entry to come: %v", err)
	}
	if p, err := client.AuditConsistency(ctx, 5, 0); err != nil || p.OlderSize != 5 || p.NewerSize != 13 || len(p.Hashes) == 0 {
		t.Errorf("consistency: %+v, %v", p, err)
	}
}

func TestExportWithAGap(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(50)...)
	s.Audit.LeaveOut(20)
	n := 0
	var last error
	for _, err := range dial(t, s).ExportAudit(t.Context(), 0, 0) {
		n, last = n+1, err
	}
	if n != 21 || asError(t, last).Code != codes.Internal {
		t.Errorf("%d results, the last %v", n, last)
	}
}

// Nothing is asked for behind the end that was wanted: 0 would mean all.
func TestExportAsksForNoMore(t *testing.T) {
	s := fakeserver.Start(t)
	s.Audit.Append(fakeserver.SampleEntries(50)...)
	s.Audit.BreakExport(30)
	for _, err := range dial(t, s).ExportAudit(t.Context(), 0, 30) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n := s.Calls("ExportEntries"); n != 1 {
		t.Errorf("%d calls", n)
	}
}
