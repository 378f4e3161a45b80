package gcpkek

import (
	"context"
	"errors"
	"regexp"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Options of a KEK.
type Options struct {
	// KeyName is the key: projects/…/locations/…/keyRings/…/cryptoKeys/…,
	// without a version: Wrap uses the primary one.
	KeyName string
	// Access says how to reach it.
	Access
}

// A KEK is a keys.KEK that is one symmetric CryptoKey. It is safe for
// concurrent use. Close it when done.
type KEK struct {
	name string
	s    *service
}

var _ keys.KEK = (*KEK)(nil)

// Open returns the KEK that o names. It does not ask the service, so the key
// need not exist. ErrUsage when an option breaks its rule, or the SDK finds no
// credentials it can use; the context's error when it ends meanwhile.
func Open(ctx context.Context, o Options) (*KEK, error) {
	if err := o.Check(); err != nil {
		return nil, err
	}
	s, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	return &KEK{o.KeyName, s}, nil
}

// Check looks at the fields alone: ErrUsage names one and its rule.
func (o Options) Check() error {
	if !matches(keyPattern, o.KeyName) {
		return usage("KeyName must be of the form projects/…/locations/…/keyRings/…/cryptoKeys/…, at most 240 bytes")
	}
	return o.check()
}

// Close ends the connection to the service.
func (k *KEK) Close() error { return k.s.client.Close() }

// Name implements keys.KEK: "gcp-kms/" and the key's name.
func (k *KEK) Name() string { return "gcp-kms/" + k.name }

// String implements fmt.Stringer.
func (k *KEK) String() string { return k.Name() }

// Wrap implements keys.KEK. ErrUsage when plaintext is longer than 4,096
// bytes or aad than 4,090.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	blob, err := k.s.encrypt(ctx, place{key: k.name}, plaintext, aad)
	if err != nil {
		return nil, k.explain(ctx, "Encrypt", err)
	}
	return blob, nil
}

// Unwrap implements keys.KEK. ErrUsage when aad is longer than 4,090 bytes.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	plaintext, err := k.s.decrypt(ctx, place{key: k.name}, blob, aad)
	if err != nil {
		return nil, k.explain(ctx, "Decrypt", err)
	}
	return plaintext, nil
}

// explain asks for the state of the version that the service would not use.
func (k *KEK) explain(ctx context.Context, call string, err error) error {
	if codeOf(err) != codes.FailedPrecondition {
		return refusal(ctx, call, err)
	}
	state, asked := k.refused(ctx, err)
	switch {
	case errors.Is(asked, keys.ErrDenied), asked == nil && state == kmspb.CryptoKeyVersion_ENABLED:
		// The right to use the key does not bring that to ask for it. Or it is
		// an older version, and the service did not say which.
		return refusal(ctx, call, err)
	case asked != nil:
		return asked
	}
	return stateError(state)
}

// refused finds the version. Only the service's text says which it was, where
// the key has several; it is taken as a hint of which to ask for, and nothing
// else in it is believed.
func (k *KEK) refused(ctx context.Context, err error) (kmspb.CryptoKeyVersion_CryptoKeyVersionState, error) {
	text := status.Convert(err).Message()
	hint := regexp.MustCompile(regexp.QuoteMeta(k.name) + `/cryptoKeyVersions/[0-9]{1,9}`).FindString(text)
	if hint != "" {
		return k.s.state(ctx, hint)
	}
	key, err := k.s.key(ctx, k.name)
	return key.GetPrimary().GetState(), err
}
