package awskek

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Options of a KEK.
type Options struct {
	// KeyARN is the key: arn:aws:kms:region:account:key/id. Aliases are not
	// taken, since they can be moved to another key.
	KeyARN string
	// Access says how to reach it. An empty Region is that of KeyARN; another
	// one is refused.
	Access
}

// A KEK is a keys.KEK that is one symmetric key of AWS KMS. It is safe for
// concurrent use.
type KEK struct {
	arn    string
	client *kms.Client
}

var _ keys.KEK = (*KEK)(nil)

// Open returns the KEK that o names. It does not ask the service, so the key
// need not exist. ErrUsage when an option breaks its rule; the context's error
// when it ends while the SDK reads its configuration.
func Open(ctx context.Context, o Options) (*KEK, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	client, err := o.client(ctx)
	if err != nil {
		return nil, err
	}
	return &KEK{o.KeyARN, client}, nil
}

// complete fills in what the ARN says, and checks what is of a KEK alone.
func (o Options) complete() (Options, error) {
	region, err := regionOf(o.KeyARN)
	if err != nil {
		return o, err
	}
	if o.Region = orDefault(o.Region, region); o.Region != region {
		return o, usage("Region is not that of KeyARN")
	}
	return o, nil
}

// Check looks at the fields alone: ErrUsage names one and its rule.
func (o Options) Check() error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	return o.check()
}

// regionOf checks the ARN of a key and returns its region.
func regionOf(arn string) (string, error) {
	const rule = "KeyARN must be of the form arn:aws:kms:region:account:key/id, at most 240 bytes"
	parts := strings.Split(arn, ":")
	if len(arn) > 240 || len(parts) != 6 || parts[0] != "arn" || !strings.HasPrefix(parts[1], "aws") || !isName(parts[1], 32) ||
		parts[2] != "kms" || !isName(parts[3], 32) || !isName(parts[4], 32) {
		return "", usage(rule)
	}
	if id, ok := strings.CutPrefix(parts[5], "key/"); !ok || !isName(id, 64) {
		return "", usage(rule)
	}
	return parts[3], nil
}

// Name implements keys.KEK: "aws-kms/" and the key's ARN.
func (k *KEK) Name() string { return "aws-kms/" + k.arn }

// String implements fmt.Stringer.
func (k *KEK) String() string { return k.Name() }

func (k *KEK) place() place { return place{key: k.arn, context: contextKEK} }

// Wrap implements keys.KEK. ErrUsage when plaintext or aad is longer than
// 4,096 bytes.
func (k *KEK) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	blob, used, err := k.place().encrypt(ctx, k.client, plaintext, aad)
	if err != nil {
		return nil, k.explain(ctx, "Encrypt", err)
	}
	if used != k.arn {
		return nil, fmt.Errorf("%w: AWS KMS Encrypt: the answer is of another key", keys.ErrAway)
	}
	return blob, nil
}

// Unwrap implements keys.KEK. ErrUsage when aad is longer than 4,096 bytes.
func (k *KEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	plaintext, used, err := k.place().decrypt(ctx, k.client, blob, aad)
	if err != nil {
		return nil, k.explain(ctx, "Decrypt", err)
	}
	if used != k.arn {
		clear(plaintext)
		return nil, fmt.Errorf("%w: AWS KMS Decrypt: the answer is of another key", keys.ErrWrongKey)
	}
	return plaintext, nil
}

// explain asks for the key's state where the service's code leaves it open.
func (k *KEK) explain(ctx context.Context, call string, err error) error {
	if codeOf(err) != codeState {
		return refusal(ctx, call, err)
	}
	meta, described := describe(ctx, k.client, k.arn)
	switch {
	case errors.Is(described, keys.ErrDenied):
		// The right to use the key does not bring that to describe it.
		return refusal(ctx, call, err)
	case described != nil:
		return described
	}
	return stateError(meta.KeyState)
}

// describe asks for a key by its ARN or alias.
func describe(ctx context.Context, client *kms.Client, key string) (*types.KeyMetadata, error) {
	out, err := client.DescribeKey(ctx, &kms.DescribeKeyInput{KeyId: &key})
	if err != nil {
		return nil, refusal(ctx, "DescribeKey", err)
	}
	if out.KeyMetadata == nil || out.KeyMetadata.Arn == nil {
		return nil, fmt.Errorf("%w: AWS KMS DescribeKey: the answer is not whole", keys.ErrAway)
	}
	return out.KeyMetadata, nil
}

// stateError says why a key in this state was refused.
func stateError(state types.KeyState) error {
	switch state {
	case types.KeyStatePendingDeletion, types.KeyStatePendingReplicaDeletion:
		return fmt.Errorf("%w: AWS KMS: waits for its deletion", keys.ErrDestroyed)
	case types.KeyStateDisabled:
		return fmt.Errorf("%w: AWS KMS", keys.ErrDisabled)
	case types.KeyStatePendingImport:
		return fmt.Errorf("%w: AWS KMS: its imported key material is not there", keys.ErrNoKey)
	}
	// Creating, Updating, Unavailable (a key store that is not connected), or
	// enabled again meanwhile.
	return fmt.Errorf("%w: AWS KMS: the key cannot be used now", keys.ErrAway)
}
