package awskek

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const day = 24 * time.Hour

// DefaultDestructionDelay is the shortest waiting window that the service has.
const DefaultDestructionDelay = 7 * day

// EpochOptions are the options of Epochs.
type EpochOptions struct {
	// Prefix begins the aliases: 1 to 64 lower-case letters, digits and
	// hyphens. It belongs to one vault and must never change.
	Prefix string
	// DestructionDelay is the waiting window of a deletion, 7 to 30 whole days.
	// Zero is DefaultDestructionDelay.
	DestructionDelay time.Duration
	// KeyPolicy is the JSON key policy of keys that Create makes. Empty: the
	// service's default, which leaves the rights to IAM.
	KeyPolicy string
	// Tags are set on keys that Create makes, besides those of this package.
	Tags map[string]string
	// Access says how to reach the service.
	Access
}

// Epochs is a keys.EpochKEK that makes one key of AWS KMS an epoch. It is
// safe for concurrent use, also by several processes.
type Epochs struct {
	o      EpochOptions
	client *kms.Client

	// What this process did itself, which the service may not show yet.
	mu   sync.Mutex
	made map[uint32]string // ARN
	gone map[uint32]bool   // destroyed
}

var _ keys.EpochKEK = (*Epochs)(nil)

// OpenEpochs returns the epochs under a prefix. It does not ask the service.
// ErrUsage when an option breaks its rule; the context's error when it ends
// while the SDK reads its configuration.
func OpenEpochs(ctx context.Context, o EpochOptions) (*Epochs, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	client, err := o.client(ctx)
	if err != nil {
		return nil, err
	}
	return &Epochs{o: o, client: client, made: make(map[uint32]string), gone: make(map[uint32]bool)}, nil
}

// complete fills in defaults and checks what is of epochs alone.
func (o EpochOptions) complete() (EpochOptions, error) {
	o.DestructionDelay = orDefault(o.DestructionDelay, DefaultDestructionDelay)
	switch {
	case !isName(o.Prefix, 64):
		return o, usage("Prefix must be of 1 to 64 lower-case letters, digits and hyphens")
	case strings.HasPrefix(o.Prefix, "aws"):
		return o, usage("Prefix must not begin with aws, which the service keeps for itself")
	case o.DestructionDelay < 7*day || o.DestructionDelay > 30*day || o.DestructionDelay%day != 0:
		return o, usage("DestructionDelay must be 7 to 30 whole days")
	}
	for name := range o.Tags {
		if name == tagPrefix || name == tagName {
			return o, usage("Tags must not hold " + name)
		}
	}
	return o, nil
}

// Check looks at the fields alone: ErrUsage names one and its rule.
func (o EpochOptions) Check() error {
	o, err := o.complete()
	if err != nil {
		return err
	}
	return o.check()
}

// Name implements keys.EpochKEK: "aws-kms/", the region and the prefix.
func (e *Epochs) Name() string { return "aws-kms/" + e.o.Region + "/" + e.o.Prefix }

// String implements fmt.Stringer.
func (e *Epochs) String() string { return e.Name() }

// DestructionDelay is how long after Destroy returned nil the service still
// has the key material. Within that time whoever may cancel the deletion can
// have the key back; after it nobody can.
func (e *Epochs) DestructionDelay() time.Duration { return e.o.DestructionDelay }

// Destruction implements keys.EpochKEK: Delay is DestructionDelay, and after it
// the service answers for it that the key material is gone.
func (e *Epochs) Destruction() keys.Destruction {
	return keys.Destruction{
		How:     "the deletion of the epoch's AWS KMS key is scheduled; until the waiting window ends, who may cancel it can have the key back",
		Delay:   e.o.DestructionDelay,
		Certain: true,
	}
}

func (e *Epochs) alias(epoch uint32) string {
	return fmt.Sprintf("alias/%s-epoch-%d", e.o.Prefix, epoch)
}

// place says which key to use: by its ARN where this process made it, since
// an alias takes seconds to be seen everywhere.
func (e *Epochs) place(ctx context.Context, epoch uint32) (place, error) {
	if err := ctx.Err(); err != nil {
		return place{}, err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone[epoch] {
		return place{}, destroyed(epoch)
	}
	p := place{e.alias(epoch), contextEpoch, binary.BigEndian.AppendUint32(nil, epoch)}
	if arn := e.made[epoch]; arn != "" {
		p.key = arn
	}
	return p, nil
}

func destroyed(epoch uint32) error {
	return fmt.Errorf("%w: AWS KMS: epoch %d", keys.ErrDestroyed, epoch)
}

func (e *Epochs) isGone(epoch uint32) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.gone[epoch]
}

// Wrap implements keys.EpochKEK. ErrUsage when plaintext or aad is longer than
// 4,096 bytes.
func (e *Epochs) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	p, err := e.place(ctx, epoch)
	if err != nil {
		return nil, err
	}
	blob, _, err := p.encrypt(ctx, e.client, plaintext, aad)
	switch {
	case err != nil:
		return nil, e.explain(ctx, epoch, "Encrypt", err)
	case e.isGone(epoch): // while the call was under way
		return nil, destroyed(epoch)
	}
	return blob, nil
}

// Unwrap implements keys.EpochKEK. ErrUsage when aad is longer than 4,096
// bytes.
func (e *Epochs) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	p, err := e.place(ctx, epoch)
	if err != nil {
		return nil, err
	}
	plaintext, _, err := p.decrypt(ctx, e.client, blob, aad)
	switch {
	case err != nil:
		return nil, e.explain(ctx, epoch, "Decrypt", err)
	case e.isGone(epoch):
		clear(plaintext)
		return nil, destroyed(epoch)
	}
	return plaintext, nil
}

// explain looks for the epoch where the service's code leaves open whether it
// was destroyed.
func (e *Epochs) explain(ctx context.Context, epoch uint32, call string, err error) error {
	switch codeOf(err) {
	case codeState, codeMissing:
	default:
		return refusal(ctx, call, err)
	}
	meta, found := e.find(ctx, epoch)
	if found != nil {
		return found
	}
	return fmt.Errorf("epoch %d: %w", epoch, stateError(meta.KeyState))
}

// find looks for the key of an epoch. ErrDestroyed when it is gone for ever
// and left its tombstone, ErrNoKey when there is neither. A key that waits for
// its deletion is found.
func (e *Epochs) find(ctx context.Context, epoch uint32) (*types.KeyMetadata, error) {
	e.mu.Lock()
	key := e.made[epoch]
	e.mu.Unlock()
	if key == "" {
		key = e.alias(epoch)
	}
	meta, err := describe(ctx, e.client, key)
	if !errors.Is(err, keys.ErrNoKey) {
		return meta, err
	}
	switch _, err := describe(ctx, e.client, e.tombstone(epoch)); {
	case err == nil:
		return nil, destroyed(epoch)
	case !errors.Is(err, keys.ErrNoKey):
		return nil, err
	}
	return nil, fmt.Errorf("%w: AWS KMS: epoch %d", keys.ErrNoKey, epoch)
}
