package server

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/vault"
)

// errorDomain is the domain of every ErrorInfo.
const errorDomain = "cloakroom"

// table says which code goes with each reason. It is complete: a test walks
// the vault's reasons.
var table = map[vault.Reason]codes.Code{
	vault.InvalidRequest:    codes.InvalidArgument,
	vault.UnknownCollection: codes.InvalidArgument,
	vault.UnknownField:      codes.InvalidArgument,
	vault.UnknownPurpose:    codes.InvalidArgument,
	vault.UnknownDomain:     codes.InvalidArgument,
	vault.InvalidValue:      codes.InvalidArgument,
	vault.MalformedToken:    codes.InvalidArgument,
	vault.PolicyInvalid:     codes.InvalidArgument,
	vault.InvalidPageToken:  codes.InvalidArgument,
	vault.PurposeRequired:   codes.InvalidArgument,
	vault.RequestIDReused:   codes.InvalidArgument,

	vault.Unauthenticated: codes.Unauthenticated,

	vault.PrincipalUnknown:   codes.PermissionDenied,
	vault.ActionDenied:       codes.PermissionDenied,
	vault.FieldDenied:        codes.PermissionDenied,
	vault.PurposeNotDeclared: codes.PermissionDenied,
	vault.PurposeDenied:      codes.PermissionDenied,
	vault.ViewDenied:         codes.PermissionDenied,
	vault.DomainDenied:       codes.PermissionDenied,
	vault.DenyRule:           codes.PermissionDenied,

	vault.ConsentRequired:  codes.FailedPrecondition,
	vault.KeyDestroyed:     codes.FailedPrecondition,
	vault.FieldHoldsValues: codes.FailedPrecondition,
	vault.TooManyValues:    codes.FailedPrecondition,
	vault.Frozen:           codes.FailedPrecondition,
	vault.KeyDisabled:      codes.FailedPrecondition,
	vault.KeyInUse:         codes.FailedPrecondition,
	vault.ApprovalNeeded:   codes.FailedPrecondition,

	vault.TokenNotFound:    codes.NotFound,
	vault.RecordNotFound:   codes.NotFound,
	vault.PolicyNotFound:   codes.NotFound,
	vault.FreezeNotFound:   codes.NotFound,
	vault.SubjectNotFound:  codes.NotFound,
	vault.EntryNotFound:    codes.NotFound,
	vault.KeyNotFound:      codes.NotFound,
	vault.ApprovalNotFound: codes.NotFound,

	vault.RecordExists: codes.AlreadyExists,
	vault.ValueExists:  codes.AlreadyExists,

	vault.ETagMismatch:          codes.Aborted,
	vault.PolicyVersionMismatch: codes.Aborted,
	vault.Contention:            codes.Aborted,

	vault.AuditUnavailable: codes.Unavailable,
	vault.StoreUnavailable: codes.Unavailable,
	vault.KeysUnavailable:  codes.Unavailable,

	vault.StoreFull: codes.ResourceExhausted,
	vault.Busy:      codes.ResourceExhausted,

	vault.DataCorrupt: codes.DataLoss,
	vault.Internal:    codes.Internal,
}

// codeOf returns the code of a reason; one that is not in the table is a fault.
func codeOf(r vault.Reason) codes.Code {
	if c, ok := table[r]; ok {
		return c
	}
	return codes.Internal
}

// retryAfter is the hint that goes with "too much at once".
const retryAfter = time.Second

// fail turns an error of the vault into a status. What is not a refusal is
// logged with its cause; the caller gets neither cause nor text of others.
func (s *Server) fail(ctx context.Context, method string, c vault.Caller, err error) error {
	var e *vault.Error
	switch {
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled):
		return status.FromContextError(context.Canceled).Err()
	case errors.Is(err, context.DeadlineExceeded):
		return status.FromContextError(context.DeadlineExceeded).Err()
	default:
		e = &vault.Error{Reason: vault.Internal, Detail: "an internal fault; the server's log has the cause"}
	}
	code := codeOf(e.Reason)
	if cause := errors.Unwrap(err); cause != nil || e.Reason == vault.Internal {
		level := slog.LevelError
		if code == codes.InvalidArgument {
			level = slog.LevelDebug
		}
		s.logger.Log(ctx, level, "a call failed", "method", method, "principal", c.Principal,
			"request", c.Request, "reason", e.Reason.String(), "cause", errors.Join(err, cause))
	}
	return statusOf(code, e, c.Request)
}

// statusOf makes the status of an error: an ErrorInfo with reason, field and
// rule, and what else a client can act on.
func statusOf(code codes.Code, e *vault.Error, requestID string) error {
	info := &errdetails.ErrorInfo{Reason: e.Reason.String(), Domain: errorDomain, Metadata: map[string]string{}}
	for key, value := range map[string]string{"field": e.Field, "rule": e.Rule, "request_id": requestID} {
		if value != "" {
			info.Metadata[key] = value
		}
	}
	details := []protoadapt.MessageV1{protoadapt.MessageV1Of(info)}
	if len(e.Problems) > 0 {
		bad := &errdetails.BadRequest{}
		for _, p := range e.Problems {
			path := p.Path
			if p.Line > 0 {
				path = "line " + strconv.Itoa(p.Line) + ": " + path
			}
			bad.FieldViolations = append(bad.FieldViolations, &errdetails.BadRequest_FieldViolation{
				Field: path, Description: p.Message,
			})
		}
		details = append(details, protoadapt.MessageV1Of(bad))
	}
	if code == codes.ResourceExhausted {
		details = append(details, protoadapt.MessageV1Of(&errdetails.RetryInfo{RetryDelay: durationpb.New(retryAfter)}))
	}
	plain := status.New(code, e.Error())
	if detailed, err := plain.WithDetails(details...); err == nil {
		return detailed.Err()
	}
	return plain.Err()
}

// itemError turns the refusal of one item into its message; nil stays nil.
func itemError(e *vault.Error) *cloakroomv1.ItemError {
	if e == nil {
		return nil
	}
	return cloakroomv1.ItemError_builder{
		Code:    int32(codeOf(e.Reason)),
		Reason:  cloakroomv1.ErrorReason(e.Reason),
		Message: e.Error(),
		Field:   e.Field,
		Rule:    e.Rule,
	}.Build()
}
