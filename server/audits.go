package server

import (
	"context"
	"encoding/hex"
	"math"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// auditService implements AuditService.
type auditService struct {
	cloakroomv1.UnsafeAuditServiceServer
	s *Server
}

func (a *auditService) ListEntries(ctx context.Context, q *cloakroomv1.ListEntriesRequest) (*cloakroomv1.ListEntriesResponse, error) {
	c, err := a.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	page, err := a.s.vault.ListAudit(ctx, c, vault.ListAuditRequest{
		Filter: filterIn(q.GetFilter()), PageSize: int(q.GetPageSize()), PageToken: q.GetPageToken(), Newest: q.GetNewestFirst(),
	})
	if err != nil {
		return nil, a.s.fail(ctx, cloakroomv1.AuditService_ListEntries_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.AuditEntry, len(page.Entries))
	for i, e := range page.Entries {
		out[i] = entryOut(a.s.vault.FieldName, e.Index, e.Entry)
	}
	return cloakroomv1.ListEntriesResponse_builder{
		Entries: out, NextPageToken: page.Next, FirstIndex: page.First, LogSize: page.Size,
	}.Build(), nil
}

func (a *auditService) WatchEntries(q *cloakroomv1.WatchEntriesRequest, stream grpc.ServerStreamingServer[cloakroomv1.WatchEntriesResponse]) error {
	ctx := stream.Context()
	c, err := a.s.callerOf(ctx)
	if err != nil {
		return err
	}
	in := vault.WatchAuditRequest{Filter: filterIn(q.GetFilter())}
	if q.HasFromIndex() {
		from := q.GetFromIndex()
		in.From = &from
	}
	run, end := a.s.untilStop(ctx)
	defer end()
	err = a.s.vault.WatchAudit(run, c, in, func(e *vault.HistoryEntry, next uint64) error {
		out := cloakroomv1.WatchEntriesResponse_builder{NextIndex: next}
		if e != nil {
			out.Entry = entryOut(a.s.vault.FieldName, e.Index, e.Entry)
		}
		return stream.Send(out.Build())
	})
	if ctx.Err() == nil && run.Err() != nil {
		return status.Error(codes.Unavailable, "the server stops")
	}
	return a.s.fail(ctx, cloakroomv1.AuditService_WatchEntries_FullMethodName, c, err)
}

// Bounds of one message of an export.
const (
	exportEntries = 512
	exportBytes   = 1 << 20
)

func (a *auditService) ExportEntries(q *cloakroomv1.ExportEntriesRequest, stream grpc.ServerStreamingServer[cloakroomv1.ExportEntriesResponse]) error {
	ctx := stream.Context()
	c, err := a.s.callerOf(ctx)
	if err != nil {
		return err
	}
	var first uint64
	var lot [][]byte
	size := 0
	flush := func() error {
		if len(lot) == 0 {
			return nil
		}
		err := stream.Send(cloakroomv1.ExportEntriesResponse_builder{FirstIndex: first, Entries: lot}.Build())
		lot, size = lot[:0], 0
		return err
	}
	err = a.s.vault.ExportAudit(ctx, c, vault.ExportAuditRequest{From: q.GetFromIndex(), To: q.GetToIndex()}, func(i uint64, raw []byte) error {
		if len(lot) == 0 {
			first = i
		}
		lot = append(lot, slices.Clone(raw))
		if size += len(raw); len(lot) == exportEntries || size >= exportBytes {
			return flush()
		}
		return nil
	})
	if err == nil {
		err = flush()
	}
	if err != nil {
		return a.s.fail(ctx, cloakroomv1.AuditService_ExportEntries_FullMethodName, c, err)
	}
	return nil
}

func (a *auditService) GetCheckpoint(ctx context.Context, _ *cloakroomv1.GetCheckpointRequest) (*cloakroomv1.GetCheckpointResponse, error) {
	c, err := a.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.s.vault.AuditCheckpoint(ctx, c)
	if err != nil {
		return nil, a.s.fail(ctx, cloakroomv1.AuditService_GetCheckpoint_FullMethodName, c, err)
	}
	return cloakroomv1.GetCheckpointResponse_builder{Checkpoint: p.Signed, VerifierKey: p.VerifierKey, VerifierKeys: p.VerifierKeys, Size: p.Size}.Build(), nil
}

func (a *auditService) GetInclusionProof(ctx context.Context, q *cloakroomv1.GetInclusionProofRequest) (*cloakroomv1.GetInclusionProofResponse, error) {
	c, err := a.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.s.vault.ProveInclusion(ctx, c, q.GetIndex(), q.GetSize())
	if err != nil {
		return nil, a.s.fail(ctx, cloakroomv1.AuditService_GetInclusionProof_FullMethodName, c, err)
	}
	return cloakroomv1.GetInclusionProofResponse_builder{
		Hashes: hashesOut(p.Hashes), Size: p.Size, Entry: p.Entry, LeafHash: p.Leaf[:], Checkpoint: p.Checkpoint,
	}.Build(), nil
}

func (a *auditService) GetConsistencyProof(ctx context.Context, q *cloakroomv1.GetConsistencyProofRequest) (*cloakroomv1.GetConsistencyProofResponse, error) {
	c, err := a.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	p, err := a.s.vault.ProveConsistency(ctx, c, q.GetOlderSize(), q.GetNewerSize())
	if err != nil {
		return nil, a.s.fail(ctx, cloakroomv1.AuditService_GetConsistencyProof_FullMethodName, c, err)
	}
	return cloakroomv1.GetConsistencyProofResponse_builder{
		Hashes: hashesOut(p.Hashes), NewerSize: p.Newer, NewerRoot: p.Root[:],
	}.Build(), nil
}

func hashesOut[H ~[32]byte, L ~[]H](list L) [][]byte {
	out := make([][]byte, len(list))
	for i := range list {
		out[i] = list[i][:]
	}
	return out
}

func filterIn(f *cloakroomv1.AuditFilter) vault.HistoryFilter {
	out := vault.HistoryFilter{
		Principals: f.GetPrincipals(), SubjectIDs: f.GetSubjectIds(), Subjects: f.GetSubjects(), Fields: f.GetFields(),
		Purposes: f.GetPurposes(), Actions: f.GetActions(), Outcome: outcomeIn(f.GetOutcome()),
		Since: timeIn(f.GetSince()), Until: timeIn(f.GetUntil()),
	}
	return out
}

// outcomeIn converts an outcome; a number that does not fit becomes one that
// there is not, so that it is refused.
func outcomeIn(o cloakroomv1.AuditOutcome) audit.Outcome {
	if o < 0 || o > math.MaxUint8 {
		return math.MaxUint8
	}
	return audit.Outcome(o)
}

// entryOut converts an entry of the log. What is not in it is not in the
// message: names of fields come from fieldName.
func entryOut(fieldName func(uint32) string, index uint64, e *audit.Entry) *cloakroomv1.AuditEntry {
	items := make([]*cloakroomv1.AuditItem, len(e.Items))
	for i := range e.Items {
		it := &e.Items[i]
		out := cloakroomv1.AuditItem_builder{
			Item: uint32(it.Item), Outcome: cloakroomv1.AuditOutcome(it.Outcome),
			Refusal: cloakroomv1.ErrorReason(it.Refusal), KeyVersion: uint32(it.KeyVersion),
		}
		if it.Subject != ([16]byte{}) {
			out.Subject = hex.EncodeToString(it.Subject[:])
		}
		if it.Field != 0 {
			out.Field = fieldName(it.Field)
		}
		if it.Hash != ([16]byte{}) {
			out.Hash = it.Hash[:]
		}
		items[i] = out.Build()
	}
	return cloakroomv1.AuditEntry_builder{
		Index: index, Id: hex.EncodeToString(e.ID[:]), Time: timestamppb.New(e.Time),
		RequestId: e.Request, Principal: e.Principal, Action: e.Action.String(), Purpose: e.Purpose, View: e.View,
		Reason: e.Reason, PolicyVersion: e.PolicyVersion, Collection: e.Collection, Object: e.Object,
		Outcome: cloakroomv1.AuditOutcome(e.Outcome), Refusal: e.Refusal, Count: e.Count, Items: items,
	}.Build()
}

// EntryJSON renders an entry of the log as one line of JSON: the message
// AuditEntry of the contract, in the JSON form of protocol buffers, with every
// field in it. fieldName gives the names of fields.
func EntryJSON(fieldName func(uint32) string, index uint64, e *audit.Entry) ([]byte, error) {
	return protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.Marshal(entryOut(fieldName, index, e))
}
