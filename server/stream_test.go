package server_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
)

type revealStream = grpc.BidiStreamingClient[cloakroomv1.DetokenizeStreamRequest, cloakroomv1.DetokenizeStreamResponse]

func openStream(t *testing.T, ctx context.Context, r *rig) revealStream {
	t.Helper()
	stream, err := cloakroomv1.NewRevealServiceClient(r.as(t, billing)).DetokenizeStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func message(sequence uint64, tokens ...string) *cloakroomv1.DetokenizeStreamRequest {
	return cloakroomv1.DetokenizeStreamRequest_builder{Sequence: sequence, Tokens: tokens, Purpose: "payment"}.Build()
}

// exchange sends one message and receives its answer.
func exchange(t *testing.T, s revealStream, sequence uint64, tokens ...string) *cloakroomv1.DetokenizeStreamResponse {
	t.Helper()
	if err := s.Send(message(sequence, tokens...)); err != nil {
		t.Fatal(err)
	}
	answer, err := s.Recv()
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetSequence() != sequence {
		t.Errorf("the answer has sequence %d, want %d", answer.GetSequence(), sequence)
	}
	return answer
}

// TestStreamOrder sends 200 messages, some of which are refused as a whole, in
// one go, and wants every answer in its place.
func TestStreamOrder(t *testing.T) {
	const messages = 200
	r := newRig(t)
	tokens := make([]string, 5)
	for i := range tokens {
		tokens[i] = put(t, r, fmt.Sprintf("order-%d", i), fmt.Sprintf("order-%d@example.org", i))
	}
	stream := openStream(t, t.Context(), r)
	sent := make(chan error, 1)
	go func() {
		for i := range uint64(messages) {
			q := message(i*i, tokens[i%5], "tok_nonsense", tokens[(i+1)%5])
			switch i % 7 {
			case 3:
				q.SetPurpose("unheard_of")
			case 5:
				q.SetTokens(nil)
			}
			if err := stream.Send(q); err != nil {
				sent <- err
				return
			}
		}
		sent <- stream.CloseSend()
	}()
	for i := range uint64(messages) {
		answer, err := stream.Recv()
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		if answer.GetSequence() != i*i {
			t.Fatalf("message %d has sequence %d, want %d", i, answer.GetSequence(), i*i)
		}
		switch i % 7 {
		case 3:
			wantRefused(t, answer, cloakroomv1.ErrorReason_ERROR_REASON_UNKNOWN_PURPOSE)
		case 5:
			wantRefused(t, answer, cloakroomv1.ErrorReason_ERROR_REASON_INVALID_REQUEST)
		default:
			items := answer.GetItems()
			if answer.HasError() || len(items) != 3 {
				t.Fatalf("message %d: %d items, %v", i, len(items), answer.GetError())
			}
			if got, want := items[0].GetText(), fmt.Sprintf("order-%d@example.org", i%5); got != want {
				t.Errorf("message %d, item 0: got %q, want %q", i, got, want)
			}
			if items[1].GetError().GetReason() != cloakroomv1.ErrorReason_ERROR_REASON_MALFORMED_TOKEN || items[1].GetText() != "" {
				t.Errorf("message %d, item 1: %v", i, items[1].GetError())
			}
			if got, want := items[2].GetText(), fmt.Sprintf("order-%d@example.org", (i+1)%5); got != want {
				t.Errorf("message %d, item 2: got %q, want %q", i, got, want)
			}
		}
	}
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v, want the end", err)
	}
}

func wantRefused(t *testing.T, answer *cloakroomv1.DetokenizeStreamResponse, reason cloakroomv1.ErrorReason) {
	t.Helper()
	e := answer.GetError()
	if e.GetReason() != reason || codes.Code(e.GetCode()) != codes.InvalidArgument || e.GetMessage() == "" || len(answer.GetItems()) != 0 {
		t.Errorf("got %v and %d items, want %s", e, len(answer.GetItems()), reason)
	}
}

// TestPolicyBindsOpenStreams: from the answer of ApplyPolicy on, also a stream
// that is open obeys.
func TestPolicyBindsOpenStreams(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "bind-1", "bind@example.org")
	stream := openStream(t, t.Context(), r)
	if answer := exchange(t, stream, 1, token); answer.GetItems()[0].GetText() != "bind@example.org" {
		t.Fatalf("before: %v", answer.GetError())
	}
	r.Apply(strings.Replace(testPolicy, "roles: [billing]", "roles: [analyst]", 1))
	if answer := exchange(t, stream, 2, token); answer.GetError().GetReason() != cloakroomv1.ErrorReason_ERROR_REASON_ACTION_DENIED {
		t.Errorf("after: %v, %d items", answer.GetError(), len(answer.GetItems()))
	}
	r.Apply(testPolicy)
	if answer := exchange(t, stream, 3, token); answer.GetItems()[0].GetText() != "bind@example.org" {
		t.Errorf("given back: %v", answer.GetError())
	}
}

// TestStreamReadsNotAhead: while no answer leaves, the server takes no more
// messages than the contract says. All messages fit into the window of the
// connection, so that only the server holds back.
func TestStreamReadsNotAhead(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "ahead-1", "ahead@example.org")
	arrived, blocked := make(chan struct{}, 1000), make(chan struct{})
	r.Faults.set(fault{get: func() error {
		arrived <- struct{}{}
		<-blocked
		return nil
	}})
	stream := openStream(t, t.Context(), r)
	if server.ReadAhead != 8 {
		t.Errorf("the contract says 8, not %d", server.ReadAhead)
	}
	const messages = 200
	for i := range uint64(messages) {
		if err := stream.Send(message(i, token)); err != nil {
			t.Fatal(err)
		}
	}
	for range server.ReadAhead {
		<-arrived
	}
	// Calls that pass the stream give a server that reads on the time to do so.
	policies := cloakroomv1.NewPolicyServiceClient(r.as(t, shop))
	for range 300 {
		if _, err := policies.WhoAmI(t.Context(), &cloakroomv1.WhoAmIRequest{}); err != nil {
			t.Fatal(err)
		}
	}
	if more := len(arrived); more > 0 {
		t.Errorf("%d messages are worked on at once, want at most %d", server.ReadAhead+more, server.ReadAhead)
	}
	r.Faults.set(fault{})
	close(blocked)
	for i := range uint64(messages) {
		if answer, err := stream.Recv(); err != nil || answer.GetSequence() != i || answer.HasError() {
			t.Fatalf("answer %d: %v, %v", i, answer, err)
		}
	}
}

// TestClientThatDoesNotRead: answers that nobody takes hold the server back.
func TestClientThatDoesNotRead(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "slow-1", strings.Repeat("x", 60)+"@example.org")
	tokens := make([]string, 1000)
	for i := range tokens {
		tokens[i] = token
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	before := r.Log.Size()
	stream := openStream(t, ctx, r)
	const messages = 500 // 36 MB of questions, 45 MB of answers
	ended := make(chan int, 1)
	go func() {
		for i := range messages {
			if err := stream.Send(message(uint64(i), tokens...)); err != nil {
				ended <- i
				return
			}
		}
		ended <- messages
	}()
	policies := cloakroomv1.NewPolicyServiceClient(r.as(t, shop))
	last, same := r.Log.Size(), 0
	for same < 300 { // until the server stands still while other calls go on
		if _, err := policies.WhoAmI(t.Context(), &cloakroomv1.WhoAmIRequest{}); err != nil {
			t.Fatal(err)
		}
		if now := r.Log.Size(); now == last {
			same++
		} else {
			last, same = now, 0
		}
	}
	if read := last - before; read > 50 {
		t.Errorf("the server answered %d messages that nobody took", read)
	}
	cancel()
	if sent := <-ended; sent == messages {
		t.Error("every message was sent: nothing held the client back")
	}
}

// TestStreamCancelled leaves nothing behind, whatever is under way.
func TestStreamCancelled(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "cancel-1", "cancel@example.org")
	conn := r.as(t, billing)
	if _, err := cloakroomv1.NewRevealServiceClient(conn).Detokenize(t.Context(), detokenize(token)); err != nil {
		t.Fatal(err)
	}
	here := goleak.IgnoreCurrent()
	r.Log.Hold()
	arrived := make(chan struct{}, 1000)
	r.Faults.set(fault{get: func() error {
		arrived <- struct{}{}
		return nil
	}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream, err := cloakroomv1.NewRevealServiceClient(conn).DetokenizeStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for i := range uint64(20) {
		if err := stream.Send(message(i, token)); err != nil {
			t.Fatal(err)
		}
	}
	for range server.ReadAhead { // all workers are waiting for the log
		<-arrived
	}
	cancel()
	if _, err := stream.Recv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want CANCELLED", err)
	}
	goleak.VerifyNone(t, here)
	r.Log.Release()
	if _, err := cloakroomv1.NewRevealServiceClient(conn).Detokenize(t.Context(), detokenize(token)); err != nil {
		t.Errorf("the connection afterwards: %v", err)
	}
}

// TestStreamAndTheLog: messages fail while the log cannot be written, and the
// stream outlives it.
func TestStreamAndTheLog(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "log-1", "log@example.org")
	stream := openStream(t, t.Context(), r)
	r.Log.Fail(errors.New("disk away"))
	answer := exchange(t, stream, 1, token)
	if e := answer.GetError(); e.GetReason() != cloakroomv1.ErrorReason_ERROR_REASON_AUDIT_UNAVAILABLE || codes.Code(e.GetCode()) != codes.Unavailable || len(answer.GetItems()) > 0 {
		t.Errorf("got %v and %d items", e, len(answer.GetItems()))
	}
	r.Log.Fail(nil)
	if answer := exchange(t, stream, 2, token); answer.GetItems()[0].GetText() != "log@example.org" {
		t.Errorf("mended: %v", answer.GetError())
	}
}
