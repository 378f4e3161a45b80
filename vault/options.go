package vault

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Sealer seals bytes with a fresh nonce each time; *keys.AEAD is one.
type Sealer interface {
	Seal(dst, plaintext, associatedData []byte) []byte
	Open(dst, ciphertext, associatedData []byte) ([]byte, error)
}

// Options are the parts a vault is made of. Keys, Values, KEK, Epochs and Log
// are required.
type Options struct {
	// Keys is the key store, opened on rows.KeyTables.
	Keys store.Store
	// Values opens the value store on rows.ValueTables. The sealer is for what
	// an engine keeps of scattered tables outside their final file.
	Values func(Sealer) (store.Store, error)
	// KEK wraps the root key.
	KEK keys.KEK
	// Epochs wraps the key that wraps the persons' keys.
	Epochs keys.EpochKEK
	// Log is the audit log. One that is an audit.Reader can be listed.
	Log audit.Log
	// Index is a store opened on index.Tables, for the index of the log; nil
	// makes every look at the log read it. It can be lost without loss.
	Index store.Store
	// IndexLot is how many entries the index gathers in memory before it writes
	// them: 1 to 65,536, which is also what 0 means.
	IndexLot int

	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// Logger receives faults and background work; nil discards. Values, tokens
	// and keys are never logged.
	Logger *slog.Logger
	// SubjectKeyCache bounds the persons' keys held in memory; 0 means 100,000.
	// A key takes about 100 bytes.
	SubjectKeyCache int
	// SparePersons is how many persons' keys are made ahead of need in one
	// commit of the key store; 0 makes each call's own. A crash leaves as many
	// keys without a header, which the next start sweeps.
	SparePersons int
	// SubjectKeyTime is how long a person's key is held; 0 means one minute.
	SubjectKeyTime time.Duration

	// NextKEK opens what RewrapRoot wraps the root by; nil: by KEK anew. The vault
	// goes on with what it returned.
	NextKEK func(context.Context) (keys.KEK, error)
	// Ages says after what time keys rotate by themselves; the zero value: never.
	Ages KeyAges
	// AgeWarning is how long before that the log says so; 0: not.
	AgeWarning time.Duration
	// RewrapRate bounds how many values a second are re-wrapped; 0: not.
	RewrapRate int
	// ProbeEvery is how often the providers are asked whether the keys may still
	// be used; 0 means ten seconds.
	ProbeEvery time.Duration
	// AwayLimit is how long the vault goes on while a provider does not answer; 0
	// means one hour.
	AwayLimit time.Duration

	// EpochLength is how long one key wraps the persons' keys; 0 means until
	// somebody asks. When an epoch ends its key is destroyed, and with it every
	// older copy of the keys of persons who were erased. The end begins a 32nd
	// of the length ahead, so that it is over in time.
	EpochLength time.Duration
	// BeforeEpochEnds is called when every person's key is wrapped in the next
	// epoch and before the key of the one that ends is destroyed; an error puts
	// that off and is tried again. It is for a backup that can still be opened
	// afterwards. It may be called more than once for an epoch. Nil means nothing
	// is done.
	BeforeEpochEnds func(ctx context.Context, epoch uint32) error
	// CompactAfter is by how long after an erasure or a deletion the bytes it
	// freed are gone from the files of the stores; 0 means one hour, a negative
	// one never. The compaction begins a quarter of that time ahead.
	CompactAfter time.Duration
	// BusyShare is how much of the time, in percent, work on all of the data may
	// take while callers are active, 1 to 100; 0 means 10.
	BusyShare int
}

func (o *Options) complete() error {
	if o.Keys == nil || o.Values == nil || o.KEK == nil || o.Epochs == nil || o.Log == nil {
		return errors.New("vault: a required part is missing from the options")
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.SubjectKeyCache == 0 {
		o.SubjectKeyCache = 100_000
	}
	if o.SubjectKeyTime == 0 {
		o.SubjectKeyTime = time.Minute
	}
	if o.ProbeEvery == 0 {
		o.ProbeEvery = 10 * time.Second
	}
	if o.AwayLimit == 0 {
		o.AwayLimit = time.Hour
	}
	if o.CompactAfter == 0 {
		o.CompactAfter = defaultCompactAfter
	}
	if o.BusyShare == 0 {
		o.BusyShare = defaultBusyShare
	}
	if o.BusyShare < 1 || o.BusyShare > 100 || o.EpochLength < 0 {
		return errors.New("vault: the share of the time or the length of an epoch is out of range")
	}
	return nil
}
