package cloakroom

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// RevealReply answers one message of a RevealStream.
type RevealReply struct {
	// Sequence is that of the message, as Send returned it.
	Sequence uint64
	// Results has one entry a token, in order; none when Err is set.
	Results []Revealed
	// Err says why the whole message was refused (an *Error). The stream goes on.
	Err error
}

// RevealStream reveals tokens message by message, over one stream. One goroutine
// may send while another receives. Whoever sends many messages before receiving
// must not wait for each other: the vault reads at most 8 messages ahead, so
// keep at most 8 unanswered, or use DetokenizeAll, which does. End it with Close.
type RevealStream struct {
	stream  grpc.BidiStreamingClient[cloakroomv1.DetokenizeStreamRequest, cloakroomv1.DetokenizeStreamResponse]
	cancel  context.CancelFunc
	purpose string
	view    cloakroomv1.View
	reason  string
	next    uint64
}

// DetokenizeStream opens a stream. Every message is decided when the vault reads
// it, so that a changed policy binds open streams. A broken stream is not opened
// again.
func (c *Client) DetokenizeStream(ctx context.Context, purpose string, options ...RevealOption) (*RevealStream, error) {
	o, view, err := c.revealCall(options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.reveals.DetokenizeStream(ctx)
	if err != nil {
		cancel()
		return nil, errorFrom(err)
	}
	return &RevealStream{stream: stream, cancel: cancel, purpose: purpose, view: view, reason: o.reason}, nil
}

// Send sends 1 to 1,000 tokens and returns the sequence that their answer will
// carry: 0, 1, 2 and so on. After io.EOF, Recv returns why the stream ended.
func (s *RevealStream) Send(tokens []string) (uint64, error) {
	sequence := s.next
	s.next++
	err := s.stream.Send(cloakroomv1.DetokenizeStreamRequest_builder{
		Sequence: sequence, Tokens: tokens, Purpose: s.purpose, View: s.view, Reason: s.reason,
	}.Build())
	if err != nil && !errors.Is(err, io.EOF) {
		err = errorFrom(err)
	}
	return sequence, err
}

// Recv returns the next answer, in the order of sending, or io.EOF after
// CloseSend when all are answered.
func (s *RevealStream) Recv() (RevealReply, error) {
	m, err := s.stream.Recv()
	if errors.Is(err, io.EOF) {
		return RevealReply{}, io.EOF
	}
	if err != nil {
		return RevealReply{}, errorFrom(err)
	}
	return RevealReply{m.GetSequence(), appendRevealed(nil, m.GetItems()), itemError(m.GetError())}, nil
}

// CloseSend says that no more messages come.
func (s *RevealStream) CloseSend() error { return errorFrom(s.stream.CloseSend()) }

// Close ends the stream and frees what it holds.
func (s *RevealStream) Close() { s.cancel() }

const (
	// streamTokens is how many tokens DetokenizeAll puts into a message.
	streamTokens = 100
	// streamAhead is how many messages the vault reads ahead.
	streamAhead = 8
	// streamBytes bounds the unanswered bytes of DetokenizeAll. It is below
	// gRPC's smallest flow-control window of 64 KiB, so that sending never waits
	// for the vault while the vault waits for us to receive.
	streamBytes = 48 << 10
)

// DetokenizeAll reveals any number of tokens over one stream and gives the
// results in order, each token answered by one result. Some 800 tokens are on
// their way at a time, so tokens is read that far ahead of the results. A
// message that the vault refuses as a whole gives its error to each of its
// tokens. An error of the stream ends it: it is given once, as the error.
func (c *Client) DetokenizeAll(ctx context.Context, tokens iter.Seq[string], purpose string, options ...RevealOption) iter.Seq2[Revealed, error] {
	return func(yield func(Revealed, error) bool) {
		stream, err := c.DetokenizeStream(ctx, purpose, options...)
		if err != nil {
			yield(Revealed{}, err)
			return
		}
		defer stream.Close()
		p := pipeline{stream: stream, yield: yield}
		for token := range tokens {
			if !p.add(token) {
				return
			}
		}
		p.finish()
	}
}

// pipeline keeps a bounded number of messages unanswered. All of it runs in the
// goroutine of the caller, so that breaking out of the loop leaves nothing
// behind. Its methods return false when the loop is over.
type pipeline struct {
	stream   *RevealStream
	yield    func(Revealed, error) bool
	batch    []string
	size     int
	sent     []sentMessage // unanswered, oldest first
	sentSize int
}

type sentMessage struct {
	sequence uint64
	tokens   int
	size     int
}

func (p *pipeline) add(token string) bool {
	size := stringSize(token)
	if len(p.batch) == streamTokens || len(p.batch) > 0 && p.size+size > streamBytes/streamAhead {
		if !p.send() {
			return false
		}
	}
	p.batch = append(p.batch, token)
	p.size += size
	return true
}

// send sends the batch when there is room for it, after making room.
func (p *pipeline) send() bool {
	for len(p.sent) > 0 && (len(p.sent) == streamAhead || p.sentSize+p.size > streamBytes) {
		if !p.receive() {
			return false
		}
	}
	sequence, err := p.stream.Send(p.batch)
	if err != nil {
		if errors.Is(err, io.EOF) {
			if _, err = p.stream.Recv(); err == nil || errors.Is(err, io.EOF) {
				err = brokenContract("the server ended the stream early")
			}
		}
		p.yield(Revealed{}, err)
		return false
	}
	p.sent = append(p.sent, sentMessage{sequence, len(p.batch), p.size})
	p.sentSize += p.size
	p.batch, p.size = nil, 0
	return true
}

// receive takes one answer and gives its results.
func (p *pipeline) receive() bool {
	want := p.sent[0]
	p.sent = p.sent[1:]
	p.sentSize -= want.size
	reply, err := p.stream.Recv()
	switch {
	case errors.Is(err, io.EOF):
		err = brokenContract("the server ended the stream early")
	case err != nil:
	case reply.Sequence != want.sequence:
		err = brokenContract("the server answered out of order")
	case reply.Err == nil && len(reply.Results) != want.tokens:
		err = brokenAnswer(len(reply.Results), want.tokens)
	}
	if err != nil {
		p.yield(Revealed{}, err)
		return false
	}
	for i := range want.tokens {
		result := Revealed{Err: reply.Err}
		if reply.Err == nil {
			result = reply.Results[i]
		}
		if !p.yield(result, nil) {
			return false
		}
	}
	return true
}

func (p *pipeline) finish() {
	if len(p.batch) > 0 && !p.send() {
		return
	}
	if err := p.stream.CloseSend(); err != nil {
		p.yield(Revealed{}, err)
		return
	}
	for len(p.sent) > 0 {
		if !p.receive() {
			return
		}
	}
}
