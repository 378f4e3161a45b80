package gcpkek

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"time"

	"cloud.google.com/go/kms/apiv1/kmspb"
	"google.golang.org/grpc/codes"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/cloakroom-vault/cloakroom/keys"
)

const day = 24 * time.Hour

// DefaultDestructionDelay is the shortest that the service allows.
const DefaultDestructionDelay = day

// labelMade tells one Create from another.
const labelMade = "cloakroom-made"

// EpochOptions are the options of Epochs.
type EpochOptions struct {
	// KeyRing holds the keys: projects/…/locations/…/keyRings/…. It must exist,
	// and belongs to one vault.
	KeyRing string
	// DestructionDelay is the destroy_scheduled_duration of keys that Create
	// makes, 24 hours to 120 days in whole seconds. Zero is
	// DefaultDestructionDelay.
	DestructionDelay time.Duration
	// HSM makes keys in hardware modules. Otherwise they are of software.
	HSM bool
	// Labels are set on keys that Create makes, besides that of this package.
	Labels map[string]string
	// Access says how to reach the service.
	Access
}

// Epochs is a keys.EpochKEK that makes one CryptoKey an epoch. It is safe for
// concurrent use, also by several processes. Close it when done.
type Epochs struct {
	o EpochOptions
	s *service

	// What this process destroyed, which the service may not show yet.
	mu   sync.Mutex
	gone map[uint32]bool
}

var _ keys.EpochKEK = (*Epochs)(nil)

// OpenEpochs returns the epochs of a key ring. It does not ask the service.
// ErrUsage when an option breaks its rule, or the SDK finds no credentials it
// can use; the context's error when it ends meanwhile.
func OpenEpochs(ctx context.Context, o EpochOptions) (*Epochs, error) {
	o.DestructionDelay = orDefault(o.DestructionDelay, DefaultDestructionDelay)
	if err := o.Check(); err != nil {
		return nil, err
	}
	s, err := o.open(ctx)
	if err != nil {
		return nil, err
	}
	return &Epochs{o: o, s: s, gone: make(map[uint32]bool)}, nil
}

// Check looks at the fields alone: ErrUsage names one and its rule.
func (o EpochOptions) Check() error {
	o.DestructionDelay = orDefault(o.DestructionDelay, DefaultDestructionDelay)
	_, taken := o.Labels[labelMade]
	switch {
	case !matches(ringPattern, o.KeyRing):
		return usage("KeyRing must be of the form projects/…/locations/…/keyRings/…, at most 240 bytes")
	case o.DestructionDelay < day || o.DestructionDelay > 120*day || o.DestructionDelay%time.Second != 0:
		return usage("DestructionDelay must be 24 hours to 120 days, in whole seconds")
	case taken:
		return usage("Labels must not hold " + labelMade)
	}
	return o.check()
}

// Close ends the connection to the service.
func (e *Epochs) Close() error { return e.s.client.Close() }

// Name implements keys.EpochKEK: "gcp-kms/" and the key ring's name.
func (e *Epochs) Name() string { return "gcp-kms/" + e.o.KeyRing }

// String implements fmt.Stringer.
func (e *Epochs) String() string { return e.Name() }

// DestructionDelay is how long after Destroy returned nil the service still
// has the key material of an epoch that was created with the options of e.
// Within that time whoever may restore the version can have it back.
func (e *Epochs) DestructionDelay() time.Duration { return e.o.DestructionDelay }

// Destruction implements keys.EpochKEK: Delay is DestructionDelay. Nobody can
// have the version back after it; the service's own backups of the material end
// up to 45 days later.
func (e *Epochs) Destruction() keys.Destruction {
	return keys.Destruction{
		How:     "the destruction of the epoch's Google Cloud KMS key version is scheduled; until the delay ends, who may restore it can have it back",
		Delay:   e.o.DestructionDelay,
		Certain: true,
	}
}

func (e *Epochs) place(epoch uint32) place {
	key := fmt.Sprintf("%s/cryptoKeys/epoch-%d", e.o.KeyRing, epoch)
	return place{key, key + "/cryptoKeyVersions/1", binary.BigEndian.AppendUint32(nil, epoch)}
}

// refuses says what this process knows without asking.
func (e *Epochs) refuses(ctx context.Context, epoch uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.gone[epoch] {
		return fmt.Errorf("%w: Google Cloud KMS: epoch %d", keys.ErrDestroyed, epoch)
	}
	return nil
}

// Create implements keys.EpochKEK.
func (e *Epochs) Create(ctx context.Context, epoch uint32) error {
	if err := e.refuses(ctx, epoch); err != nil {
		return err
	}
	level := kmspb.ProtectionLevel_SOFTWARE
	if e.o.HSM {
		level = kmspb.ProtectionLevel_HSM
	}
	labels := maps.Clone(e.o.Labels)
	if labels == nil {
		labels = make(map[string]string)
	}
	mine := strings.ToLower(rand.Text())
	labels[labelMade] = mine
	err := e.s.try(ctx, func(ctx context.Context) error {
		_, err := e.s.client.CreateCryptoKey(ctx, &kmspb.CreateCryptoKeyRequest{
			Parent: e.o.KeyRing, CryptoKeyId: fmt.Sprintf("epoch-%d", epoch),
			CryptoKey: &kmspb.CryptoKey{
				Purpose: kmspb.CryptoKey_ENCRYPT_DECRYPT,
				VersionTemplate: &kmspb.CryptoKeyVersionTemplate{
					Algorithm:       kmspb.CryptoKeyVersion_GOOGLE_SYMMETRIC_ENCRYPTION,
					ProtectionLevel: level,
				},
				DestroyScheduledDuration: durationpb.New(e.o.DestructionDelay),
				Labels:                   labels,
			},
		}, once())
		return err
	})
	if err == nil {
		return nil
	}
	exists := refusal(ctx, "CreateCryptoKey", err)
	if !errors.Is(exists, keys.ErrExists) {
		return exists
	}
	key, err := e.s.key(ctx, e.place(epoch).key)
	switch {
	case err != nil:
		return err
	case key.GetLabels()[labelMade] == mine:
		return nil // by an attempt whose answer was lost
	}
	state, err := e.s.state(ctx, e.place(epoch).version)
	switch {
	case err != nil:
		return err
	case errors.Is(stateError(state), keys.ErrDestroyed):
		return stateError(state)
	}
	return fmt.Errorf("%w: Google Cloud KMS: epoch %d", keys.ErrExists, epoch)
}

// Wrap implements keys.EpochKEK. ErrUsage when plaintext is longer than 4,096
// bytes or aad than 4,090.
func (e *Epochs) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	if err := e.refuses(ctx, epoch); err != nil {
		return nil, err
	}
	blob, err := e.s.encrypt(ctx, e.place(epoch), plaintext, aad)
	if err != nil {
		return nil, e.explain(ctx, epoch, "Encrypt", err)
	}
	if err := e.refuses(ctx, epoch); err != nil { // meanwhile
		return nil, err
	}
	return blob, nil
}

// Unwrap implements keys.EpochKEK. ErrUsage when aad is longer than 4,090
// bytes.
func (e *Epochs) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	if err := e.refuses(ctx, epoch); err != nil {
		return nil, err
	}
	plaintext, err := e.s.decrypt(ctx, e.place(epoch), blob, aad)
	if err != nil {
		return nil, e.explain(ctx, epoch, "Decrypt", err)
	}
	if err := e.refuses(ctx, epoch); err != nil {
		clear(plaintext)
		return nil, err
	}
	return plaintext, nil
}

// explain asks for the state of the epoch's version, where it is the reason.
func (e *Epochs) explain(ctx context.Context, epoch uint32, call string, err error) error {
	if codeOf(err) != codes.FailedPrecondition {
		return refusal(ctx, call, err)
	}
	state, err := e.s.state(ctx, e.place(epoch).version)
	if err != nil {
		return err
	}
	return stateError(state)
}

// Destroy implements keys.EpochKEK by scheduling the destruction of the
// epoch's version: see DestructionDelay.
func (e *Epochs) Destroy(ctx context.Context, epoch uint32) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	version := e.place(epoch).version
	var out *kmspb.CryptoKeyVersion
	err := e.s.try(ctx, func(ctx context.Context) (err error) {
		out, err = e.s.client.DestroyCryptoKeyVersion(ctx, &kmspb.DestroyCryptoKeyVersionRequest{Name: version}, once())
		return err
	})
	state := out.GetState()
	switch {
	case err != nil && codeOf(err) == codes.FailedPrecondition && ended(ctx) == nil:
		// Not in a state to be destroyed: perhaps it is so already.
		if state, err = e.s.state(ctx, version); err != nil {
			return err
		}
	case err != nil:
		return refusal(ctx, "DestroyCryptoKeyVersion", err)
	}
	if !errors.Is(stateError(state), keys.ErrDestroyed) {
		return fmt.Errorf("%w: Google Cloud KMS DestroyCryptoKeyVersion: epoch %d is in state %s", keys.ErrAway, epoch, state)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.gone[epoch] = true
	return nil
}
