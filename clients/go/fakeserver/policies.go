package fakeserver

import (
	"bytes"
	"context"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// policyVersion is a document that was applied; its version is its place from 1.
type policyVersion struct {
	document []byte
	by       string
}

type policies struct {
	*Server
	cloakroomv1.UnsafePolicyServiceServer
}

func caller(ctx context.Context) string {
	if p, ok := peer.FromContext(ctx); ok {
		if info, ok := p.AuthInfo.(credentials.TLSInfo); ok {
			return info.State.PeerCertificates[0].Subject.CommonName
		}
	}
	return ""
}

func (s policies) ApplyPolicy(ctx context.Context, q *cloakroomv1.ApplyPolicyRequest) (*cloakroomv1.ApplyPolicyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := uint64(len(s.Server.policies))
	if q.HasExpectedVersion() && q.GetExpectedVersion() != version {
		return nil, (&refusal{code: codes.Aborted, reason: cloakroomv1.ErrorReason_ERROR_REASON_POLICY_VERSION_MISMATCH,
			message: "the policy's version is not the expected one", field: "expected_version"}).call()
	}
	if bytes.Contains(q.GetDocument(), []byte("mistake")) {
		return nil, (&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_POLICY_INVALID,
			message: "the policy document has 2 mistakes",
			moreOfTheCall: []protoadapt.MessageV1{&errdetails.BadRequest{FieldViolations: []*errdetails.BadRequest_FieldViolation{
				{Field: "collections.customers.email.type", Description: "unknown type"},
				{Field: "purposes.support", Description: "no text in the default language"},
			}}}}).call()
	}
	if version > 0 && bytes.Equal(s.Server.policies[version-1].document, q.GetDocument()) {
		return cloakroomv1.ApplyPolicyResponse_builder{Version: version}.Build(), nil
	}
	if !q.GetValidateOnly() {
		s.Server.policies = append(s.Server.policies, policyVersion{q.GetDocument(), caller(ctx)})
	}
	return cloakroomv1.ApplyPolicyResponse_builder{Version: version + 1, Changed: !q.GetValidateOnly()}.Build(), nil
}

func (s policies) GetPolicy(_ context.Context, q *cloakroomv1.GetPolicyRequest) (*cloakroomv1.GetPolicyResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := q.GetVersion()
	if version == 0 {
		version = uint64(len(s.Server.policies))
	}
	if version == 0 {
		return &cloakroomv1.GetPolicyResponse{}, nil
	}
	if version > uint64(len(s.Server.policies)) {
		return nil, (&refusal{code: codes.NotFound, reason: cloakroomv1.ErrorReason_ERROR_REASON_POLICY_NOT_FOUND,
			message: "the vault keeps no policy of this version", field: "version"}).call()
	}
	p := s.Server.policies[version-1]
	return cloakroomv1.GetPolicyResponse_builder{
		Document: p.document, Version: version, AppliedBy: p.by, ApplyTime: timestamppb.New(now()),
	}.Build(), nil
}

func (s policies) WhoAmI(ctx context.Context, _ *cloakroomv1.WhoAmIRequest) (*cloakroomv1.WhoAmIResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return cloakroomv1.WhoAmIResponse_builder{
		Principal: caller(ctx), Known: true, Roles: []string{"orders", "support"}, PolicyVersion: uint64(len(s.Server.policies)),
	}.Build(), nil
}
