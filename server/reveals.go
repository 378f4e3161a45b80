package server

import (
	"context"
	"errors"
	"io"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// revealService implements RevealService, the only one that returns values.
type revealService struct {
	cloakroomv1.UnsafeRevealServiceServer
	s *Server
}

// revealed are the buffers of answers, wiped and used again.
var revealed = sync.Pool{New: func() any { return new(vault.Revealed) }}

func (r *revealService) Detokenize(ctx context.Context, q *cloakroomv1.DetokenizeRequest) (*cloakroomv1.DetokenizeResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	items, err := r.detokenize(ctx, c, vault.DetokenizeRequest{
		Tokens: q.GetTokens(), Purpose: q.GetPurpose(), View: viewIn(q.GetView()), Reason: q.GetReason(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RevealService_Detokenize_FullMethodName, c, err)
	}
	out := &cloakroomv1.DetokenizeResponse{}
	out.SetItems(items)
	return out, nil
}

func (r *revealService) detokenize(ctx context.Context, c vault.Caller, q vault.DetokenizeRequest) ([]*cloakroomv1.RevealedItem, error) {
	out := revealed.Get().(*vault.Revealed)
	defer func() {
		out.Wipe()
		revealed.Put(out)
	}()
	if err := r.s.vault.Detokenize(ctx, c, q, out); err != nil {
		return nil, err
	}
	return itemsOut(out), nil
}

// readAhead is how many messages of one stream are worked on at once.
const readAhead = 8

// DetokenizeStream answers each message in order. Up to readAhead messages are
// worked on at once, so that they share the wait for the audit log.
func (r *revealService) DetokenizeStream(stream grpc.BidiStreamingServer[cloakroomv1.DetokenizeStreamRequest, cloakroomv1.DetokenizeStreamResponse]) error {
	ctx, cancel := context.WithCancel(stream.Context())
	defer cancel()
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return err
	}
	answers := make(chan chan *cloakroomv1.DetokenizeStreamResponse, readAhead-1)
	ended := make(chan error, 1)
	go func() { ended <- r.answerAll(ctx, c, stream, answers) }()
	for answer := range answers {
		if err := stream.Send(<-answer); err != nil {
			cancel()
			for answer := range answers { // let the reader and the workers end
				<-answer
			}
			return errors.Join(err, <-ended)
		}
	}
	return <-ended
}

// answerAll reads messages and starts an answer for each, in order.
func (r *revealService) answerAll(ctx context.Context, c vault.Caller, stream grpc.BidiStreamingServer[cloakroomv1.DetokenizeStreamRequest, cloakroomv1.DetokenizeStreamResponse], answers chan<- chan *cloakroomv1.DetokenizeStreamResponse) error {
	defer close(answers)
	for {
		q, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		answer := make(chan *cloakroomv1.DetokenizeStreamResponse, 1)
		select {
		case answers <- answer:
		case <-ctx.Done():
			return status.FromContextError(ctx.Err()).Err()
		}
		go func() { answer <- r.answerMessage(ctx, c, q) }()
	}
}

// answerMessage reveals the tokens of one message. A message that is refused
// as a whole is answered with its error and does not end the stream.
func (r *revealService) answerMessage(ctx context.Context, c vault.Caller, q *cloakroomv1.DetokenizeStreamRequest) (out *cloakroomv1.DetokenizeStreamResponse) {
	out = &cloakroomv1.DetokenizeStreamResponse{}
	out.SetSequence(q.GetSequence())
	defer func() {
		if recover() != nil {
			_ = r.s.panicked(cloakroomv1.RevealService_DetokenizeStream_FullMethodName)
			out.SetItems(nil)
			out.SetError(itemError(&vault.Error{Reason: vault.Internal, Detail: "an internal fault; the server's log has the cause"}))
		}
	}()
	items, err := r.detokenize(ctx, c, vault.DetokenizeRequest{
		Tokens: q.GetTokens(), Purpose: q.GetPurpose(), View: viewIn(q.GetView()), Reason: q.GetReason(),
	})
	if err != nil {
		out.SetError(r.messageError(ctx, c, err))
		return out
	}
	out.SetItems(items)
	return out
}

func (r *revealService) messageError(ctx context.Context, c vault.Caller, err error) *cloakroomv1.ItemError {
	var e *vault.Error
	if !errors.As(err, &e) {
		e = &vault.Error{Reason: vault.StoreUnavailable, Detail: "the call ended before the message was answered"}
	}
	_ = r.s.fail(ctx, cloakroomv1.RevealService_DetokenizeStream_FullMethodName, c, err) // logs what must be
	return itemError(e)
}

func (r *revealService) ReadRecord(ctx context.Context, q *cloakroomv1.ReadRecordRequest) (*cloakroomv1.ReadRecordResponse, error) {
	c, err := r.s.callerOf(ctx)
	if err != nil {
		return nil, err
	}
	result, err := r.s.vault.ReadRecord(ctx, c, vault.ReadRequest{
		Collection: q.GetCollection(), SubjectID: q.GetSubjectId(), Purpose: q.GetPurpose(),
		View: viewIn(q.GetView()), Fields: q.GetFields(), Reason: q.GetReason(),
	})
	if err != nil {
		return nil, r.s.fail(ctx, cloakroomv1.RevealService_ReadRecord_FullMethodName, c, err)
	}
	defer result.Values.Wipe()
	items := itemsOut(&result.Values)
	fields := make([]*cloakroomv1.RevealedField, 0, len(result.Fields))
	for _, f := range result.Fields {
		fields = append(fields, cloakroomv1.RevealedField_builder{
			Field: f.Field, Items: items[f.First : f.First+f.Count], Error: itemError(f.Err),
		}.Build())
	}
	return cloakroomv1.ReadRecordResponse_builder{
		Etag: result.ETag, CreateTime: timeOut(result.Created), UpdateTime: timeOut(result.Updated), Fields: fields,
	}.Build(), nil
}
