package server

import (
	"context"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// policyService implements PolicyService.
type policyService struct {
	cloakroomv1.UnsafePolicyServiceServer
	s *Server
}

func (p *policyService) ApplyPolicy(ctx context.Context, q *cloakroomv1.ApplyPolicyRequest) (*cloakroomv1.ApplyPolicyResponse, error) {
	c, err := p.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	in := vault.ApplyRequest{Document: q.GetDocument(), ValidateOnly: q.GetValidateOnly()}
	if q.HasExpectedVersion() {
		expected := q.GetExpectedVersion()
		in.Expected = &expected
	}
	version, changed, err := p.s.vault.ApplyPolicy(ctx, c, in)
	if err != nil {
		return nil, p.s.fail(ctx, cloakroomv1.PolicyService_ApplyPolicy_FullMethodName, c, err)
	}
	return cloakroomv1.ApplyPolicyResponse_builder{Version: version, Changed: changed}.Build(), nil
}

func (p *policyService) GetPolicy(ctx context.Context, q *cloakroomv1.GetPolicyRequest) (*cloakroomv1.GetPolicyResponse, error) {
	c, err := p.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	doc, err := p.s.vault.GetPolicy(ctx, c, q.GetVersion())
	if err != nil {
		return nil, p.s.fail(ctx, cloakroomv1.PolicyService_GetPolicy_FullMethodName, c, err)
	}
	return cloakroomv1.GetPolicyResponse_builder{
		Document: doc.Document, Version: doc.Version, ApplyTime: timeOut(doc.AppliedAt), AppliedBy: doc.AppliedBy,
	}.Build(), nil
}

func (p *policyService) WhoAmI(ctx context.Context, _ *cloakroomv1.WhoAmIRequest) (*cloakroomv1.WhoAmIResponse, error) {
	c, err := p.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	who := p.s.vault.WhoAmI(c)
	return cloakroomv1.WhoAmIResponse_builder{
		Principal: who.Principal, Known: who.Known, Roles: who.Roles, PolicyVersion: who.PolicyVersion,
	}.Build(), nil
}
