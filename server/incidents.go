package server

import (
	"context"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// incidentService implements IncidentService.
type incidentService struct {
	cloakroomv1.UnsafeIncidentServiceServer
	s *Server
}

// freezeKindIn converts a kind; a number that does not fit becomes one that
// there is not, so that it is refused.
func freezeKindIn(k cloakroomv1.FreezeKind) vault.FreezeKind {
	if k < 0 || k > math.MaxUint8 {
		return math.MaxUint8
	}
	return vault.FreezeKind(k)
}

func freezeOut(f *vault.Freeze) *cloakroomv1.ActiveFreeze {
	return cloakroomv1.ActiveFreeze_builder{
		Id: f.ID, Kind: cloakroomv1.FreezeKind(f.Kind), Target: f.Target, Reason: f.Reason,
		FrozenBy: f.By, FreezeTime: timeOut(f.At), UnknownPrincipal: f.UnknownPrincipal,
	}.Build()
}

func (n *incidentService) Freeze(ctx context.Context, q *cloakroomv1.FreezeRequest) (*cloakroomv1.FreezeResponse, error) {
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	f, err := n.s.vault.Freeze(ctx, c, vault.FreezeRequest{Kind: freezeKindIn(q.GetKind()), Target: q.GetTarget(), Reason: q.GetReason()})
	if err != nil {
		return nil, n.s.fail(ctx, cloakroomv1.IncidentService_Freeze_FullMethodName, c, err)
	}
	return cloakroomv1.FreezeResponse_builder{Freeze: freezeOut(f)}.Build(), nil
}

func (n *incidentService) Thaw(ctx context.Context, q *cloakroomv1.ThawRequest) (*cloakroomv1.ThawResponse, error) {
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.s.vault.Thaw(ctx, c, q.GetId(), q.GetReason()); err != nil {
		return nil, n.s.fail(ctx, cloakroomv1.IncidentService_Thaw_FullMethodName, c, err)
	}
	return &cloakroomv1.ThawResponse{}, nil
}

func (n *incidentService) ListFreezes(ctx context.Context, _ *cloakroomv1.ListFreezesRequest) (*cloakroomv1.ListFreezesResponse, error) {
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	all, err := n.s.vault.Freezes(ctx, c)
	if err != nil {
		return nil, n.s.fail(ctx, cloakroomv1.IncidentService_ListFreezes_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.ActiveFreeze, len(all))
	for i := range all {
		out[i] = freezeOut(&all[i])
	}
	return cloakroomv1.ListFreezesResponse_builder{Freezes: out}.Build(), nil
}

func (n *incidentService) MarkHoneyRecord(ctx context.Context, q *cloakroomv1.MarkHoneyRecordRequest) (*cloakroomv1.MarkHoneyRecordResponse, error) {
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.s.vault.MarkHoney(ctx, c, vault.HoneyRequest{Subject: q.GetSubjectId(), Refuse: q.GetRefuse(), Reason: q.GetReason()}); err != nil {
		return nil, n.s.fail(ctx, cloakroomv1.IncidentService_MarkHoneyRecord_FullMethodName, c, err)
	}
	return &cloakroomv1.MarkHoneyRecordResponse{}, nil
}

func (n *incidentService) UnmarkHoneyRecord(ctx context.Context, q *cloakroomv1.UnmarkHoneyRecordRequest) (*cloakroomv1.UnmarkHoneyRecordResponse, error) {
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := n.s.vault.UnmarkHoney(ctx, c, q.GetSubjectId(), q.GetReason()); err != nil {
		return nil, n.s.fail(ctx, cloakroomv1.IncidentService_UnmarkHoneyRecord_FullMethodName, c, err)
	}
	return &cloakroomv1.UnmarkHoneyRecordResponse{}, nil
}

func (n *incidentService) ListHoneyRecords(ctx context.Context, _ *cloakroomv1.ListHoneyRecordsRequest) (*cloakroomv1.ListHoneyRecordsResponse, error) {
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	all, err := n.s.vault.Honeys(ctx, c)
	if err != nil {
		return nil, n.s.fail(ctx, cloakroomv1.IncidentService_ListHoneyRecords_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.HoneyRecord, len(all))
	for i, h := range all {
		out[i] = cloakroomv1.HoneyRecord_builder{
			SubjectId: h.Subject, Refuse: h.Refuse, Reason: h.Reason, MarkedBy: h.By, MarkTime: timeOut(h.At),
		}.Build()
	}
	return cloakroomv1.ListHoneyRecordsResponse_builder{Records: out}.Build(), nil
}

func (n *incidentService) Exposure(q *cloakroomv1.ExposureRequest, stream grpc.ServerStreamingServer[cloakroomv1.ExposureResponse]) error {
	ctx := stream.Context()
	c, err := n.s.callerOf(ctx)
	if err != nil {
		return err
	}
	err = n.s.vault.Exposure(ctx, c, vault.ExposureRequest{
		Principals: q.GetPrincipals(), Roles: q.GetRoles(), Fields: q.GetFields(), KeyVersions: q.GetKeyVersions(),
		Since: timeIn(q.GetSince()), Until: timeIn(q.GetUntil()), Reason: q.GetReason(),
	}, func(sum *vault.ExposureSummary) error {
		return stream.Send(cloakroomv1.ExposureResponse_builder{Summary: summaryOut(sum)}.Build())
	}, func(lot []vault.ExposureRow) error {
		out := make([]*cloakroomv1.ExposureRow, len(lot))
		for i := range lot {
			out[i] = exposureOut(&lot[i])
		}
		return stream.Send(cloakroomv1.ExposureResponse_builder{Rows: out}.Build())
	})
	if err != nil {
		return n.s.fail(ctx, cloakroomv1.IncidentService_Exposure_FullMethodName, c, err)
	}
	return nil
}

func summaryOut(s *vault.ExposureSummary) *cloakroomv1.ExposureSummary {
	counts := func(list []vault.ExposureCount) []*cloakroomv1.ExposureCount {
		out := make([]*cloakroomv1.ExposureCount, len(list))
		for i, c := range list {
			out[i] = cloakroomv1.ExposureCount_builder{Name: c.Name, Reveals: c.Reveals}.Build()
		}
		return out
	}
	return cloakroomv1.ExposureSummary_builder{
		AsOf: timestamppb.New(s.AsOf), FirstIndex: s.FirstIndex, EndIndex: s.EndIndex, MissingEntries: s.Missing, VersionUnknown: s.VersionUnknown, HoneyReveals: s.HoneyReveals,
		Entries: s.Entries, Subjects: s.Subjects, Reveals: s.Reveals, FirstTime: timeOut(s.First), LastTime: timeOut(s.Last),
		Principals: counts(s.Principals), Fields: counts(s.Fields), Purposes: counts(s.Purposes), Views: counts(s.Views),
	}.Build()
}

func exposureOut(r *vault.ExposureRow) *cloakroomv1.ExposureRow {
	return cloakroomv1.ExposureRow_builder{
		Subject: r.Subject, SubjectId: r.SubjectID, Field: r.Field, FirstTime: timeOut(r.First), LastTime: timeOut(r.Last),
		Reveals: r.Reveals, Views: r.Views, Principals: r.Principals, Purposes: r.Purposes,
	}.Build()
}
