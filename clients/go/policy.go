package cloakroom

import (
	"context"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// AppliedPolicy is the answer of ApplyPolicy.
type AppliedPolicy struct {
	// Version is the version in force after the call; with ValidateOnly the one
	// that the document would get.
	Version uint64
	// Changed says whether the call changed the policy.
	Changed bool
}

// Policy is a policy file as it was applied.
type Policy struct {
	// Document is the YAML text; empty for version 0.
	Document []byte
	Version  uint64
	// ApplyTime is zero for version 0.
	ApplyTime time.Time
	// AppliedBy is the principal who applied it.
	AppliedBy string
}

// Identity says who the vault takes the caller for.
type Identity struct {
	// Principal is read from the connection.
	Principal string
	// Known says whether the policy in force knows the principal.
	Known bool
	// Roles are the names of the principal's roles.
	Roles []string
	// PolicyVersion is the version of the policy in force.
	PolicyVersion uint64
}

// ApplyPolicy replaces the policy by a YAML document of at most 1 MiB. On any
// mistake nothing changes: errors.Is(err, ErrPolicyInvalid) holds, and the
// Violations of the *Error list every mistake. It is sent once; with
// ValidateOnly it may be sent again.
func (c *Client) ApplyPolicy(ctx context.Context, document []byte, options ...PolicyOption) (AppliedPolicy, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyPolicy(&o)
	}
	answer, err := invoke(ctx, c, repeat(o.validate), c.policy.ApplyPolicy, cloakroomv1.ApplyPolicyRequest_builder{
		Document: document, ExpectedVersion: o.expected, ValidateOnly: o.validate,
	}.Build())
	if err != nil {
		return AppliedPolicy{}, err
	}
	return AppliedPolicy{Version: answer.GetVersion(), Changed: answer.GetChanged()}, nil
}

// GetPolicy returns the policy of a version; 0 means the current one.
func (c *Client) GetPolicy(ctx context.Context, version uint64) (Policy, error) {
	answer, err := invoke(ctx, c, idempotent, c.policy.GetPolicy,
		cloakroomv1.GetPolicyRequest_builder{Version: version}.Build())
	if err != nil {
		return Policy{}, err
	}
	return Policy{
		Document: answer.GetDocument(), Version: answer.GetVersion(),
		ApplyTime: timeFrom(answer.GetApplyTime()), AppliedBy: answer.GetAppliedBy(),
	}, nil
}

// WhoAmI says who the vault takes the caller for. Every authenticated caller may
// ask.
func (c *Client) WhoAmI(ctx context.Context) (Identity, error) {
	answer, err := invoke(ctx, c, idempotent, c.policy.WhoAmI, &cloakroomv1.WhoAmIRequest{})
	if err != nil {
		return Identity{}, err
	}
	return Identity{
		Principal: answer.GetPrincipal(), Known: answer.GetKnown(),
		Roles: answer.GetRoles(), PolicyVersion: answer.GetPolicyVersion(),
	}, nil
}

// Health returns nil when the vault says that it serves, by the standard health
// service of gRPC. A vault that says it does not gives ErrUnavailable, like one
// that cannot be reached.
func (c *Client) Health(ctx context.Context) error {
	answer, err := invoke(ctx, c, idempotent, c.health.Check, &grpc_health_v1.HealthCheckRequest{})
	if err != nil {
		return err
	}
	if answer.GetStatus() != grpc_health_v1.HealthCheckResponse_SERVING {
		return &Error{Code: codes.Unavailable, Message: "the vault does not serve now: " + answer.GetStatus().String()}
	}
	return nil
}
