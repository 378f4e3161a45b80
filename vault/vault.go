package vault

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Limits of the contract.
const (
	MaxBatch     = 1000    // items of one call
	MaxSubjectID = 256     // bytes of a caller's id of a person
	MaxValue     = 1 << 16 // bytes of one value
	MaxAnswer    = 4 << 20 // bytes of all values of one reveal; more are refused
	MaxRequestID = 128     // bytes of a request id
	MaxReason    = 128     // bytes of a reason
)

// A Vault answers the operations. It is safe for concurrent use.
type Vault struct {
	id     [16]byte
	keys   store.Store
	values store.Store
	ring   *keys.Ring
	log    audit.Log
	now    func() time.Time
	logger *slog.Logger

	// state is what calls decide by; mu serialises its replacement.
	state atomic.Pointer[state]
	mu    sync.Mutex

	turns    turns
	refs     refBlocks
	spares   spares
	ahead    int // persons' keys made ahead of need
	subjects *subjectCache
	outbox   outbox
	changed  changeCount
	subject  subjectCipher
	lookups  lookups
	history  history

	// What works on keys.
	kek        keys.KEK                                // guarded by mu
	nextKEK    func(context.Context) (keys.KEK, error) // nil: none
	sealed     atomic.Pointer[string]                  // why the keys were given up
	uses       useBook
	seen       seenBook
	census     lastCensus
	counting   sync.Mutex // held while a caller has everything counted
	rewrap     rewrapper
	rewrapRate workRate
	relookup   waker
	begun      sync.WaitGroup // the work on keys took its first look after the start
	rewrapMost int            // values a second; 0: no bound
	epochKEK   keys.EpochKEK
	epochs     epochs
	compaction compaction
	pace       pace
	busyShare  int // percent of the time that work takes while callers are active
	ages       KeyAges
	warnBefore time.Duration
	probeEvery time.Duration
	awayLimit  time.Duration
	work       workBoard

	background sync.WaitGroup
	swept      chan struct{} // closed when the first sweep ended
	stop       context.CancelFunc
	closeOnce  sync.Once
	closeErr   error
}

// Caller is who asks, from the connection and never from the request.
type Caller struct {
	Principal string // the verified identity, such as a SPIFFE ID
	Request   string // the id of this call, for the audit log
}

// Create makes a new vault in empty stores: the root key wrapped by the KEK,
// the first epoch, and one principal who may apply the first policy and
// nothing else. It returns ErrExists when the stores hold a vault. Create may
// be repeated after a crash with the same stores only after they were emptied.
func Create(ctx context.Context, o Options, administrator string) error {
	if err := o.complete(); err != nil {
		return err
	}
	if administrator == "" {
		return fmt.Errorf("vault: the first policy administrator is not named")
	}
	var have store.Rows
	if err := o.Keys.Get(ctx, []store.Key{{Table: rows.KeyControl, Key: rows.VaultKey}}, &have); err != nil {
		return err
	}
	if _, ok := have.Value(0); ok {
		return ErrExists
	}
	var id [16]byte
	if _, err := rand.Read(id[:]); err != nil {
		return err
	}
	ring, err := keys.Create(ctx, keyring{o.Keys}, o.KEK, id)
	if err != nil {
		return fmt.Errorf("make the root key: %w", err)
	}
	defer ring.Close()
	if err := ring.Ensure(ctx, rowsKey, lookupKey, auditRefKey, auditSignerKey, domainKey(policy.DefaultDomain)); err != nil {
		return fmt.Errorf("make the first keysets: %w", err)
	}
	made := o.Now().UnixMilli()
	_, wrapped, err := keys.CreateEpoch(ctx, o.Epochs, firstEpoch, id)
	if err != nil {
		return fmt.Errorf("make the first epoch key: %w", err)
	}
	values, err := o.Values(ring.Snapshot().Rows())
	if err != nil {
		return err
	}
	defer func() { _ = values.Close() }() // the close that counts is at the end
	var b store.Batch
	b.RequireAbsent(rows.Control, rows.VaultKey)
	b.Put(rows.Control, rows.VaultKey, id[:])
	control, lock := rows.ControlRow{}.Append(nil), ring.Snapshot().Rows()
	b.Put(rows.People, rows.ControlKey, control)
	putKeysetsRow(&b, id, ring.Snapshot(), 0, nil)
	b.Put(rows.Control, rows.GuardKey, lock.Seal(nil, appendGuard(nil, control, nil, nil), sealedRow(id, "guard", 0)))
	b.Put(rows.Control, rows.BootstrapKey, lock.Seal(nil, []byte(administrator), sealedRow(id, "bootstrap", 0)))
	b.Put(rows.Control, rows.MarkKey, lock.Seal(nil, (&mark{entries: o.Log.Size()}).append(nil), sealedRow(id, "mark", 0)))
	if err := values.Commit(ctx, &b); err != nil {
		return fmt.Errorf("write the value store: %w", err)
	}
	b.Reset()
	b.RequireAbsent(rows.KeyControl, rows.VaultKey)
	b.Put(rows.KeyControl, rows.VaultKey, id[:])
	b.Put(rows.KeyControl, rows.EpochKey, (&rows.Epoch{Number: firstEpoch, Made: made, Wrapped: wrapped}).Append(nil))
	if err := o.Keys.Commit(ctx, &b); err != nil {
		return fmt.Errorf("write the key store: %w", err)
	}
	return values.Close()
}

// firstEpoch is the number of a vault's first epoch. A provider that has a key of
// it already is another vault's, or that of an attempt that failed: nobody but
// the operator knows which, so Create does not take another number.
const firstEpoch = 1

// Open opens a vault: one call to the KEK and one to the epoch provider, the
// outbox and unfinished erasures of an earlier run brought to their end, and
// the policy loaded. The vault closes the value store; the key store and the
// log stay the caller's to close, after Close. A log that was put back to an
// older state, or is another, is ErrLogOlder or ErrLogOther.
func Open(ctx context.Context, o Options) (*Vault, error) {
	if err := o.complete(); err != nil {
		return nil, err
	}
	v := &Vault{
		keys:     o.Keys,
		log:      o.Log,
		now:      o.Now,
		logger:   o.Logger,
		swept:    make(chan struct{}),
		outbox:   outbox{settling: make(chan struct{}, 1)},
		subjects: newSubjectCache(o.SubjectKeyCache, o.SubjectKeyTime, o.Now),
		ahead:    o.SparePersons,

		kek: o.KEK, nextKEK: o.NextKEK, epochKEK: o.Epochs,
		uses:       useBook{limit: UseLimit, end: UseEnd},
		rewrap:     rewrapper{waker: newWaker()},
		relookup:   newWaker(),
		rewrapMost: o.RewrapRate,
		ages:       o.Ages, warnBefore: o.AgeWarning,
		probeEvery: o.ProbeEvery, awayLimit: o.AwayLimit,
		busyShare: o.BusyShare,
	}
	v.changed.begin()
	v.compaction.ready(&o)
	if err := v.openKeys(ctx, o); err != nil {
		return nil, err
	}
	if err := v.openValues(ctx, o); err != nil {
		v.ring.Close()
		return nil, err
	}
	earlier, err := v.recover(ctx)
	if err != nil {
		_ = v.values.Close()
		v.ring.Close()
		return nil, err
	}
	if err := v.openHistory(ctx, o); err != nil {
		_ = v.values.Close()
		v.ring.Close()
		return nil, err
	}
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	v.stop = stop
	v.background.Go(func() {
		defer close(v.swept)
		v.sweepOrphans(run, earlier)
	})
	v.background.Go(func() { v.tidy(run) })
	v.background.Go(func() { v.keepOutbox(run) })
	v.tryMark(ctx)
	v.begun.Add(4)
	for _, keep := range []func(context.Context){v.keepMark, v.keepUses, v.keepRewrap, v.keepLookup, v.keepAges, v.keepSealed, v.keepEpochs, v.keepCompact} {
		v.background.Go(func() { keep(run) })
	}
	return v, nil
}

func (v *Vault) openKeys(ctx context.Context, o Options) error {
	var have store.Rows
	err := v.keys.Get(ctx, []store.Key{{Table: rows.KeyControl, Key: rows.VaultKey}}, &have)
	if err != nil {
		return fmt.Errorf("read the key store: %w", err)
	}
	id, ok := have.Value(0)
	if !ok {
		return ErrNotInitialised
	}
	if len(id) != len(v.id) {
		return fmt.Errorf("%w: the vault's id", store.ErrCorrupt)
	}
	v.id = [16]byte(id)
	if v.ring, err = keys.Open(ctx, keyring{o.Keys}, o.KEK, v.id); err != nil {
		return fmt.Errorf("open the root key: %w", err)
	}
	v.epochs.ready(&o)
	if err := v.openEpochs(ctx); err != nil {
		v.ring.Close()
		return err
	}
	// Vaults made before the log was signed have no such key.
	if err := v.ring.Ensure(ctx, auditSignerKey); err != nil {
		v.ring.Close()
		return fmt.Errorf("make the key that signs the audit log: %w", err)
	}
	if err := v.refreshSubject(); err != nil {
		v.ring.Close()
		return err
	}
	return nil
}

func (v *Vault) openValues(ctx context.Context, o Options) error {
	values, err := o.Values(&rowsLock{ring: v.ring})
	if err != nil {
		return fmt.Errorf("open the value store: %w", err)
	}
	var have store.Rows
	err = values.Get(ctx, []store.Key{{Table: rows.Control, Key: rows.VaultKey}}, &have)
	if err == nil {
		if id, ok := have.Value(0); !ok {
			err = ErrNotInitialised
		} else if string(id) != string(v.id[:]) {
			err = ErrMismatch
		}
	}
	if err != nil {
		_ = values.Close()
		return err
	}
	v.values = values
	return nil
}

// recover brings to its end what an earlier run left, then loads the policy.
// It returns how many refs earlier runs took.
func (v *Vault) recover(ctx context.Context) (uint64, error) {
	if err := v.checkLog(ctx); err != nil {
		return 0, err
	}
	if err := v.rebuildLookup(ctx); err != nil {
		return 0, fmt.Errorf("rebuild the look-up of persons: %w", err)
	}
	if err := v.loadDue(ctx); err != nil {
		return 0, fmt.Errorf("read when the files are to be compacted: %w", err)
	}
	if err := v.finishErasures(ctx); err != nil {
		return 0, fmt.Errorf("finish erasures: %w", err)
	}
	if err := v.drainOutbox(ctx); err != nil {
		return 0, fmt.Errorf("drain the outbox into the audit log: %w", err)
	}
	if _, err := v.reload(ctx); err != nil {
		return 0, fmt.Errorf("load the policy: %w", err)
	}
	if err := v.recoverKeys(ctx); err != nil {
		return 0, err
	}
	given, err := v.openRefs(ctx)
	if err != nil {
		return 0, fmt.Errorf("read which refs were given out: %w", err)
	}
	return given, nil
}

// Close waits for background work, writes what is due, closes the value store
// and clears the keys. Calls that are running when Close begins may fail.
func (v *Vault) Close() error {
	v.closeOnce.Do(func() {
		v.stop()
		v.background.Wait()
		v.history.close()
		_ = v.outbox.flush(context.Background(), v.values) // the next start does it
		v.tryMark(context.Background())
		v.closeUses()
		v.closeErr = v.values.Close()
		v.subjects.clear()
		clear(v.spares.people)
		v.ring.Close()
	})
	return v.closeErr
}

// Healthy reports why the vault cannot serve, or nil: the audit log must be
// writable, and an engine that can tell must take commits.
func (v *Vault) Healthy() error {
	if err := v.log.Healthy(); err != nil {
		return &Error{Reason: AuditUnavailable, Detail: texts[AuditUnavailable], cause: err}
	}
	if why := v.sealed.Load(); why != nil {
		return refuse(KeysUnavailable, "", "the vault is sealed: "+*why)
	}
	for _, s := range []store.Store{v.keys, v.values} {
		if engine, ok := s.(interface{ Healthy() error }); ok {
			if err := engine.Healthy(); err != nil {
				return failure(err)
			}
		}
	}
	return nil
}

// PolicyVersion returns the version of the policy in force; 0 means none yet.
func (v *Vault) PolicyVersion() uint64 { return v.state.Load().policy.Version() }
