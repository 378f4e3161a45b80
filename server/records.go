package server

import (
	"context"
	"errors"
	"io"

	"google.golang.org/grpc"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// recordService implements RecordService. The embedded interface is the unsafe
// one, so that a new RPC of the contract breaks the build until it is written.
type recordService struct {
	cloakroomv1.UnsafeRecordServiceServer
	s *Server
}

func (r *recordService) PutRecord(ctx context.Context, q *cloakroomv1.PutRecordRequest) (*cloakroomv1.PutRecordResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	results, err := r.s.vault.PutRecords(ctx, c, vault.PutRequest{
		Collection: q.GetCollection(), Records: []vault.RecordInput{inputOf(q.GetRecord())},
		Upsert: q.GetUpsert(), RequestID: q.GetRequestId(), Domain: q.GetDomain(),
	})
	if err == nil && results[0].Err != nil {
		err = results[0].Err
	}
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_PutRecord_FullMethodName, c, err)
	}
	return cloakroomv1.PutRecordResponse_builder{
		Record: recordOut(results[0].Record), Created: results[0].Created,
	}.Build(), nil
}

func (r *recordService) PutRecords(ctx context.Context, q *cloakroomv1.PutRecordsRequest) (*cloakroomv1.PutRecordsResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	results, err := r.s.vault.PutRecords(ctx, c, vault.PutRequest{
		Collection: q.GetCollection(), Records: inputsOf(q.GetRecords()),
		Upsert: q.GetUpsert(), RequestID: q.GetRequestId(), Domain: q.GetDomain(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_PutRecords_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.PutRecordResult, 0, len(results))
	for _, one := range results {
		out = append(out, cloakroomv1.PutRecordResult_builder{
			Record: recordOut(one.Record), Created: one.Created, Error: itemError(one.Err),
		}.Build())
	}
	return cloakroomv1.PutRecordsResponse_builder{Results: out}.Build(), nil
}

// maxFailures is how many failures the answer of an import lists.
const maxFailures = 10_000

func (r *recordService) ImportRecords(stream grpc.ClientStreamingServer[cloakroomv1.ImportRecordsRequest, cloakroomv1.ImportRecordsResponse]) error {
	ctx := stream.Context()
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return err
	}
	var first *cloakroomv1.ImportRecordsRequest
	var created, updated, failed, index int64
	var failures []*cloakroomv1.ImportFailure
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) && first == nil {
			// Nothing to store is refused like a batch of nothing: by the vault,
			// after the caller's right.
			first = &cloakroomv1.ImportRecordsRequest{}
			_, err = r.importBatch(ctx, c, first, first)
			return r.s.fail(ctx, cloakroomv1.RecordService_ImportRecords_FullMethodName, c, err)
		}
		if errors.Is(err, io.EOF) {
			return stream.SendAndClose(cloakroomv1.ImportRecordsResponse_builder{
				Created: created, Updated: updated, Failed: failed, Failures: failures,
			}.Build())
		}
		if err != nil {
			return err
		}
		if first == nil {
			first = q
		}
		results, err := r.importBatch(ctx, c, first, q)
		if err != nil {
			return r.s.fail(ctx, cloakroomv1.RecordService_ImportRecords_FullMethodName, c, err)
		}
		for _, one := range results {
			switch {
			case one.Err != nil:
				failed++
				if len(failures) < maxFailures {
					failures = append(failures, cloakroomv1.ImportFailure_builder{
						Index: index, Error: itemError(one.Err),
					}.Build())
				}
			case one.Created:
				created++
			default:
				updated++
			}
			index++
		}
	}
}

// importBatch stores one message of an import. The collection and the mode
// stand in the first.
func (r *recordService) importBatch(ctx context.Context, c vault.Caller, first, q *cloakroomv1.ImportRecordsRequest) ([]vault.RecordResult, error) {
	if name := q.GetCollection(); name != "" && name != first.GetCollection() {
		return nil, &vault.Error{Reason: vault.InvalidRequest, Field: "collection", Detail: "must not change within a stream"}
	}
	return r.s.vault.PutRecords(ctx, c, vault.PutRequest{
		Collection: first.GetCollection(), Records: inputsOf(q.GetRecords()), Upsert: first.GetUpsert(),
	})
}

func (r *recordService) GetRecord(ctx context.Context, q *cloakroomv1.GetRecordRequest) (*cloakroomv1.GetRecordResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	results, err := r.s.vault.GetRecords(ctx, c, vault.GetRequest{
		Collection: q.GetCollection(), SubjectIDs: []string{q.GetSubjectId()}, Domain: q.GetDomain(),
	})
	if err == nil && results[0].Err != nil {
		err = results[0].Err
	}
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_GetRecord_FullMethodName, c, err)
	}
	return cloakroomv1.GetRecordResponse_builder{Record: recordOut(results[0].Record)}.Build(), nil
}

func (r *recordService) BatchGetRecords(ctx context.Context, q *cloakroomv1.BatchGetRecordsRequest) (*cloakroomv1.BatchGetRecordsResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	results, err := r.s.vault.GetRecords(ctx, c, vault.GetRequest{
		Collection: q.GetCollection(), SubjectIDs: q.GetSubjectIds(), Domain: q.GetDomain(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_BatchGetRecords_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.GetRecordResult, 0, len(results))
	for _, one := range results {
		out = append(out, cloakroomv1.GetRecordResult_builder{
			Record: recordOut(one.Record), Error: itemError(one.Err),
		}.Build())
	}
	return cloakroomv1.BatchGetRecordsResponse_builder{Results: out}.Build(), nil
}

func (r *recordService) ListRecords(ctx context.Context, q *cloakroomv1.ListRecordsRequest) (*cloakroomv1.ListRecordsResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	records, next, err := r.s.vault.ListRecords(ctx, c, vault.ListRequest{
		Collection: q.GetCollection(), PageSize: int(q.GetPageSize()), PageToken: q.GetPageToken(), Domain: q.GetDomain(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_ListRecords_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.Record, 0, len(records))
	for _, one := range records {
		out = append(out, recordOut(one))
	}
	return cloakroomv1.ListRecordsResponse_builder{Records: out, NextPageToken: next}.Build(), nil
}

func (r *recordService) UpdateRecord(ctx context.Context, q *cloakroomv1.UpdateRecordRequest) (*cloakroomv1.UpdateRecordResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	record, err := r.s.vault.UpdateRecord(ctx, c, vault.UpdateRequest{
		Collection: q.GetCollection(), Record: inputOf(q.GetRecord()), Mask: q.GetUpdateMask().GetPaths(),
		ETag: q.GetEtag(), RequestID: q.GetRequestId(), Domain: q.GetDomain(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_UpdateRecord_FullMethodName, c, err)
	}
	return cloakroomv1.UpdateRecordResponse_builder{Record: recordOut(record)}.Build(), nil
}

func (r *recordService) DeleteRecord(ctx context.Context, q *cloakroomv1.DeleteRecordRequest) (*cloakroomv1.DeleteRecordResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	deleted, err := r.s.vault.DeleteRecord(ctx, c, vault.DeleteRequest{
		Collection: q.GetCollection(), SubjectID: q.GetSubjectId(), ETag: q.GetEtag(), RequestID: q.GetRequestId(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RecordService_DeleteRecord_FullMethodName, c, err)
	}
	return cloakroomv1.DeleteRecordResponse_builder{
		ValuesDeleted: int32(deleted.Values), CopiesExpireTime: timeOut(deleted.CopiesExpire),
	}.Build(), nil
}
