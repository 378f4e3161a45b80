// Package vaulttest opens vaults for tests: on engines in memory, or on real
// files that can be closed and opened again. Only tests and packages for
// tests import it.
package vaulttest

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Admin is the first policy administrator of every vault made here.
const Admin = "spiffe://cloakroom.example/admin"

// Clock is a clock that tests set. It starts at the real time.
type Clock struct {
	mu  sync.Mutex
	now time.Time
}

// Now returns the time of the clock.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

// Add moves the clock.
func (c *Clock) Add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// Harness is a vault and the parts under it.
type Harness struct {
	Vault  *vault.Vault
	Keys   store.Store
	Values store.Store
	Log    *audit.MemoryLog
	Clock  *Clock
	Dir    string // of the files; empty on memory
	KEK    keys.KEK
	Epochs keys.EpochKEK

	// Logger receives what the vault logs.
	Logger *slog.Logger
	// Index, when set, opens the store of the log's index.
	Index func() store.Store
	// IndexLot goes into the options of the next Reopen.
	IndexLot int
	// SparePersons goes into the options of the next Reopen.
	SparePersons int
	// ProbeEvery and AwayLimit go into the options of the next Reopen.
	ProbeEvery, AwayLimit time.Duration
	// Ages and AgeWarning go into the options of the next Reopen.
	Ages       vault.KeyAges
	AgeWarning time.Duration
	// NextKEK goes into the options of the next Reopen.
	NextKEK func(context.Context) (keys.KEK, error)

	// EpochLength, BeforeEpochEnds and CompactAfter go into the options of the
	// next Reopen.
	EpochLength     time.Duration
	BeforeEpochEnds func(context.Context, uint32) error
	CompactAfter    time.Duration
	// Wrap, WrapKeys and WrapLog, when set, stand between the vault and its
	// value store, key store or log. They are asked when the vault is opened.
	Wrap     func(store.Store) store.Store
	WrapKeys func(store.Store) store.Store
	WrapLog  func(audit.Log) audit.Log

	t          testing.TB
	openKeys   func() store.Store
	openValues func(vault.Sealer) (store.Store, error)
}

// New makes a vault on engines in memory, which outlive the vault as files do.
func New(t testing.TB) *Harness {
	t.Helper()
	h := harness(t)
	keyStore := unclosed{memstore.New(rows.KeyTables())}
	values := unclosed{memstore.New(rows.ValueTables())}
	h.openKeys = func() store.Store { return keyStore }
	h.openValues = func(vault.Sealer) (store.Store, error) { return values, nil }
	h.create()
	return h
}

// OnDisk makes a vault on bbolt files in a temporary directory.
func OnDisk(t testing.TB) *Harness {
	t.Helper()
	h := harness(t)
	h.Dir = t.TempDir()
	h.openKeys, h.openValues = h.keysFile, h.valuesFile
	h.create()
	return h
}

func harness(t testing.TB) *Harness {
	t.Helper()
	secrets := t.TempDir()
	path := filepath.Join(secrets, "kek")
	if err := filekek.Generate(path); err != nil {
		t.Fatal(err)
	}
	kek, err := filekek.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	epochs, err := filekek.CreateEpochs(filepath.Join(secrets, "epochs"))
	if err != nil {
		t.Fatal(err)
	}
	return &Harness{
		t: t, KEK: kek, Epochs: epochs, Log: audit.Memory(),
		Clock: &Clock{now: time.Now()}, Logger: slog.New(slog.DiscardHandler),
	}
}

func (h *Harness) keysFile() store.Store {
	h.t.Helper()
	s, err := boltstore.Open(boltstore.Options{Path: filepath.Join(h.Dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		h.t.Fatal(err)
	}
	return s
}

func (h *Harness) valuesFile(s vault.Sealer) (store.Store, error) {
	return boltstore.Open(boltstore.Options{
		Path: filepath.Join(h.Dir, "values.db"), Tables: rows.ValueTables(), Seal: s, MergeRows: 200,
	})
}

// create makes the vault and opens it.
func (h *Harness) create() {
	h.t.Helper()
	h.Keys = h.openKeys()
	if err := vault.Create(h.t.Context(), h.options(), Admin); err != nil {
		h.t.Fatal(err)
	}
	h.open()
	h.t.Cleanup(h.close)
}

func (h *Harness) options() vault.Options {
	o := vault.Options{
		Keys: h.Keys, KEK: h.KEK, Epochs: h.Epochs, Log: h.Log, Now: h.Clock.Now, Logger: h.Logger, SparePersons: h.SparePersons,
		ProbeEvery: h.ProbeEvery, AwayLimit: h.AwayLimit, NextKEK: h.NextKEK, Ages: h.Ages, AgeWarning: h.AgeWarning,
		EpochLength: h.EpochLength, BeforeEpochEnds: h.BeforeEpochEnds, CompactAfter: h.CompactAfter,
		Values: func(s vault.Sealer) (store.Store, error) {
			inner, err := h.openValues(s)
			if err != nil {
				return nil, err
			}
			h.Values = inner
			if h.Wrap != nil {
				return h.Wrap(inner), nil
			}
			return inner, nil
		},
	}
	if h.Index != nil {
		o.Index, o.IndexLot = h.Index(), h.IndexLot
	}
	if h.WrapKeys != nil {
		o.Keys = h.WrapKeys(h.Keys)
	}
	if h.WrapLog != nil {
		o.Log = h.WrapLog(h.Log)
	}
	return o
}

func (h *Harness) open() {
	h.t.Helper()
	v, err := vault.Open(h.t.Context(), h.options())
	if err != nil {
		h.t.Fatal(err)
	}
	h.Vault = v
}

// TryOpen opens a vault that was closed, for tests of why it does not open.
func (h *Harness) TryOpen() error {
	h.t.Helper()
	h.Keys = h.openKeys()
	v, err := vault.Open(h.t.Context(), h.options())
	if err != nil {
		return errors.Join(err, h.Keys.Close())
	}
	h.Vault = v
	return nil
}

// Reopen closes the vault and its stores and opens them again.
func (h *Harness) Reopen() {
	h.t.Helper()
	h.Close()
	h.Keys = h.openKeys()
	h.open()
}

// Close closes the vault and its stores before the end of the test; Reopen
// opens them again.
func (h *Harness) Close() {
	h.t.Helper()
	h.close()
}

// close checks both stores and closes everything but the log.
func (h *Harness) close() {
	if h.Vault == nil {
		return
	}
	ctx := context.Background()
	for name, s := range map[string]store.Store{"keys": h.Keys, "values": h.Values} {
		if err := s.Check(ctx); err != nil {
			h.t.Errorf("the %s store is not consistent: %v", name, err)
		}
	}
	if err := h.Vault.Close(); err != nil {
		h.t.Errorf("close the vault: %v", err)
	}
	if err := h.Keys.Close(); err != nil {
		h.t.Errorf("close the key store: %v", err)
	}
	h.Vault = nil
}

// Apply puts a policy document in force.
func (h *Harness) Apply(document string) {
	h.t.Helper()
	_, _, err := h.Vault.ApplyPolicy(h.t.Context(), vault.Caller{Principal: Admin}, vault.ApplyRequest{Document: []byte(document)})
	if err != nil {
		h.t.Fatalf("apply the policy: %v", err)
	}
}

// unclosed keeps an engine in memory open, as a file outlives its handle.
type unclosed struct{ store.Store }

// Close does nothing.
func (unclosed) Close() error { return nil }
