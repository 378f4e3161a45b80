package fakeserver

import (
	"bytes"
	"context"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// incidents is the state of the IncidentService. The lock of the server guards
// it.
type incidents struct {
	freezes  []*cloakroomv1.ActiveFreeze
	honey    []*cloakroomv1.HoneyRecord
	freezeID uint64
	erased   []string
}

// Erase makes exposure forget the id of a person.
func (s *Server) Erase(subject string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erased = append(s.erased, subject)
}

type responders struct {
	*Server
	cloakroomv1.UnsafeIncidentServiceServer
}

func (s responders) Freeze(ctx context.Context, q *cloakroomv1.FreezeRequest) (*cloakroomv1.FreezeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if (q.GetKind() == cloakroomv1.FreezeKind_FREEZE_KIND_VAULT) != (q.GetTarget() == "") || q.GetReason() == "" {
		return nil, (&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
			message: "target or reason is wrong", field: "target"}).call()
	}
	if q.GetTarget() == caller(ctx) {
		return nil, (&refusal{code: codes.FailedPrecondition, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
			message: "nobody can freeze himself", field: "target"}).call()
	}
	for _, f := range s.freezes {
		if f.GetKind() == q.GetKind() && f.GetTarget() == q.GetTarget() {
			return cloakroomv1.FreezeResponse_builder{Freeze: f}.Build(), nil
		}
	}
	s.freezeID++
	f := cloakroomv1.ActiveFreeze_builder{
		Id: s.freezeID, Kind: q.GetKind(), Target: q.GetTarget(), Reason: q.GetReason(),
		FrozenBy: caller(ctx), FreezeTime: timestamppb.New(now()),
		UnknownPrincipal: q.GetKind() == cloakroomv1.FreezeKind_FREEZE_KIND_PRINCIPAL && !s.named(q.GetTarget()),
	}.Build()
	s.freezes = append(s.freezes, f)
	return cloakroomv1.FreezeResponse_builder{Freeze: f}.Build(), nil
}

// named says whether the policy in force names a principal or role; the caller
// holds the lock.
func (s *Server) named(name string) bool {
	n := len(s.policies)
	return n > 0 && bytes.Contains(s.policies[n-1].document, []byte(name))
}

func (s responders) Thaw(_ context.Context, q *cloakroomv1.ThawRequest) (*cloakroomv1.ThawResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := len(s.freezes)
	s.freezes = slices.DeleteFunc(s.freezes, func(f *cloakroomv1.ActiveFreeze) bool { return f.GetId() == q.GetId() })
	if len(s.freezes) == before {
		return nil, (&refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_FREEZE_NOT_FOUND,
			message: "there is no such freeze", field: "id"}).call()
	}
	return &cloakroomv1.ThawResponse{}, nil
}

func (s responders) ListFreezes(context.Context, *cloakroomv1.ListFreezesRequest) (*cloakroomv1.ListFreezesResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cloakroomv1.ListFreezesResponse_builder{Freezes: slices.Clone(s.freezes)}.Build(), nil
}

func noSubject() error {
	return (&refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_SUBJECT_NOT_FOUND,
		message: "there is no such person", field: "subject_id"}).call()
}

func (s responders) MarkHoneyRecord(ctx context.Context, q *cloakroomv1.MarkHoneyRecordRequest) (*cloakroomv1.MarkHoneyRecordResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.find(q.GetSubjectId()) == nil {
		return nil, noSubject()
	}
	s.unmark(q.GetSubjectId())
	s.honey = append(s.honey, cloakroomv1.HoneyRecord_builder{
		SubjectId: q.GetSubjectId(), Refuse: q.GetRefuse(), Reason: q.GetReason(), MarkedBy: caller(ctx), MarkTime: timestamppb.New(now()),
	}.Build())
	return &cloakroomv1.MarkHoneyRecordResponse{}, nil
}

func (s responders) UnmarkHoneyRecord(_ context.Context, q *cloakroomv1.UnmarkHoneyRecordRequest) (*cloakroomv1.UnmarkHoneyRecordResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.unmark(q.GetSubjectId()) {
		return nil, noSubject()
	}
	return &cloakroomv1.UnmarkHoneyRecordResponse{}, nil
}

// unmark takes a mark back; the caller holds the lock.
func (s *Server) unmark(subject string) bool {
	before := len(s.honey)
	s.honey = slices.DeleteFunc(s.honey, func(h *cloakroomv1.HoneyRecord) bool { return h.GetSubjectId() == subject })
	return len(s.honey) < before
}

func (s responders) ListHoneyRecords(context.Context, *cloakroomv1.ListHoneyRecordsRequest) (*cloakroomv1.ListHoneyRecordsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cloakroomv1.ListHoneyRecordsResponse_builder{Records: slices.Clone(s.honey)}.Build(), nil
}

func (s responders) Exposure(q *cloakroomv1.ExposureRequest, stream grpc.ServerStreamingServer[cloakroomv1.ExposureResponse]) error {
	if err := s.checkExposed(q); err != nil {
		return err
	}
	summary, rows := s.exposed(q)
	answer := cloakroomv1.ExposureResponse_builder{Summary: summary}.Build()
	for len(rows) > 0 {
		n := min(len(rows), 100)
		answer.SetRows(rows[:n])
		if err := stream.Send(answer); err != nil {
			return err
		}
		rows, answer = rows[n:], &cloakroomv1.ExposureResponse{}
	}
	if answer.HasSummary() {
		return stream.Send(answer)
	}
	return nil
}
