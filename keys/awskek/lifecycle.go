package awskek

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/cloakroom-vault/cloakroom/keys"
)

// Tags of the keys made here.
const (
	tagPrefix = "cloakroom-prefix"
	tagName   = "cloakroom-name"
)

// tombsPerKey stays below the 50 aliases that the service allows a key.
const tombsPerKey = 32

func (e *Epochs) tombstone(epoch uint32) string { return e.alias(epoch) + "-destroyed" }

// Create implements keys.EpochKEK.
func (e *Epochs) Create(ctx context.Context, epoch uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if e.isGone(epoch) {
		return destroyed(epoch)
	}
	meta, err := e.find(ctx, epoch)
	switch {
	case err == nil && errors.Is(stateError(meta.KeyState), keys.ErrDestroyed):
		return destroyed(epoch)
	case err == nil:
		return fmt.Errorf("%w: AWS KMS: epoch %d", keys.ErrExists, epoch)
	case !errors.Is(err, keys.ErrNoKey):
		return err
	}
	arn, err := e.make(ctx, e.alias(epoch), e.description(epoch))
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.made[epoch] = arn
	return nil
}

// description says of a key what it is for. Destroy goes by it.
func (e *Epochs) description(epoch uint32) string {
	return fmt.Sprintf("Cloakroom: %s: erasure epoch %d", e.o.Prefix, epoch)
}

// make makes a key under an alias. ErrExists when the alias is another key's.
func (e *Epochs) make(ctx context.Context, alias, description string) (arn string, err error) {
	in := &kms.CreateKeyInput{
		Description: &description,
		KeySpec:     types.KeySpecSymmetricDefault,
		KeyUsage:    types.KeyUsageTypeEncryptDecrypt,
		// A copy in another region would outlive the deletion in this one.
		MultiRegion: aws.Bool(false),
		Tags: []types.Tag{
			{TagKey: aws.String(tagPrefix), TagValue: &e.o.Prefix},
			{TagKey: aws.String(tagName), TagValue: aws.String(alias[len("alias/"):])},
		},
	}
	if e.o.KeyPolicy != "" {
		in.Policy = &e.o.KeyPolicy
	}
	for name, value := range e.o.Tags {
		in.Tags = append(in.Tags, types.Tag{TagKey: &name, TagValue: &value})
	}
	out, err := e.client.CreateKey(ctx, in)
	switch {
	case err != nil:
		return "", refusal(ctx, "CreateKey", err)
	case out.KeyMetadata == nil || out.KeyMetadata.Arn == nil:
		return "", fmt.Errorf("%w: AWS KMS CreateKey: the answer is not whole", keys.ErrAway)
	}
	arn = *out.KeyMetadata.Arn
	_, err = e.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: &alias, TargetKeyId: &arn})
	if err == nil {
		return arn, nil
	}
	taken := refusal(ctx, "CreateAlias", err)
	if !errors.Is(taken, keys.ErrExists) {
		// It is not known whether the alias is on the key, so the key stays.
		return "", taken
	}
	// Taken by another caller, or by an attempt of this call whose answer was
	// lost and which the SDK repeated.
	meta, err := describe(ctx, e.client, alias)
	switch {
	case err != nil:
		return "", err
	case *meta.Arn == arn:
		return arn, nil
	}
	// A key that nobody will ever use. When it cannot be deleted it stays as
	// one of those that the package comment speaks of.
	_, _ = e.client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{KeyId: &arn, PendingWindowInDays: aws.Int32(7)})
	return "", taken
}

// Destroy implements keys.EpochKEK by scheduling the key's deletion: see
// DestructionDelay. It refuses, with ErrUsage, a key under the epoch's alias
// that was not made for the epoch. A deletion that was scheduled with another
// window keeps it.
func (e *Epochs) Destroy(ctx context.Context, epoch uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	meta, err := e.find(ctx, epoch)
	switch {
	case errors.Is(err, keys.ErrDestroyed): // the tombstone comes last
		e.bury(epoch)
		return nil
	case err != nil:
		return err
	case meta.Description == nil || *meta.Description != e.description(epoch):
		return usage(fmt.Sprintf("the key under %s was not made for epoch %d", e.alias(epoch), epoch))
	}
	if !errors.Is(stateError(meta.KeyState), keys.ErrDestroyed) {
		if err := e.schedule(ctx, *meta.Arn); err != nil {
			return err
		}
	}
	e.bury(epoch)
	return e.mark(ctx, epoch)
}

// bury makes this process refuse the epoch from now on.
func (e *Epochs) bury(epoch uint32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone[epoch] = true
	delete(e.made, epoch)
}

func (e *Epochs) schedule(ctx context.Context, arn string) error {
	out, err := e.client.ScheduleKeyDeletion(ctx, &kms.ScheduleKeyDeletionInput{
		KeyId: &arn, PendingWindowInDays: aws.Int32(int32(e.o.DestructionDelay / day)),
	})
	switch {
	case err != nil && codeOf(err) == codeState:
		// Scheduled meanwhile, by another or by an attempt whose answer was lost.
		meta, err := describe(ctx, e.client, arn)
		if err != nil {
			return err
		}
		if !errors.Is(stateError(meta.KeyState), keys.ErrDestroyed) {
			return stateError(meta.KeyState)
		}
		return nil
	case err != nil:
		return refusal(ctx, "ScheduleKeyDeletion", err)
	case !errors.Is(stateError(out.KeyState), keys.ErrDestroyed):
		return fmt.Errorf("%w: AWS KMS ScheduleKeyDeletion: the answer does not say that the key waits for its deletion", keys.ErrAway)
	}
	return nil
}

// mark puts the epoch's tombstone, once its key is known to be on its way out.
func (e *Epochs) mark(ctx context.Context, epoch uint32) error {
	block := epoch / tombsPerKey
	tombs := fmt.Sprintf("alias/%s-tombs-%d", e.o.Prefix, block)
	var key string
	meta, err := describe(ctx, e.client, tombs)
	switch {
	case err == nil:
		key = *meta.Arn
	case errors.Is(err, keys.ErrNoKey):
		key, err = e.make(ctx, tombs, fmt.Sprintf("Cloakroom: %s: carries the aliases of destroyed epochs %d to %d, enciphers nothing",
			e.o.Prefix, block*tombsPerKey, block*tombsPerKey+tombsPerKey-1))
		if errors.Is(err, keys.ErrExists) { // by another caller
			meta, err = describe(ctx, e.client, tombs)
			if err == nil {
				key = *meta.Arn
			}
		}
	}
	if err != nil {
		return err
	}
	_, err = e.client.CreateAlias(ctx, &kms.CreateAliasInput{AliasName: aws.String(e.tombstone(epoch)), TargetKeyId: &key})
	if err != nil && (codeOf(err) != codeExists || ended(ctx) != nil) {
		return refusal(ctx, "CreateAlias", err)
	}
	return nil
}
