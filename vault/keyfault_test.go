package vault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// cut ends a run at one of its commits: that one is applied or not, its answer
// is lost, and no later one is applied, as when the power goes.
type cut struct {
	mu      sync.Mutex
	armed   bool
	at      int  // commits that still go through
	applied bool // the one that is cut off is applied
	over    bool // the power is gone
}

var errCut = fmt.Errorf("%w: the power is gone", store.ErrBroken)

func (c *cut) arm(at int, applied bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.armed, c.at, c.applied = true, at, applied
}

func (c *cut) wrap(s store.Store) store.Store { return &cutStore{s, c} }

type cutStore struct {
	store.Store
	c *cut
}

func (s *cutStore) Commit(ctx context.Context, b *store.Batch) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	switch {
	case !s.c.armed:
		return s.Store.Commit(ctx, b)
	case s.c.over:
		return errCut
	case s.c.at > 0:
		s.c.at--
		return s.Store.Commit(ctx, b)
	}
	s.c.over = true
	if s.c.applied {
		if err := s.Store.Commit(ctx, b); err != nil {
			return err
		}
	}
	return errCut
}

// A change of a key that is cut off at any commit, before or after it, is done
// and logged once after the next start, or as if never begun.
func TestCutOffKeyChanges(t *testing.T) {
	rowsKey, lookup := vault.KeyRef{Kind: vault.KeyRows}, vault.KeyRef{Kind: vault.KeyLookup}
	rotation := func(ref vault.KeyRef) func(*vaulttest.Harness) error {
		return func(h *vaulttest.Harness) error {
			_, err := h.Vault.RotateKey(context.Background(), as("keeper"), vault.KeyChange{Key: ref, Reason: "CUT-1"})
			return err
		}
	}
	change := func(version uint32) vault.KeyChange {
		return vault.KeyChange{Key: cardKey, Version: version, Reason: "CUT-1"}
	}
	prepared := func(t *testing.T, h *vaulttest.Harness) { // version 1 disabled, with a value
		if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), ""); err != nil {
			t.Fatal(err)
		}
		disable(t, h, cardKey, 1)
	}
	var request uint64
	for _, c := range []struct {
		name    string
		ref     vault.KeyRef
		action  audit.Action
		prepare func(*testing.T, *vaulttest.Harness)
		do      func(*vaulttest.Harness) error
	}{
		{"rotate a field", cardKey, audit.ActionKeyRotate, nil, rotation(cardKey)},
		{"rotate the rows", rowsKey, audit.ActionKeyRotate, nil, rotation(rowsKey)},
		{"rotate the look-up", lookup, audit.ActionKeyRotate, nil, rotation(lookup)},
		{"rotate the audit-ref key", vault.KeyRef{Kind: vault.KeyAuditRef}, audit.ActionKeyRotate, nil, rotation(vault.KeyRef{Kind: vault.KeyAuditRef})},
		{"rotate the root", vault.KeyRef{Kind: vault.KeyRoot}, audit.ActionKeyRotate, nil, rotation(vault.KeyRef{Kind: vault.KeyRoot})},
		{"wrap the root", vault.KeyRef{Kind: vault.KeyKEK}, audit.ActionKeyRewrap, nil, func(h *vaulttest.Harness) error {
			_, _, err := h.Vault.RewrapRoot(context.Background(), as("keeper"), "CUT-1")
			return err
		}},
		{"disable", cardKey, audit.ActionKeyDisable, nil, func(h *vaulttest.Harness) error {
			_, err := h.Vault.DisableKey(context.Background(), as("keeper"), change(1))
			return err
		}},
		{"enable", cardKey, audit.ActionKeyEnable, prepared, func(h *vaulttest.Harness) error {
			return h.Vault.EnableKey(context.Background(), as("keeper"), change(1))
		}},
		{"promote", cardKey, audit.ActionKeyPromote, func(t *testing.T, h *vaulttest.Harness) { rotate(t, h, cardKey) }, func(h *vaulttest.Harness) error {
			return h.Vault.PromoteKey(context.Background(), as("keeper"), change(1))
		}},
		{"destroy by approval", cardKey, audit.ActionKeyDestroy, func(t *testing.T, h *vaulttest.Harness) {
			prepared(t, h)
			r, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "T-1", Force: true})
			if err != nil {
				t.Fatal(err)
			}
			request = r.ID
			if _, err := h.Vault.ApproveKeyRequest(t.Context(), as("first"), request, "T-1"); err != nil {
				t.Fatal(err)
			}
		}, func(h *vaulttest.Harness) error {
			_, err := h.Vault.ApproveKeyRequest(context.Background(), as("second"), request, "CUT-1")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			done, undone := 0, 0
			for at := 0; ; at++ {
				finished := false
				for _, applied := range []bool{false, true} {
					h := open(t)
					token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111", "full_name", "Ada"), "full_name")
					if c.prepare != nil {
						c.prepare(t, h)
					}
					before := keyOf(t, h, c.ref)
					power := &cut{}
					h.Wrap, h.WrapKeys = power.wrap, power.wrap
					h.Reopen()
					idle(t, h)
					power.arm(at, applied)
					err := c.do(h)
					power.mu.Lock()
					finished = !power.over
					power.mu.Unlock()
					power.arm(1<<30, false) // nothing is lost at the close, which a crash has not
					power.mu.Lock()
					power.over = !finished
					power.mu.Unlock()
					_ = h.Vault.Close()
					h.Vault = nil
					h.Wrap, h.WrapKeys = nil, nil
					if err := h.TryOpen(); err != nil {
						t.Fatalf("cut at %d, applied %t: the vault does not open: %v", at, applied, err)
					}
					after := keyOf(t, h, c.ref)
					logged := 0
					for _, e := range h.Log.Entries() {
						if e.Action == c.action && e.Reason == "CUT-1" && e.Outcome == audit.Allowed {
							logged++
						}
					}
					changed := after.Generation != before.Generation
					switch {
					case changed && logged != 1, !changed && logged != 0:
						t.Errorf("cut at %d, applied %t: changed %t, and %d entries in the log", at, applied, changed, logged)
					case err == nil && !changed:
						t.Errorf("cut at %d, applied %t: answered, and not done", at, applied)
					case changed:
						done++
					default:
						undone++
					}
					if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != "Ada" {
						t.Errorf("cut at %d, applied %t: a value does not open: %v", at, applied, refusal)
					}
					put(t, h, "c-2", "card", "5500005555555559")
					if err := c.do(h); err != nil && !changed {
						t.Errorf("cut at %d, applied %t: it cannot be done afterwards: %v", at, applied, err)
					}
					h.Close()
				}
				if finished {
					break
				}
			}
			if done == 0 || undone == 0 {
				t.Errorf("%d times done, %d times not: the cuts reach not both", done, undone)
			}
		})
	}
}

// A keyset that is put back to an older state, in which a version is enabled
// that was disabled since, does not pass.
func TestKeysetPutBack(t *testing.T) {
	h := vaulttest.OnDisk(t)
	h.Apply(testPolicy)
	put(t, h, "c-1", "card", "4111111111111111")
	keyring := dumpOf(t, h.Keys, rows.KeyTables())
	disable(t, h, cardKey, 1)
	idle(t, h)
	var b store.Batch
	for _, row := range keyring[rows.Keyring] {
		b.Put(rows.Keyring, row.Key, row.Value)
	}
	if err := h.Keys.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	h.Close()
	if err := h.TryOpen(); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "put back") {
		t.Errorf("opened: %v", err)
	}
}

// The vault gives its keys up when the KEK is denied, goes on while it is away
// and then gives them up too, says so in the log, and takes them back without a
// restart.
func TestSealAndUnseal(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		away bool
	}{
		{"denied", keys.ErrDenied, false},
		{"disabled", keys.ErrDisabled, false},
		{"destroyed", keys.ErrDestroyed, false},
		{"away", keys.ErrAway, true},
	} {
		for _, provider := range []string{"the KEK", "the epoch provider"} {
			t.Run(provider+" "+c.name, func(t *testing.T) {
				h := vaulttest.New(t)
				moody := &moodyKEK{KEK: h.KEK}
				epochs := &moodyEpochs{EpochKEK: h.Epochs}
				h.KEK, h.Epochs = moody, epochs
				h.ProbeEvery, h.AwayLimit = time.Millisecond, time.Hour
				h.Reopen()
				h.Apply(testPolicy)
				token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
				set := func(err error) {
					if provider == "the KEK" {
						moody.say(err)
					} else {
						epochs.say(err)
					}
				}
				set(c.err)
				if c.away {
					awaitEntry(t, h, audit.ActionKeyAway)
					if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != 0 {
						t.Fatalf("while it is away for a short time: %v", refusal)
					}
					h.Clock.Add(2 * time.Hour)
				}
				awaitEntry(t, h, audit.ActionSeal)
				if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeysUnavailable {
					t.Errorf("a reveal of the sealed vault: %v", refusal)
				}
				if _, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{
					{SubjectID: "c-2", Fields: fields("card", "4111111111111111")}}}); !errors.Is(err, &vault.Error{Reason: vault.KeysUnavailable}) {
					t.Errorf("a write to the sealed vault: %v", err)
				}
				if err := h.Vault.Healthy(); err == nil {
					t.Error("the sealed vault says that it can serve")
				}
				list, err := h.Vault.Keys(t.Context(), as("keeper"), false)
				if err != nil || list.Sealed == "" {
					t.Errorf("the list of keys: %v, %v", list, err)
				}
				f := freeze(t, h, vault.FreezeField, "customers.note") // which must be possible, and changes the state
				if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeysUnavailable {
					t.Errorf("a reveal of the sealed vault after a freeze: %v", refusal)
				}
				set(nil)
				awaitEntry(t, h, audit.ActionUnseal)
				if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != "4111111111111111" {
					t.Errorf("after the unseal: %v", refusal)
				}
				thaw(t, h, f.ID)
				put(t, h, "c-3", "card", "5500005555555559")
			})
		}
	}
}

// awaitEntry waits for an entry of an action in the log.
func awaitEntry(t *testing.T, h *vaulttest.Harness, a audit.Action) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	for {
		at := h.Log.Size() // before the look, so that what comes meanwhile is not waited for
		for _, e := range h.Log.Entries() {
			if e.Action == a {
				return
			}
		}
		if h.Log.Wait(ctx, at) != nil {
			t.Fatalf("no entry of %s came", a)
		}
	}
}

// moodyKEK says what it is told to.
type moodyKEK struct {
	keys.KEK
	mood
}

type mood struct {
	mu  sync.Mutex
	err error
}

func (m *mood) say(err error) {
	m.mu.Lock()
	m.err = err
	m.mu.Unlock()
}

func (m *mood) is() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

func (k *moodyKEK) Unwrap(ctx context.Context, blob, aad []byte) ([]byte, error) {
	if err := k.is(); err != nil {
		return nil, err
	}
	return k.KEK.Unwrap(ctx, blob, aad)
}

type moodyEpochs struct {
	keys.EpochKEK
	mood
}

func (k *moodyEpochs) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	if err := k.is(); err != nil {
		return nil, err
	}
	return k.EpochKEK.Unwrap(ctx, epoch, blob, aad)
}
