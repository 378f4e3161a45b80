package fakeserver

import (
	"context"
	"errors"
	"io"
	"slices"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

type records struct {
	*Server
	cloakroomv1.UnsafeRecordServiceServer
}

// once answers a write that is sent again as it was answered the first time; do
// runs under the lock.
func once[Q, R proto.Message](s *Server, method, id string, request Q, do func() (R, *refusal)) (R, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var none R
	key := method + " " + id
	if before, is := s.answers[key]; is && id != "" {
		if !proto.Equal(before.request, request) {
			return none, (&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_REQUEST_ID_REUSED,
				message: "the request_id was used for a different request", field: "request_id"}).call()
		}
		return before.response.(R), nil
	}
	response, no := do()
	if no != nil {
		return none, no.call()
	}
	s.answers[key] = answered{proto.Clone(request), response}
	return response, nil
}

func tooMany(n int) *refusal {
	if n >= 1 && n <= 1000 {
		return nil
	}
	return &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
		message: "the request must hold 1 to 1000 items"}
}

func (s records) PutRecord(_ context.Context, q *cloakroomv1.PutRecordRequest) (*cloakroomv1.PutRecordResponse, error) {
	return once(s.Server, "PutRecord", q.GetRequestId(), q, func() (*cloakroomv1.PutRecordResponse, *refusal) {
		if no := collection(q.GetCollection()); no != nil {
			return nil, no
		}
		p, created, no := s.put(q.GetRecord(), q.GetUpsert())
		if no != nil {
			return nil, no
		}
		return cloakroomv1.PutRecordResponse_builder{Record: p.message(q.GetDomain()), Created: created}.Build(), nil
	})
}

func (s records) PutRecords(_ context.Context, q *cloakroomv1.PutRecordsRequest) (*cloakroomv1.PutRecordsResponse, error) {
	return once(s.Server, "PutRecords", q.GetRequestId(), q, func() (*cloakroomv1.PutRecordsResponse, *refusal) {
		if no := tooMany(len(q.GetRecords())); no != nil {
			return nil, no
		}
		var results []*cloakroomv1.PutRecordResult
		for _, in := range q.GetRecords() {
			p, created, no := s.put(in, q.GetUpsert())
			if no != nil {
				results = append(results, cloakroomv1.PutRecordResult_builder{Error: no.item()}.Build())
				continue
			}
			results = append(results, cloakroomv1.PutRecordResult_builder{Record: p.message(q.GetDomain()), Created: created}.Build())
		}
		return cloakroomv1.PutRecordsResponse_builder{Results: results}.Build(), nil
	})
}

func (s records) ImportRecords(stream grpc.ClientStreamingServer[cloakroomv1.ImportRecordsRequest, cloakroomv1.ImportRecordsResponse]) error {
	answer := &cloakroomv1.ImportRecordsResponse{}
	for index, first := int64(0), true; ; first = false {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(answer)
		}
		if err != nil {
			return err
		}
		if no := collection(q.GetCollection()); first && no != nil {
			return no.call()
		}
		if no := tooMany(len(q.GetRecords())); no != nil {
			return no.call()
		}
		s.mu.Lock()
		for _, in := range q.GetRecords() {
			_, created, no := s.put(in, q.GetUpsert())
			switch {
			case no != nil:
				answer.SetFailed(answer.GetFailed() + 1)
				answer.SetFailures(append(answer.GetFailures(), cloakroomv1.ImportFailure_builder{Index: index, Error: no.item()}.Build()))
			case created:
				answer.SetCreated(answer.GetCreated() + 1)
			default:
				answer.SetUpdated(answer.GetUpdated() + 1)
			}
			index++
		}
		s.mu.Unlock()
	}
}

func (s records) GetRecord(_ context.Context, q *cloakroomv1.GetRecordRequest) (*cloakroomv1.GetRecordResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := collection(q.GetCollection()); no != nil {
		return nil, no.call()
	}
	p := s.find(q.GetSubjectId())
	if p == nil {
		return nil, missing().call()
	}
	return cloakroomv1.GetRecordResponse_builder{Record: p.message(q.GetDomain())}.Build(), nil
}

func (s records) BatchGetRecords(_ context.Context, q *cloakroomv1.BatchGetRecordsRequest) (*cloakroomv1.BatchGetRecordsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := tooMany(len(q.GetSubjectIds())); no != nil {
		return nil, no.call()
	}
	var results []*cloakroomv1.GetRecordResult
	for _, id := range q.GetSubjectIds() {
		if p := s.find(id); p != nil {
			results = append(results, cloakroomv1.GetRecordResult_builder{Record: p.message(q.GetDomain())}.Build())
		} else {
			results = append(results, cloakroomv1.GetRecordResult_builder{Error: missing().item()}.Build())
		}
	}
	return cloakroomv1.BatchGetRecordsResponse_builder{Results: results}.Build(), nil
}

func (s records) ListRecords(_ context.Context, q *cloakroomv1.ListRecordsRequest) (*cloakroomv1.ListRecordsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := collection(q.GetCollection()); no != nil {
		return nil, no.call()
	}
	size := int(q.GetPageSize())
	if size == 0 {
		size = 100
	}
	start := 0
	if q.GetPageToken() != "" {
		start, _ = strconv.Atoi(q.GetPageToken())
	}
	end := min(start+size, len(s.people))
	var page []*cloakroomv1.Record
	for _, p := range s.people[start:end] {
		page = append(page, p.message(q.GetDomain()))
	}
	next := ""
	if end < len(s.people) {
		next = strconv.Itoa(end)
	}
	return cloakroomv1.ListRecordsResponse_builder{Records: page, NextPageToken: next}.Build(), nil
}

// current finds the record of a change and checks the etag.
func (s records) current(name, id, etag string) (*person, *refusal) {
	if no := collection(name); no != nil {
		return nil, no
	}
	p := s.find(id)
	if p == nil {
		return nil, missing()
	}
	if etag != "" && etag != p.etag {
		return nil, &refusal{code: codes.Aborted, reason: cloakroomv1.ErrorReason_ERROR_REASON_ETAG_MISMATCH,
			message: "the etag is not the record's current one", field: "etag"}
	}
	return p, nil
}

func (s records) UpdateRecord(_ context.Context, q *cloakroomv1.UpdateRecordRequest) (*cloakroomv1.UpdateRecordResponse, error) {
	return once(s.Server, "UpdateRecord", q.GetRequestId(), q, func() (*cloakroomv1.UpdateRecordResponse, *refusal) {
		if _, no := s.current(q.GetCollection(), q.GetRecord().GetSubjectId(), q.GetEtag()); no != nil {
			return nil, no
		}
		mask := q.GetUpdateMask().GetPaths()
		given := map[string]bool{}
		for _, f := range q.GetRecord().GetFields() {
			given[f.GetField()] = true
			if len(mask) > 0 && !slices.Contains(mask, f.GetField()) {
				return nil, &refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
					message: "a field is given and not in the mask", field: "update_mask"}
			}
		}
		p, _, no := s.put(q.GetRecord(), true)
		if no != nil {
			return nil, no
		}
		for _, field := range mask {
			if !given[field] {
				delete(p.fields, field)
			}
		}
		return cloakroomv1.UpdateRecordResponse_builder{Record: p.message(q.GetDomain())}.Build(), nil
	})
}

func (s records) DeleteRecord(_ context.Context, q *cloakroomv1.DeleteRecordRequest) (*cloakroomv1.DeleteRecordResponse, error) {
	return once(s.Server, "DeleteRecord", q.GetRequestId(), q, func() (*cloakroomv1.DeleteRecordResponse, *refusal) {
		p, no := s.current(q.GetCollection(), q.GetSubjectId(), q.GetEtag())
		if no != nil {
			return nil, no
		}
		count := 0
		for _, values := range p.fields {
			count += len(values)
		}
		s.removePerson(p)
		return cloakroomv1.DeleteRecordResponse_builder{
			ValuesDeleted: int32(count), CopiesExpireTime: timestamppb.New(now().Add(7 * 24 * time.Hour)),
		}.Build(), nil
	})
}
