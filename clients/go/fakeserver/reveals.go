package fakeserver

import (
	"context"
	"errors"
	"io"
	"slices"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

type tokens struct {
	*Server
	cloakroomv1.UnsafeTokenServiceServer
}

func (s tokens) Tokenize(_ context.Context, q *cloakroomv1.TokenizeRequest) (*cloakroomv1.TokenizeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, no := range []*refusal{collection(q.GetCollection()), known(q.GetField()), tooMany(len(q.GetItems()))} {
		if no != nil {
			return nil, no.call()
		}
	}
	var results []*cloakroomv1.TokenizeResult
	for _, item := range q.GetItems() {
		if no := valid(q.GetField(), item.GetValue()); no != nil {
			results = append(results, cloakroomv1.TokenizeResult_builder{Error: no.item()}.Build())
			continue
		}
		p := s.find(item.GetSubjectId())
		if p == nil {
			p = s.addPerson(item.GetSubjectId())
		}
		held := p.fields[q.GetField()]
		stored := len(held) == 0
		switch {
		case stored:
			p.fields[q.GetField()] = []*cloakroomv1.Value{item.GetValue()}
			s.touch(p)
		case !proto.Equal(held[0], item.GetValue()):
			no := &refusal{code: codes.AlreadyExists, reason: cloakroomv1.ErrorReason_ERROR_REASON_VALUE_EXISTS,
				message: "the field holds another value already", field: q.GetField()}
			results = append(results, cloakroomv1.TokenizeResult_builder{Error: no.item()}.Build())
			continue
		}
		results = append(results, cloakroomv1.TokenizeResult_builder{
			Token: Token(q.GetDomain(), p.id, q.GetField(), 0), Stored: stored}.Build())
	}
	return cloakroomv1.TokenizeResponse_builder{Results: results}.Build(), nil
}

func (s tokens) DescribeTokens(_ context.Context, q *cloakroomv1.DescribeTokensRequest) (*cloakroomv1.DescribeTokensResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := tooMany(len(q.GetTokens())); no != nil {
		return nil, no.call()
	}
	var results []*cloakroomv1.TokenDescription
	for _, token := range q.GetTokens() {
		at, no := s.lookUp(token)
		if no != nil {
			results = append(results, cloakroomv1.TokenDescription_builder{Error: no.item()}.Build())
			continue
		}
		results = append(results, cloakroomv1.TokenDescription_builder{
			Collection: "customers", Field: at.field, Type: "string", Category: "user." + at.field, Domain: at.domain,
			Purposes: []string{"order_updates", "support"}, Latest: true,
		}.Build())
	}
	return cloakroomv1.DescribeTokensResponse_builder{Results: results}.Build(), nil
}

type reveals struct {
	*Server
	cloakroomv1.UnsafeRevealServiceServer
}

// decide returns the view that a purpose gives.
func decide(purpose string, view cloakroomv1.View) (cloakroomv1.View, *refusal) {
	refuse := func(code codes.Code, reason cloakroomv1.ErrorReason, message string) (cloakroomv1.View, *refusal) {
		return 0, &refusal{code: code, reason: reason, message: message}
	}
	switch purpose {
	case "":
		return refuse(codes.InvalidArgument, cloakroomv1.ErrorReason_ERROR_REASON_PURPOSE_REQUIRED, "the call states no purpose")
	case "order_updates":
		if view == cloakroomv1.View_VIEW_MASKED {
			return view, nil
		}
		return cloakroomv1.View_VIEW_PLAIN, nil
	case "support":
		if view == cloakroomv1.View_VIEW_PLAIN {
			return refuse(codes.PermissionDenied, cloakroomv1.ErrorReason_ERROR_REASON_VIEW_DENIED, "the caller may not see the field in this view")
		}
		return cloakroomv1.View_VIEW_MASKED, nil
	case "marketing":
		return refuse(codes.FailedPrecondition, cloakroomv1.ErrorReason_ERROR_REASON_CONSENT_REQUIRED, "there is no consent on record")
	}
	return refuse(codes.InvalidArgument, cloakroomv1.ErrorReason_ERROR_REASON_UNKNOWN_PURPOSE, "the policy declares no such purpose")
}

func revealed(v *cloakroomv1.Value, view cloakroomv1.View) *cloakroomv1.RevealedItem {
	item := cloakroomv1.RevealedItem_builder{View: view}.Build()
	switch {
	case view == cloakroomv1.View_VIEW_MASKED:
		item.SetText("***")
	case v.HasData():
		item.SetData(v.GetData())
	default:
		item.SetText(v.GetText())
	}
	return item
}

// open reveals tokens; the caller holds the lock.
func (s reveals) open(list []string, purpose string, want cloakroomv1.View) []*cloakroomv1.RevealedItem {
	var items []*cloakroomv1.RevealedItem
	for _, token := range list {
		at, no := s.lookUp(token)
		view := want
		if no == nil {
			view, no = decide(purpose, want)
		}
		if no != nil {
			items = append(items, cloakroomv1.RevealedItem_builder{Error: no.item()}.Build())
			continue
		}
		items = append(items, revealed(at.person.fields[at.field][at.item], view))
	}
	return items
}

func (s reveals) Detokenize(_ context.Context, q *cloakroomv1.DetokenizeRequest) (*cloakroomv1.DetokenizeResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := tooMany(len(q.GetTokens())); no != nil {
		return nil, no.call()
	}
	return cloakroomv1.DetokenizeResponse_builder{Items: s.open(q.GetTokens(), q.GetPurpose(), q.GetView())}.Build(), nil
}

func (s reveals) DetokenizeStream(stream grpc.BidiStreamingServer[cloakroomv1.DetokenizeStreamRequest, cloakroomv1.DetokenizeStreamResponse]) error {
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer := cloakroomv1.DetokenizeStreamResponse_builder{Sequence: q.GetSequence()}.Build()
		if no := tooMany(len(q.GetTokens())); no != nil {
			answer.SetError(no.item())
		} else if slices.Contains(q.GetTokens(), RefuseMessage) {
			answer.SetError((&refusal{code: codes.InvalidArgument, reason: cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST,
				message: "told to refuse the message"}).item())
		} else {
			s.mu.Lock()
			answer.SetItems(s.open(q.GetTokens(), q.GetPurpose(), q.GetView()))
			s.mu.Unlock()
		}
		if err := stream.Send(answer); err != nil {
			return err
		}
	}
}

// RefuseMessage is a token that makes DetokenizeStream refuse its whole message.
const RefuseMessage = "refuse this message"

func (s reveals) ReadRecord(_ context.Context, q *cloakroomv1.ReadRecordRequest) (*cloakroomv1.ReadRecordResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if no := collection(q.GetCollection()); no != nil {
		return nil, no.call()
	}
	view, no := decide(q.GetPurpose(), q.GetView())
	if no != nil {
		return nil, no.call()
	}
	p := s.find(q.GetSubjectId())
	if p == nil {
		return nil, missing().call()
	}
	names := q.GetFields()
	if len(names) == 0 {
		names = Fields()
	}
	var fields []*cloakroomv1.RevealedField
	for _, name := range names {
		field := cloakroomv1.RevealedField_builder{Field: name}.Build()
		if no := known(name); no != nil {
			field.SetError(no.item())
		}
		for _, v := range p.fields[name] {
			field.SetItems(append(field.GetItems(), revealed(v, view)))
		}
		if len(q.GetFields()) > 0 || len(field.GetItems()) > 0 {
			fields = append(fields, field)
		}
	}
	return cloakroomv1.ReadRecordResponse_builder{
		Etag: p.etag, CreateTime: timestamppb.New(now()), UpdateTime: timestamppb.New(now()), Fields: fields,
	}.Build(), nil
}
