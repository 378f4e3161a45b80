package server

import (
	"context"
	"math"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// keyService implements KeyService.
type keyService struct {
	cloakroomv1.UnsafeKeyServiceServer
	s *Server
}

func (k *keyService) ListKeys(ctx context.Context, q *cloakroomv1.ListKeysRequest) (*cloakroomv1.ListKeysResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	list, err := k.s.vault.Keys(ctx, c, q.GetCount())
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_ListKeys_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.Key, len(list.Keys))
	for i := range list.Keys {
		out[i] = keyOut(&list.Keys[i])
	}
	return cloakroomv1.ListKeysResponse_builder{Keys: out, Sealed: list.Sealed}.Build(), nil
}

func (k *keyService) RotateKey(ctx context.Context, q *cloakroomv1.RotateKeyRequest) (*cloakroomv1.RotateKeyResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	fresh, err := k.s.vault.RotateKey(ctx, c, vault.KeyChange{Key: keyRefIn(q.GetKey()), Reason: q.GetReason(), AddOnly: q.GetAddOnly()})
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_RotateKey_FullMethodName, c, err)
	}
	return cloakroomv1.RotateKeyResponse_builder{Version: fresh}.Build(), nil
}

func (k *keyService) PromoteKey(ctx context.Context, q *cloakroomv1.PromoteKeyRequest) (*cloakroomv1.PromoteKeyResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.s.vault.PromoteKey(ctx, c, changeIn(q)); err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_PromoteKey_FullMethodName, c, err)
	}
	return &cloakroomv1.PromoteKeyResponse{}, nil
}

func (k *keyService) DisableKey(ctx context.Context, q *cloakroomv1.DisableKeyRequest) (*cloakroomv1.DisableKeyResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	fresh, err := k.s.vault.DisableKey(ctx, c, changeIn(q))
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_DisableKey_FullMethodName, c, err)
	}
	return cloakroomv1.DisableKeyResponse_builder{FreshVersion: fresh}.Build(), nil
}

func (k *keyService) EnableKey(ctx context.Context, q *cloakroomv1.EnableKeyRequest) (*cloakroomv1.EnableKeyResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.s.vault.EnableKey(ctx, c, changeIn(q)); err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_EnableKey_FullMethodName, c, err)
	}
	return &cloakroomv1.EnableKeyResponse{}, nil
}

func (k *keyService) DestroyKey(ctx context.Context, q *cloakroomv1.DestroyKeyRequest) (*cloakroomv1.DestroyKeyResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	change := changeIn(q)
	change.Force = q.GetForce()
	waits, err := k.s.vault.DestroyKey(ctx, c, change)
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_DestroyKey_FullMethodName, c, err)
	}
	if waits == nil {
		return &cloakroomv1.DestroyKeyResponse{}, nil
	}
	return cloakroomv1.DestroyKeyResponse_builder{Request: keyRequestOut(waits)}.Build(), nil
}

func (k *keyService) ListKeyRequests(ctx context.Context, _ *cloakroomv1.ListKeyRequestsRequest) (*cloakroomv1.ListKeyRequestsResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	all, err := k.s.vault.KeyRequests(ctx, c)
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_ListKeyRequests_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.KeyRequest, len(all))
	for i := range all {
		out[i] = keyRequestOut(&all[i])
	}
	return cloakroomv1.ListKeyRequestsResponse_builder{Requests: out}.Build(), nil
}

func (k *keyService) ApproveKeyRequest(ctx context.Context, q *cloakroomv1.ApproveKeyRequestRequest) (*cloakroomv1.ApproveKeyRequestResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	destroyed, err := k.s.vault.ApproveKeyRequest(ctx, c, q.GetId(), q.GetReason())
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_ApproveKeyRequest_FullMethodName, c, err)
	}
	return cloakroomv1.ApproveKeyRequestResponse_builder{Destroyed: destroyed}.Build(), nil
}

func (k *keyService) WithdrawKeyRequest(ctx context.Context, q *cloakroomv1.WithdrawKeyRequestRequest) (*cloakroomv1.WithdrawKeyRequestResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.s.vault.WithdrawKeyRequest(ctx, c, q.GetId(), q.GetReason()); err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_WithdrawKeyRequest_FullMethodName, c, err)
	}
	return &cloakroomv1.WithdrawKeyRequestResponse{}, nil
}

func (k *keyService) RewrapRoot(ctx context.Context, q *cloakroomv1.RewrapRootRequest) (*cloakroomv1.RewrapRootResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	before, after, err := k.s.vault.RewrapRoot(ctx, c, q.GetReason())
	if err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_RewrapRoot_FullMethodName, c, err)
	}
	return cloakroomv1.RewrapRootResponse_builder{PreviousKek: before, Kek: after}.Build(), nil
}

func (k *keyService) RewrapValues(ctx context.Context, q *cloakroomv1.RewrapValuesRequest) (*cloakroomv1.RewrapValuesResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.s.vault.RewrapValues(ctx, c, q.GetReason()); err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_RewrapValues_FullMethodName, c, err)
	}
	return &cloakroomv1.RewrapValuesResponse{}, nil
}

func (k *keyService) PauseRewrap(ctx context.Context, q *cloakroomv1.PauseRewrapRequest) (*cloakroomv1.PauseRewrapResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.s.vault.PauseRewrap(ctx, c, q.GetReason()); err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_PauseRewrap_FullMethodName, c, err)
	}
	return &cloakroomv1.PauseRewrapResponse{}, nil
}

func (k *keyService) ResumeRewrap(ctx context.Context, q *cloakroomv1.ResumeRewrapRequest) (*cloakroomv1.ResumeRewrapResponse, error) {
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	if err := k.s.vault.ResumeRewrap(ctx, c, q.GetReason()); err != nil {
		return nil, k.s.fail(ctx, cloakroomv1.KeyService_ResumeRewrap_FullMethodName, c, err)
	}
	return &cloakroomv1.ResumeRewrapResponse{}, nil
}

func (k *keyService) WatchKeyWork(q *cloakroomv1.WatchKeyWorkRequest, stream grpc.ServerStreamingServer[cloakroomv1.WatchKeyWorkResponse]) error {
	ctx := stream.Context()
	c, err := k.s.callerOf(ctx)
	if err != nil {
		return err
	}
	run, end := k.s.untilStop(ctx)
	defer end()
	err = k.s.vault.WatchKeyWork(run, c, q.GetUntilIdle(), func(all []vault.KeyWork) error {
		out := make([]*cloakroomv1.KeyWork, len(all))
		for i := range all {
			out[i] = keyWorkOut(&all[i])
		}
		return stream.Send(cloakroomv1.WatchKeyWorkResponse_builder{Work: out}.Build())
	})
	switch {
	case err == nil && run.Err() == nil:
		return nil
	case ctx.Err() == nil && run.Err() != nil:
		return status.Error(codes.Unavailable, "the server stops")
	}
	return k.s.fail(ctx, cloakroomv1.KeyService_WatchKeyWork_FullMethodName, c, err)
}

// changing is a request about one version of a keyset.
type changing interface {
	GetKey() *cloakroomv1.KeyName
	GetVersion() uint32
	GetReason() string
}

func changeIn(q changing) vault.KeyChange {
	return vault.KeyChange{Key: keyRefIn(q.GetKey()), Version: q.GetVersion(), Reason: q.GetReason()}
}

// keyRefIn converts the name of a key; a kind that does not fit becomes one that
// there is not, so that it is refused.
func keyRefIn(n *cloakroomv1.KeyName) vault.KeyRef {
	kind := n.GetKind()
	if kind < 0 || kind > math.MaxUint8 {
		kind = math.MaxUint8
	}
	return vault.KeyRef{Kind: vault.KeyKind(kind), Name: n.GetName()}
}
