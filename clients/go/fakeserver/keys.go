package fakeserver

import (
	"context"
	"slices"

	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

type keyService struct {
	*Server
	cloakroomv1.UnsafeKeyServiceServer
}

func (s keyService) ListKeys(_ context.Context, q *cloakroomv1.ListKeysRequest) (*cloakroomv1.ListKeysResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*cloakroomv1.Key, len(s.keys))
	for i, k := range s.keys {
		for _, v := range k.GetVersions() {
			if q.GetCount() && k.GetKey().GetKind() == cloakroomv1.KeyKind_KEY_KIND_FIELD && v.GetState() != cloakroomv1.KeyState_KEY_STATE_DESTROYED {
				v.SetValues(s.count(k, v.GetVersion()))
				v.SetCountTime(timestamppb.New(now()))
			}
		}
		out[i] = proto.CloneOf(k)
	}
	return cloakroomv1.ListKeysResponse_builder{Keys: out, Sealed: s.sealed}.Build(), nil
}

func (s keyService) RotateKey(_ context.Context, q *cloakroomv1.RotateKeyRequest) (*cloakroomv1.RotateKeyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := q.GetKey().GetKind()
	if kind == cloakroomv1.KeyKind_KEY_KIND_KEK {
		return nil, wrongKey("key", "the KEK is rotated where it lives").call()
	}
	outside := kind == cloakroomv1.KeyKind_KEY_KIND_ROOT || kind == cloakroomv1.KeyKind_KEY_KIND_EPOCH
	if outside && q.GetAddOnly() {
		return nil, wrongKey("add_only", "only of keysets").call()
	}
	k, no := s.key(q.GetKey())
	if no != nil {
		return nil, no.call()
	}
	fresh := s.freshVersion(k)
	if !q.GetAddOnly() {
		s.promote(k, fresh)
	}
	if kind == cloakroomv1.KeyKind_KEY_KIND_ROOT {
		k.GetVersions()[fresh-2].SetState(cloakroomv1.KeyState_KEY_STATE_DESTROYED)
	}
	return cloakroomv1.RotateKeyResponse_builder{Version: fresh}.Build(), nil
}

func (s keyService) PromoteKey(_ context.Context, q *cloakroomv1.PromoteKeyRequest) (*cloakroomv1.PromoteKeyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, v, no := s.version(q.GetKey(), q.GetVersion())
	if no == nil {
		no = usable(v)
	}
	if no != nil {
		return nil, no.call()
	}
	if k.GetPrimaryVersion() != q.GetVersion() {
		k.SetGeneration(k.GetGeneration() + 1)
		s.promote(k, q.GetVersion())
	}
	return &cloakroomv1.PromoteKeyResponse{}, nil
}

func (s keyService) DisableKey(_ context.Context, q *cloakroomv1.DisableKeyRequest) (*cloakroomv1.DisableKeyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, v, no := s.version(q.GetKey(), q.GetVersion())
	switch {
	case no != nil:
	case q.GetReason() == "":
		no = wrongKey("reason", "required")
	case v.GetState() == cloakroomv1.KeyState_KEY_STATE_DESTROYED:
		no = usable(v)
	}
	if no != nil {
		return nil, no.call()
	}
	v.SetState(cloakroomv1.KeyState_KEY_STATE_DISABLED)
	fresh := uint32(0)
	if k.GetPrimaryVersion() == q.GetVersion() {
		fresh = s.freshVersion(k)
		s.promote(k, fresh)
	} else {
		s.recount()
	}
	return cloakroomv1.DisableKeyResponse_builder{FreshVersion: fresh}.Build(), nil
}

func (s keyService) EnableKey(_ context.Context, q *cloakroomv1.EnableKeyRequest) (*cloakroomv1.EnableKeyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, v, no := s.version(q.GetKey(), q.GetVersion())
	switch {
	case no != nil:
	case q.GetReason() == "":
		no = wrongKey("reason", "required")
	case v.GetState() == cloakroomv1.KeyState_KEY_STATE_DESTROYED:
		no = usable(v)
	}
	if no != nil {
		return nil, no.call()
	}
	k.SetGeneration(k.GetGeneration() + 1)
	v.SetState(cloakroomv1.KeyState_KEY_STATE_ENABLED)
	s.recount()
	return &cloakroomv1.EnableKeyResponse{}, nil
}

func (s keyService) DestroyKey(ctx context.Context, q *cloakroomv1.DestroyKeyRequest) (*cloakroomv1.DestroyKeyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, v, no := s.version(q.GetKey(), q.GetVersion())
	if no != nil {
		return nil, no.call()
	}
	kind, left := k.GetKey().GetKind(), s.count(k, q.GetVersion())
	// What no count can prove unneeded waits for approval always.
	uncounted := kind == cloakroomv1.KeyKind_KEY_KIND_DOMAIN || kind == cloakroomv1.KeyKind_KEY_KIND_AUDIT_REF
	switch {
	case q.GetReason() == "":
		no = wrongKey("reason", "required")
	case v.GetState() == cloakroomv1.KeyState_KEY_STATE_DESTROYED:
		no = usable(v)
	case v.GetState() == cloakroomv1.KeyState_KEY_STATE_ENABLED:
		no = wrongKey("version", "must be disabled before it is destroyed")
	case left > 0 && q.GetForce() || uncounted:
		return cloakroomv1.DestroyKeyResponse_builder{Request: proto.CloneOf(s.ask(k, q.GetVersion(), q.GetReason(), caller(ctx)))}.Build(), nil
	case left > 0:
		no = &refusal{code: codes.FailedPrecondition, reason: cloakroomv1.ErrorReason_ERROR_REASON_KEY_IN_USE,
			message: "stored values need the version", field: "version"}
	}
	if no != nil {
		return nil, no.call()
	}
	s.destroy(k, v)
	return &cloakroomv1.DestroyKeyResponse{}, nil
}

func (s keyService) ListKeyRequests(context.Context, *cloakroomv1.ListKeyRequestsRequest) (*cloakroomv1.ListKeyRequestsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := make([]*cloakroomv1.KeyRequest, len(s.requests))
	for i, q := range s.requests {
		out[i] = proto.CloneOf(q)
	}
	return cloakroomv1.ListKeyRequestsResponse_builder{Requests: out}.Build(), nil
}

// request returns what waits; the caller holds the lock.
func (r *keyring) request(id uint64) (*cloakroomv1.KeyRequest, *refusal) {
	for _, q := range r.requests {
		if q.GetId() == id {
			return q, nil
		}
	}
	return nil, &refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_APPROVAL_NOT_FOUND,
		message: "no such request waits for approval", field: "id"}
}

func (s keyService) ApproveKeyRequest(ctx context.Context, q *cloakroomv1.ApproveKeyRequestRequest) (*cloakroomv1.ApproveKeyRequestResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, no := s.request(q.GetId())
	switch {
	case no != nil:
	case q.GetReason() == "":
		no = wrongKey("reason", "required")
	case r.GetRequestedBy() == caller(ctx), slices.Contains(r.GetApprovedBy(), caller(ctx)):
		no = &refusal{code: codes.PermissionDenied, reason: cloakroomv1.ErrorReason_ERROR_REASON_ACTION_DENIED,
			message: "somebody else must approve it", field: "id"}
	}
	if no != nil {
		return nil, no.call()
	}
	r.SetApprovedBy(append(r.GetApprovedBy(), caller(ctx)))
	if len(r.GetApprovedBy()) < 2 {
		return &cloakroomv1.ApproveKeyRequestResponse{}, nil
	}
	k, v, no := s.version(r.GetKey(), r.GetVersion())
	if no != nil {
		return nil, no.call()
	}
	s.destroy(k, v)
	return cloakroomv1.ApproveKeyRequestResponse_builder{Destroyed: true}.Build(), nil
}

func (s keyService) WithdrawKeyRequest(_ context.Context, q *cloakroomv1.WithdrawKeyRequestRequest) (*cloakroomv1.WithdrawKeyRequestResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, no := s.request(q.GetId()); no != nil {
		return nil, no.call()
	}
	if q.GetReason() == "" {
		return nil, wrongKey("reason", "required").call()
	}
	s.requests = slices.DeleteFunc(s.requests, func(r *cloakroomv1.KeyRequest) bool { return r.GetId() == q.GetId() })
	return &cloakroomv1.WithdrawKeyRequestResponse{}, nil
}

func (s keyService) RewrapRoot(context.Context, *cloakroomv1.RewrapRootRequest) (*cloakroomv1.RewrapRootResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.keys[0].GetProvider()
	for _, k := range s.keys[:2] {
		k.SetProvider("file: second")
	}
	return cloakroomv1.RewrapRootResponse_builder{PreviousKek: before, Kek: s.keys[0].GetProvider()}.Build(), nil
}
