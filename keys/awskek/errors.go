package awskek

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// refusal says in terms of package keys why a call did not succeed. The
// service's own text is left out: it names callers and policies. Its code and
// the request's id are enough to find it in CloudTrail.
func refusal(ctx context.Context, call string, err error) error {
	if gone := ended(ctx); gone != nil {
		// Whatever the call met, its caller is gone.
		return fmt.Errorf("AWS KMS %s: %w", call, gone)
	}
	if errors.Is(err, keys.ErrUsage) || errors.Is(err, keys.ErrFormat) || errors.Is(err, keys.ErrAway) {
		return err // of this package, before or after the call
	}
	if errors.Is(err, errShortSecret) {
		return fmt.Errorf("%w: AWS KMS %s: %w", keys.ErrDenied, call, errShortSecret)
	}
	if code := codeOf(err); code != "" {
		return fmt.Errorf("%w: AWS KMS %s: %s%s", meaning(code), call, code, request(err))
	}
	return fmt.Errorf("%w: AWS KMS %s: %s", keys.ErrAway, call, trouble(err))
}

// ended is ctx.Err, and does not wait for the context to notice that its
// deadline has passed: the network goes by the same clock, and may be first.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) && ctx.Err() == nil {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// meaning maps an error code of the service, or of the services that give out
// credentials. What is not known here is taken for a passing trouble: a vault
// seals itself on ErrDenied, and must not do so for a word it does not know.
func meaning(code string) error {
	switch code {
	case "AccessDeniedException", "AccessDenied", "NotAuthorized", "OptInRequired", "UnauthorizedException",
		"UnrecognizedClientException", "InvalidClientTokenId", "InvalidSignatureException", "IncompleteSignature",
		"MissingAuthenticationToken", "ExpiredTokenException", "ExpiredToken", "SignatureDoesNotMatch":
		return keys.ErrDenied
	case "InvalidCiphertextException", "IncorrectKeyException":
		return keys.ErrWrongKey
	case "NotFoundException":
		return keys.ErrNoKey
	case "DisabledException", codeState:
		return keys.ErrDisabled
	case codeExists:
		return keys.ErrExists
	case "InvalidKeyUsageException", "InvalidArnException", "InvalidAliasNameException", "MalformedPolicyDocumentException",
		"TagException", "UnsupportedOperationException", "ValidationException":
		return keys.ErrUsage
	}
	// Throttling, limits, time-outs of the service, 5xx and proxies.
	return keys.ErrAway
}

// Codes that calls look at before they become errors of package keys.
const (
	codeExists  = "AlreadyExistsException"
	codeState   = "KMSInvalidStateException"
	codeMissing = "NotFoundException"
)

// codeOf returns the service's error code; empty when the error is another, or
// when the code is no plain word.
func codeOf(err error) string {
	var api smithy.APIError
	if !errors.As(err, &api) {
		return ""
	}
	code := api.ErrorCode()
	for _, c := range []byte(code) {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return ""
		}
	}
	if len(code) > 64 || code == "UnknownError" {
		return ""
	}
	return code
}

// request returns the id by which CloudTrail knows the request.
func request(err error) string {
	var response *awshttp.ResponseError
	if !errors.As(err, &response) {
		return ""
	}
	id := response.ServiceRequestID()
	for _, c := range []byte(id) {
		if (c < 'a' || c > 'f') && (c < 'A' || c > 'F') && (c < '0' || c > '9') && c != '-' {
			return ""
		}
	}
	if id == "" || len(id) > 64 {
		return ""
	}
	return ", request " + id
}

// trouble names what kept a call from an answer, without addresses.
func trouble(err error) string {
	var response *awshttp.ResponseError
	var op *net.OpError
	var timeout net.Error
	switch {
	case errors.As(err, &response) && response.HTTPStatusCode() != 0:
		return fmt.Sprintf("status %d%s", response.HTTPStatusCode(), request(err))
	case errors.As(err, &timeout) && timeout.Timeout():
		return "no answer in time"
	case errors.As(err, &op):
		return fmt.Sprintf("%s: %v", op.Op, op.Err)
	}
	return "no answer, or no credentials"
}
