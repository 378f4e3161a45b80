package cloakroom

import (
	"context"
	"time"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// KeyRequest is a destruction that waits for approval.
type KeyRequest struct {
	// ID is its number, never used again.
	ID uint64
	// Key and Version say what will be destroyed.
	Key     KeyName
	Version uint32
	// Reason is the code or ticket given.
	Reason string
	// RequestedBy is the principal who asked.
	RequestedBy string
	// RequestTime is when, and ExpireTime when the request lapses.
	RequestTime, ExpireTime time.Time
	// ApprovedBy are the principals who approved so far.
	ApprovedBy []string
	// Loss says in a sentence what will be lost.
	Loss string
	// Values is how many stored values will be lost, as counted when it was asked
	// for.
	Values uint64
}

// KeyRequests returns the destructions that wait for approval, oldest first.
func (c *Client) KeyRequests(ctx context.Context) ([]KeyRequest, error) {
	answer, err := invoke(ctx, c, idempotent, c.keys.ListKeyRequests, &cloakroomv1.ListKeyRequestsRequest{})
	if err != nil {
		return nil, err
	}
	requests := make([]KeyRequest, len(answer.GetRequests()))
	for i, m := range answer.GetRequests() {
		requests[i] = keyRequestFrom(m)
	}
	return requests, nil
}

// ApproveKeyRequest approves a destruction that somebody else asked for. The
// second approval, of another principal, carries it out: then destroyed is true.
//
// It has no default timeout and is sent once: when the answer was lost,
// KeyRequests and Keys show whether it was done. reason is required.
func (c *Client) ApproveKeyRequest(ctx context.Context, id uint64, reason string) (destroyed bool, err error) {
	answer, err := invokeLong(ctx, c, once, c.keys.ApproveKeyRequest, cloakroomv1.ApproveKeyRequestRequest_builder{
		Id: id, Reason: reason,
	}.Build())
	if err != nil {
		return false, err
	}
	return answer.GetDestroyed(), nil
}

// WithdrawKeyRequest takes a request back, or turns it down. It is sent again
// like a read: when the first answer was lost, the second may be
// ErrApprovalNotFound. The request is gone then either. reason is required.
func (c *Client) WithdrawKeyRequest(ctx context.Context, id uint64, reason string) error {
	_, err := invoke(ctx, c, idempotent, c.keys.WithdrawKeyRequest, cloakroomv1.WithdrawKeyRequestRequest_builder{
		Id: id, Reason: reason,
	}.Build())
	return err
}

func keyRequestFrom(m *cloakroomv1.KeyRequest) KeyRequest {
	return KeyRequest{
		ID: m.GetId(), Key: keyNameFrom(m.GetKey()), Version: m.GetVersion(), Reason: m.GetReason(),
		RequestedBy: m.GetRequestedBy(), RequestTime: timeFrom(m.GetRequestTime()), ExpireTime: timeFrom(m.GetExpireTime()),
		ApprovedBy: m.GetApprovedBy(), Loss: m.GetLoss(), Values: m.GetValues(),
	}
}
