package server

import (
	"context"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// tokenService implements TokenService.
type tokenService struct {
	cloakroomv1.UnsafeTokenServiceServer
	s *Server
}

func (t *tokenService) Tokenize(ctx context.Context, q *cloakroomv1.TokenizeRequest) (*cloakroomv1.TokenizeResponse, error) {
	c, err := t.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	given := q.GetItems()[:min(len(q.GetItems()), vault.MaxBatch+1)]
	items := make([]vault.TokenizeItem, 0, len(given))
	for _, it := range given {
		items = append(items, vault.TokenizeItem{SubjectID: it.GetSubjectId(), Value: givenValue(it.GetValue())})
	}
	results, err := t.s.vault.Tokenize(ctx, c, vault.TokenizeRequest{
		Collection: q.GetCollection(), Field: q.GetField(), Items: items, Domain: q.GetDomain(),
	})
	if err != nil {
		return nil, t.s.fail(ctx, cloakroomv1.TokenService_Tokenize_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.TokenizeResult, 0, len(results))
	for _, one := range results {
		out = append(out, cloakroomv1.TokenizeResult_builder{
			Token: one.Token, Stored: one.Stored, Error: itemError(one.Err),
		}.Build())
	}
	return cloakroomv1.TokenizeResponse_builder{Results: out}.Build(), nil
}

func (t *tokenService) DescribeTokens(ctx context.Context, q *cloakroomv1.DescribeTokensRequest) (*cloakroomv1.DescribeTokensResponse, error) {
	c, err := t.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	results, err := t.s.vault.DescribeTokens(ctx, c, q.GetTokens())
	if err != nil {
		return nil, t.s.fail(ctx, cloakroomv1.TokenService_DescribeTokens_FullMethodName, c, err)
	}
	out := make([]*cloakroomv1.TokenDescription, 0, len(results))
	for _, one := range results {
		out = append(out, description(one))
	}
	return cloakroomv1.DescribeTokensResponse_builder{Results: out}.Build(), nil
}

func description(d vault.TokenDescription) *cloakroomv1.TokenDescription {
	if d.Err != nil {
		return cloakroomv1.TokenDescription_builder{Error: itemError(d.Err)}.Build()
	}
	purposes := make([]string, 0, len(d.Field.Purposes))
	for _, p := range d.Field.Purposes {
		purposes = append(purposes, p.Name)
	}
	return cloakroomv1.TokenDescription_builder{
		Collection: d.Field.Collection.Name,
		Field:      d.Field.Name,
		Type:       d.Field.Type.Name(),
		Category:   d.Field.Category,
		Domain:     d.Domain.Name,
		Purposes:   purposes,
		Latest:     d.Latest,
	}.Build()
}
