package gcpkek

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// refusal says in terms of package keys why a call did not succeed. The
// service's own text is left out: it names callers, projects and policies.
func refusal(ctx context.Context, call string, err error) error {
	if gone := ended(ctx); gone != nil {
		// Whatever the call met, its caller is gone.
		return fmt.Errorf("ask Google Cloud KMS, %s: %w", call, gone)
	}
	if errors.Is(err, keys.ErrUsage) || errors.Is(err, keys.ErrFormat) || errors.Is(err, keys.ErrAway) {
		return err // of this package, before or after the call
	}
	if errors.Is(err, errSums) {
		return fmt.Errorf("%w: Google Cloud KMS %s: %w", keys.ErrAway, call, errSums)
	}
	code := codeOf(err)
	return fmt.Errorf("%w: Google Cloud KMS %s: %s", meaning(call, code), call, code)
}

// ended is ctx.Err, and does not wait for the context to notice that its
// deadline has passed: the network goes by the same clock, and may be first.
func ended(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok && !time.Now().Before(deadline) && ctx.Err() == nil {
		return context.DeadlineExceeded
	}
	return ctx.Err()
}

// codeOf returns the status code of an error. Where the SDK has no
// credentials to send, gRPC says that they were refused; nobody did.
func codeOf(err error) codes.Code {
	s, ok := status.FromError(err)
	switch {
	case !ok && errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded // the limit of one attempt
	case !ok:
		return codes.Unknown
	case s.Code() == codes.Unauthenticated && strings.Contains(s.Message(), "per-RPC creds failed"):
		return codes.Unavailable
	}
	return s.Code()
}

// meaning maps a status code. What is not known here is taken for a passing
// trouble: a vault seals itself on ErrDenied, and must not do so for a word it
// does not know.
func meaning(call string, code codes.Code) error {
	switch code {
	case codes.PermissionDenied, codes.Unauthenticated:
		return keys.ErrDenied
	case codes.NotFound:
		return keys.ErrNoKey
	case codes.AlreadyExists:
		return keys.ErrExists
	case codes.FailedPrecondition:
		return keys.ErrDisabled
	case codes.InvalidArgument:
		if call == "Decrypt" {
			return keys.ErrWrongKey // the one code for all that does not open
		}
		return keys.ErrUsage
	}
	return keys.ErrAway
}

// passes reports whether a call may be tried again at once.
func passes(err error) bool {
	if errors.Is(err, errSums) {
		return true
	}
	switch codeOf(err) {
	case codes.Unavailable, codes.DeadlineExceeded, codes.ResourceExhausted, codes.Aborted, codes.Internal:
		return true
	}
	return false
}

// stateError says why a version in this state was refused.
func stateError(state kmspb.CryptoKeyVersion_CryptoKeyVersionState) error {
	switch state {
	case kmspb.CryptoKeyVersion_DESTROY_SCHEDULED, kmspb.CryptoKeyVersion_DESTROYED,
		kmspb.CryptoKeyVersion_PENDING_EXTERNAL_DESTRUCTION:
		return fmt.Errorf("%w: Google Cloud KMS: state %s", keys.ErrDestroyed, state)
	case kmspb.CryptoKeyVersion_DISABLED:
		return fmt.Errorf("%w: Google Cloud KMS", keys.ErrDisabled)
	case kmspb.CryptoKeyVersion_PENDING_IMPORT, kmspb.CryptoKeyVersion_IMPORT_FAILED, kmspb.CryptoKeyVersion_GENERATION_FAILED:
		return fmt.Errorf("%w: Google Cloud KMS: state %s", keys.ErrNoKey, state)
	}
	// Being made, an external key manager in trouble, or enabled again
	// meanwhile.
	return fmt.Errorf("%w: Google Cloud KMS: the version cannot be used now, state %s", keys.ErrAway, state)
}
