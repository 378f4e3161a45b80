package fakeserver

import (
	"context"
	"slices"
	"strconv"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	"golang.org/x/mod/sumdb/tlog"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

type audits struct {
	*Server
	cloakroomv1.UnsafeAuditServiceServer
}

func noEntry() error {
	return (&refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_ENTRY_NOT_FOUND,
		message: "the audit log has no such entry"}).call()
}

func (s audits) ListEntries(_ context.Context, q *cloakroomv1.ListEntriesRequest) (*cloakroomv1.ListEntriesResponse, error) {
	l := s.Audit
	l.mu.Lock()
	defer l.mu.Unlock()
	size := int(q.GetPageSize())
	if size == 0 {
		size = 100
	}
	if size < 0 || size > 1000 {
		return nil, (&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
			message: "page_size is 1 to 1,000", field: "page_size"}).call()
	}
	at, step, end := l.first, 1, len(l.entries)
	if q.GetNewestFirst() {
		at, step, end = len(l.entries)-1, -1, l.first-1
	}
	if q.GetPageToken() != "" {
		n, err := strconv.Atoi(q.GetPageToken())
		if err != nil {
			return nil, (&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_PAGE_TOKEN,
				message: "no page token of this list", field: "page_token"}).call()
		}
		at = n
	}
	answer := cloakroomv1.ListEntriesResponse_builder{FirstIndex: uint64(l.first), LogSize: uint64(len(l.entries))}.Build()
	for ; at != end; at += step {
		if len(answer.GetEntries()) == size {
			answer.SetNextPageToken(strconv.Itoa(at))
			break
		}
		if e := match(q.GetFilter(), l.entries[at]); e != nil {
			answer.SetEntries(append(answer.GetEntries(), e))
		}
	}
	return answer, nil
}

func (s audits) WatchEntries(q *cloakroomv1.WatchEntriesRequest, stream grpc.ServerStreamingServer[cloakroomv1.WatchEntriesResponse]) error {
	l := s.Audit
	l.mu.Lock()
	next := len(l.entries)
	if q.HasFromIndex() {
		next = int(q.GetFromIndex()) - l.lies.back
	}
	l.mu.Unlock()
	if err := stream.Send(cloakroomv1.WatchEntriesResponse_builder{NextIndex: uint64(next)}.Build()); err != nil {
		return err
	}
	for {
		l.mu.Lock()
		changed, broken, fresh := l.changed, l.broken, l.entries[min(max(next, l.first), len(l.entries)):]
		breaks := l.lies.breakWatch >= next && l.lies.breakWatch < len(l.entries)
		if breaks {
			fresh = fresh[:min(l.lies.breakWatch-next, len(fresh))]
			l.lies.breakWatch = -1
		}
		l.mu.Unlock()
		for _, e := range fresh {
			next = int(e.GetIndex()) + 1
			if e = match(q.GetFilter(), e); e == nil {
				continue
			}
			if err := stream.Send(cloakroomv1.WatchEntriesResponse_builder{Entry: e, NextIndex: uint64(next)}.Build()); err != nil {
				return err
			}
		}
		if breaks {
			return Unavailable()
		}
		select {
		case <-changed:
		case <-broken:
			return Unavailable()
		case <-stream.Context().Done():
			return stream.Context().Err()
		}
	}
}

func (s audits) ExportEntries(q *cloakroomv1.ExportEntriesRequest, stream grpc.ServerStreamingServer[cloakroomv1.ExportEntriesResponse]) error {
	l := s.Audit
	l.mu.Lock()
	encoded, from, to, lies := slices.Clone(l.encoded), max(int(q.GetFromIndex()), l.first), int(q.GetToIndex()), l.lies
	l.lies.breakOnce = -1
	l.mu.Unlock()
	if to == 0 {
		to = len(encoded)
	}
	if to > len(encoded) {
		return noEntry()
	}
	if lies.swap >= 0 {
		encoded[lies.swap], encoded[lies.swap+1] = encoded[lies.swap+1], encoded[lies.swap]
	}
	for from < to {
		end := min(from+100, to)
		for _, cut := range []int{lies.truncate, lies.breakOnce, lies.skip} {
			if cut >= from {
				end = min(end, cut)
			}
		}
		if end > from {
			if err := stream.Send(cloakroomv1.ExportEntriesResponse_builder{FirstIndex: uint64(from), Entries: encoded[from:end]}.Build()); err != nil {
				return err
			}
		}
		if end == lies.skip {
			end++
		}
		switch from = end; from {
		case lies.truncate:
			return nil
		case lies.breakOnce:
			return Unavailable()
		}
	}
	return nil
}

func (s audits) GetCheckpoint(context.Context, *cloakroomv1.GetCheckpointRequest) (*cloakroomv1.GetCheckpointResponse, error) {
	l := s.Audit
	l.mu.Lock()
	defer l.mu.Unlock()
	signed, size := l.checkpoint()
	keys := l.verifierKeys()
	return cloakroomv1.GetCheckpointResponse_builder{
		Checkpoint: signed, VerifierKey: keys[0], VerifierKeys: keys, Size: uint64(size),
	}.Build(), nil
}

func (s audits) GetInclusionProof(_ context.Context, q *cloakroomv1.GetInclusionProofRequest) (*cloakroomv1.GetInclusionProofResponse, error) {
	l := s.Audit
	l.mu.Lock()
	defer l.mu.Unlock()
	signed, size := l.checkpoint()
	n, index := int64(q.GetSize()), int64(q.GetIndex())
	if n == 0 {
		n = size
		if l.lies.lag {
			n--
		}
	}
	if n > size || index >= n {
		return nil, noEntry()
	}
	proof, err := tlog.ProveRecord(n, index, l.hashes())
	if err != nil {
		return nil, err
	}
	answer := cloakroomv1.GetInclusionProofResponse_builder{
		Hashes: l.hashList(proof), Size: uint64(n), Checkpoint: signed,
	}.Build()
	leaf := tlog.RecordHash(l.encoded[index])
	if l.lies.alterProof >= 0 && int(index) >= l.lies.alterProof {
		leaf[0] ^= 1
	}
	answer.SetLeafHash(leaf[:])
	if int(index) >= l.first {
		answer.SetEntry(l.encoded[index])
	}
	return answer, nil
}

func (s audits) GetConsistencyProof(_ context.Context, q *cloakroomv1.GetConsistencyProofRequest) (*cloakroomv1.GetConsistencyProofResponse, error) {
	l := s.Audit
	l.mu.Lock()
	defer l.mu.Unlock()
	newer, older := int64(q.GetNewerSize()), int64(q.GetOlderSize())
	if newer == 0 {
		newer = int64(len(l.entries))
	}
	if newer > int64(len(l.entries)) || older > newer || older < 1 {
		return nil, noEntry()
	}
	proof, err := tlog.ProveTree(newer, older, l.hashes())
	if err != nil {
		return nil, err
	}
	root := l.root(newer)
	return cloakroomv1.GetConsistencyProofResponse_builder{
		Hashes: l.hashList(proof), NewerSize: uint64(newer), NewerRoot: root[:],
	}.Build(), nil
}

// hashList is the proof as it is sent; the caller holds the lock.
func (l *AuditLog) hashList(proof []tlog.Hash) [][]byte {
	if l.lies.dropHash && len(proof) > 0 {
		proof = proof[:len(proof)-1]
	}
	list := make([][]byte, len(proof))
	for i := range proof {
		list[i] = proof[i][:]
	}
	return list
}
