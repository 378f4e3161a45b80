package cloakroom

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// errorDomain is the domain of the ErrorInfo that the vault sends.
const errorDomain = "cloakroom"

// Error says why a call, or one item of a call, was refused. It never holds a
// value, a token or a key.
type Error struct {
	// Code is the canonical gRPC status code.
	Code codes.Code
	// Reason is a name of the contract's ErrorReason without its prefix, such
	// as "FIELD_DENIED"; empty when the failure did not come from the vault.
	Reason string
	// Message is one sentence for a developer. Texts may change; programs decide
	// on Reason.
	Message string
	// Field is the field of the collection or of the request at fault, if any.
	Field string
	// Rule is the rule that was broken, such as "luhn", if any.
	Rule string
	// Violations are the mistakes of a policy document, if that was refused.
	Violations []Violation
}

// Violation is one mistake in a policy document.
type Violation struct {
	// Path is where in the document, such as "collections.customers.email".
	Path string
	// Description says what is wrong.
	Description string
}

// Error implements error: the message, then the reason or else the code.
func (e *Error) Error() string {
	name := e.Reason
	if name == "" {
		name = e.Code.String()
	}
	return fmt.Sprintf("%s (%s)", e.Message, name)
}

// Is makes errors.Is work with the sentinels of this package, and with
// context.DeadlineExceeded and context.Canceled.
func (e *Error) Is(target error) bool {
	switch target {
	case context.DeadlineExceeded:
		return e.Code == codes.DeadlineExceeded
	case context.Canceled:
		return e.Code == codes.Canceled
	}
	s, ok := target.(*sentinel)
	if !ok {
		return false
	}
	if s.reason != "" {
		return e.Reason == s.reason
	}
	return e.Code == s.code
}

// errorFrom turns what gRPC returned into an *Error. It returns nil for nil.
func errorFrom(err error) error {
	if err == nil {
		return nil
	}
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	st := status.Convert(err)
	e = &Error{Code: st.Code(), Message: st.Message()}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			if d.GetDomain() == errorDomain {
				e.Reason = d.GetReason()
				e.Field = d.GetMetadata()["field"]
				e.Rule = d.GetMetadata()["rule"]
			}
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, Violation{Path: v.GetField(), Description: v.GetDescription()})
			}
		}
	}
	return e
}

// itemError turns the error of an item into an *Error, nil into nil.
func itemError(m *cloakroomv1.ItemError) error {
	if m == nil {
		return nil
	}
	return &Error{
		Code:    codes.Code(m.GetCode()),
		Reason:  strings.TrimPrefix(m.GetReason().String(), "ERROR_REASON_"),
		Message: m.GetMessage(),
		Field:   m.GetField(),
		Rule:    m.GetRule(),
	}
}

// invalidRequest refuses a request before it is sent, in the form in which the
// vault would refuse it.
func invalidRequest(field, message string) error {
	return &Error{Code: codes.InvalidArgument, Reason: "INVALID_REQUEST", Message: field + ": " + message, Field: field}
}

// brokenContract says what the server did that the contract excludes.
func brokenContract(message string) error { return &Error{Code: codes.Internal, Message: message} }

func brokenAnswer(got, want int) error {
	return brokenContract(fmt.Sprintf("the server answered %d results for %d items", got, want))
}
