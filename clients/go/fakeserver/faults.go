package fakeserver

import (
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// fault is what happens to one call.
type fault struct {
	before error // instead of doing it
	after  error // after doing it: the answer is lost
	hang   bool  // nothing until the caller gives up
}

// Fail makes the next calls of a method fail, one with each error, without
// doing anything. A nil error lets a call through.
func (s *Server) Fail(method string, errs ...error) {
	for _, err := range errs {
		s.add(method, fault{before: err})
	}
}

// LoseAnswer makes the next call of a method do its work and then fail.
func (s *Server) LoseAnswer(method string, err error) { s.add(method, fault{after: err}) }

// Hang makes the next call of a method wait until the caller gives up.
func (s *Server) Hang(method string) { s.add(method, fault{hang: true}) }

func (s *Server) add(method string, f fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults[method] = append(s.faults[method], f)
}

// begin counts a call and takes its fault.
func (s *Server) begin(method string) fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls[method]++
	s.called.Broadcast()
	waiting := s.faults[method]
	if len(waiting) == 0 {
		return fault{}
	}
	s.faults[method] = waiting[1:]
	return waiting[0]
}

// short returns the method's name without its service.
func short(method string) string { return method[strings.LastIndexByte(method, '/')+1:] }

// Unavailable is the failure of a vault that cannot serve now.
func Unavailable() error {
	return Refusal(codes.Unavailable, "STORE_UNAVAILABLE", "the store cannot be read", "", "")
}

// Busy is the failure of a vault that has too much to do, with the delay that
// it asks for, or without one when it is negative.
func Busy(delay time.Duration) error {
	var more []protoadapt.MessageV1
	if delay >= 0 {
		more = append(more, &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)})
	}
	return Refusal(codes.ResourceExhausted, "BUSY", "too much at once", "", "", more...)
}

// Refusal makes the error of a call as the vault sends it.
func Refusal(code codes.Code, reason, message, field, rule string, more ...protoadapt.MessageV1) error {
	metadata := map[string]string{}
	if field != "" {
		metadata["field"] = field
	}
	if rule != "" {
		metadata["rule"] = rule
	}
	details := append([]protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: reason, Domain: "cloakroom", Metadata: metadata}}, more...)
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		panic(err) // only for the code OK or details that do not marshal
	}
	return st.Err()
}

// refusal is a refusal of a call or of an item.
type refusal struct {
	code          codes.Code
	reason        cloakroomv1.ErrorReason
	message       string
	field, rule   string
	moreOfTheCall []protoadapt.MessageV1
}

func (r *refusal) call() error {
	return Refusal(r.code, strings.TrimPrefix(r.reason.String(), "ERROR_REASON_"), r.message, r.field, r.rule, r.moreOfTheCall...)
}

func (r *refusal) item() *cloakroomv1.ItemError {
	return cloakroomv1.ItemError_builder{
		Code: int32(r.code), Reason: r.reason, Message: r.message, Field: r.field, Rule: r.rule,
	}.Build()
}
