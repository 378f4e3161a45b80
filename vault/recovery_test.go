package vault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// recoverySet is a recovery key, put together from 3 of 5 shares.
type recoverySet struct {
	public keys.RecoveryPublic
	secret keys.RecoverySecret
}

func newRecoverySet(t *testing.T, h *vaulttest.Harness) recoverySet {
	t.Helper()
	id, _, err := vault.RecoveryOf(t.Context(), h.Keys)
	if err != nil && !errors.Is(err, keys.ErrNoKey) {
		t.Fatal(err)
	}
	public, shares, err := recovery.Split(id, 5, 3)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := recovery.Combine(id, public, shares[1:4])
	if err != nil {
		t.Fatal(err)
	}
	return recoverySet{public, secret}
}

func (r recoverySet) name() string { return fmt.Sprintf("3 of 5 set %x", r.public.Set) }

func setRecovery(t *testing.T, h *vaulttest.Harness, r recoverySet) {
	t.Helper()
	if err := h.Vault.SetRecovery(t.Context(), "local:1", r.public, r.secret); err != nil {
		t.Fatal(err)
	}
}

// inForce tells whether a set is the one in the key store.
func (r recoverySet) inForce(t *testing.T, h *vaulttest.Harness) bool {
	t.Helper()
	_, info, err := vault.RecoveryOf(t.Context(), h.Keys)
	if err != nil && !errors.Is(err, keys.ErrNoKey) {
		t.Fatal(err)
	}
	return info != nil && info.Set == r.public.Set
}

// openRecovered is the recovery of a stopped vault, whose KEK is not asked.
func openRecovered(ctx context.Context, h *vaulttest.Harness, r recoverySet, to keys.KEK) (*vault.Vault, error) {
	wrap := func(f func(store.Store) store.Store, s store.Store) store.Store {
		if f == nil {
			return s
		}
		return f(s)
	}
	return vault.OpenRecovered(ctx, vault.Options{
		Keys: wrap(h.WrapKeys, h.Keys), KEK: to, Epochs: h.Epochs, Log: h.Log,
		Values: func(vault.Sealer) (store.Store, error) { return wrap(h.Wrap, h.Values), nil },
	}, r.secret, "local:2")
}

// recoveries are the objects of the entries of recoveries, in order.
func recoveries(t *testing.T, h *vaulttest.Harness) (all []string) {
	t.Helper()
	for _, e := range h.Log.Entries() {
		if e.Action == audit.ActionRecovery {
			all = append(all, e.Object)
			if e.Outcome != audit.Allowed || !strings.HasPrefix(e.Principal, "local:") {
				t.Errorf("%q is %s, by %q", e.Object, e.Outcome, e.Principal)
			}
		}
	}
	return all
}

// The whole life of a recovery key: set, used after the root was rotated and
// the KEK lost, replaced, removed.
func TestRecoveryKey(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "full_name", "Ada"), "full_name")
	opens := func(when string) {
		t.Helper()
		if got, refusal := reveal(t, h, "billing", token, "payment", 0); got != "Ada" {
			t.Errorf("%s: a value does not open: %v", when, refusal)
		}
	}
	one, two := newRecoverySet(t, h), newRecoverySet(t, h)
	if _, err := h.Vault.RemoveRecovery(t.Context(), "local:1"); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("removing none: %v", err)
	}
	setRecovery(t, h, one)
	opens("with a recovery key")
	if _, err := h.Vault.RotateKey(t.Context(), as("keeper"), vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyRoot}, Reason: "T-1"}); err != nil {
		t.Fatal(err)
	}
	rotate(t, h, cardKey)
	h.Close()

	// The KEK is lost: it is asked for nothing.
	lost := h.KEK
	h.KEK = keystest.NewKEK()
	if err := h.TryOpen(); !errors.Is(err, keys.ErrWrongKey) {
		t.Fatalf("opened by another KEK: %v", err)
	}
	if v, err := openRecovered(t.Context(), h, two, h.KEK); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("recovered by another set: %v, %v", v, err)
	}
	var err error
	if h.Vault, err = openRecovered(t.Context(), h, one, h.KEK); err != nil {
		t.Fatal(err)
	}
	opens("recovered")
	put(t, h, "c-2", "full_name", "Grace")
	h.Reopen()
	opens("after a restart by the new KEK")

	setRecovery(t, h, two)
	h.Close()
	if _, err := openRecovered(t.Context(), h, one, lost); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("recovered by the set before: %v", err)
	}
	h.Reopen()
	if info, err := h.Vault.RemoveRecovery(t.Context(), "local:1"); err != nil || info.Set != two.public.Set {
		t.Fatal(info, err)
	}
	h.Close()
	if _, err := openRecovered(t.Context(), h, two, lost); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("recovered by a set that was removed: %v", err)
	}
	h.Reopen()
	opens("at the end")
	want := []string{"create " + one.name(), "use " + one.name(), "create " + two.name(), "remove " + two.name()}
	if got := recoveries(t, h); strings.Join(got, "; ") != strings.Join(want, "; ") {
		t.Errorf("the log says %q, want %q", got, want)
	}
}

// What cannot be put together again is never put in force.
func TestRecoveryIsProved(t *testing.T) {
	h := open(t)
	one, two := newRecoverySet(t, h), newRecoverySet(t, h)
	setRecovery(t, h, one)
	before := dumpOf(t, h.Keys, rows.KeyTables())[rows.Keyring]
	crossed := keys.RecoverySecret{Set: two.public.Set, Scalar: one.secret.Scalar}
	for name, c := range map[string]struct {
		proofs []keys.RecoverySecret
		want   error
	}{
		"no proof":                 {nil, keys.ErrUsage},
		"the proof of another set": {[]keys.RecoverySecret{one.secret}, keys.ErrWrongKey},
		"another scalar":           {[]keys.RecoverySecret{crossed}, keys.ErrWrongKey},
		"the last of three":        {[]keys.RecoverySecret{two.secret, two.secret, crossed}, keys.ErrWrongKey},
	} {
		if err := h.Vault.SetRecovery(t.Context(), "local:1", two.public, c.proofs...); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	spoilt := two
	spoilt.public.Commitments = nil
	if err := h.Vault.SetRecovery(t.Context(), "local:1", spoilt.public, two.secret); !errors.Is(err, keys.ErrUsage) {
		t.Errorf("a public half that breaks a rule: %v", err)
	}
	after := dumpOf(t, h.Keys, rows.KeyTables())[rows.Keyring]
	if len(before) != len(after) {
		t.Fatalf("%d rows, were %d", len(after), len(before))
	}
	for i := range before {
		if string(before[i].Value) != string(after[i].Value) {
			t.Errorf("row %q was changed", before[i].Key)
		}
	}
	if got := recoveries(t, h); len(got) != 1 {
		t.Errorf("the log says %q", got)
	}
	setRecovery(t, h, two) // nothing was left behind that is in the way
}

// A change of the recovery that is cut off at any commit, before or after it,
// is done and logged once after the next start, or as if never begun.
func TestCutOffRecovery(t *testing.T) {
	var one, two recoverySet
	var fresh keys.KEK
	for _, c := range []struct {
		name   string
		object func() string
		do     func(*vaulttest.Harness) error
		done   func(*testing.T, *vaulttest.Harness) bool
	}{
		{"create", func() string { return "create " + two.name() }, func(h *vaulttest.Harness) error {
			return h.Vault.SetRecovery(context.Background(), "local:1", two.public, two.secret)
		}, func(t *testing.T, h *vaulttest.Harness) bool { return two.inForce(t, h) }},
		{"remove", func() string { return "remove " + one.name() }, func(h *vaulttest.Harness) error {
			_, err := h.Vault.RemoveRecovery(context.Background(), "local:1")
			return err
		}, func(t *testing.T, h *vaulttest.Harness) bool { return !one.inForce(t, h) }},
		{"use", func() string { return "use " + one.name() }, func(h *vaulttest.Harness) error {
			if err := h.Vault.Close(); err != nil {
				return err
			}
			h.Vault = nil
			v, err := openRecovered(context.Background(), h, one, fresh)
			if err == nil {
				h.Vault = v
			}
			return err
		}, func(t *testing.T, h *vaulttest.Harness) bool {
			id, _, err := vault.RecoveryOf(t.Context(), h.Keys)
			if err != nil {
				t.Fatal(err)
			}
			ring, err := keys.Open(t.Context(), keyringOf(t, h), fresh, id)
			if err != nil && !errors.Is(err, keys.ErrWrongKey) {
				t.Fatal(err)
			}
			if err == nil {
				h.KEK = fresh
				ring.Close()
			}
			return err == nil
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			done, undone := 0, 0
			for at, finished := 0, false; !finished; at++ {
				for _, applied := range []bool{false, true} {
					h := open(t)
					token := tokenOf(t, put(t, h, "c-1", "full_name", "Ada"), "full_name")
					one, two, fresh = newRecoverySet(t, h), newRecoverySet(t, h), keystest.NewKEK()
					setRecovery(t, h, one)
					power := &cut{}
					h.Wrap, h.WrapKeys = power.wrap, power.wrap
					h.Reopen()
					idle(t, h)
					if c.name == "use" { // what Close writes is not part of it
						if err := h.Vault.Close(); err != nil {
							t.Fatal(err)
						}
					}
					power.arm(at, applied)
					err := c.do(h)
					power.mu.Lock()
					finished = !power.over
					power.over, power.at = !finished, 1<<30
					power.mu.Unlock()
					if h.Vault != nil {
						_ = h.Vault.Close()
						h.Vault = nil
					}
					h.Wrap, h.WrapKeys = nil, nil
					changed := c.done(t, h)
					if err := h.TryOpen(); err != nil {
						t.Fatalf("cut at %d, applied %t: the vault does not open: %v", at, applied, err)
					}
					logged := 0
					for _, object := range recoveries(t, h) {
						if object == c.object() {
							logged++
						}
					}
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
					if err := c.do(h); err != nil && !changed {
						t.Errorf("cut at %d, applied %t: it cannot be done afterwards: %v", at, applied, err)
					}
					if h.Vault != nil {
						h.Close()
					}
				}
			}
			if done == 0 || undone == 0 {
				t.Errorf("%d times done, %d times not: the cuts reach not both", done, undone)
			}
		})
	}
}

// keyringOf is the keyring of a stopped vault, for a look.
func keyringOf(t *testing.T, h *vaulttest.Harness) keys.Storage {
	t.Helper()
	var all []keys.Row
	for _, row := range dumpOf(t, h.Keys, rows.KeyTables())[rows.Keyring] {
		all = append(all, keys.Row{Name: string(row.Key), Blob: row.Value})
	}
	return keystest.NewStorage(all...)
}

// lastCommit is a key store that takes one commit, or not, and with it the
// power goes, also for the value store: there the change is pending.
type lastCommit struct {
	store.Store
	values  *cut
	applied bool
	armed   atomic.Bool
}

// Commit implements store.Store.
func (l *lastCommit) Commit(ctx context.Context, b *store.Batch) error {
	if !l.armed.Load() {
		return l.Store.Commit(ctx, b)
	}
	l.values.mu.Lock()
	defer l.values.mu.Unlock()
	gone := l.values.over
	l.values.armed, l.values.over = true, true
	if !gone && l.applied {
		return errors.Join(l.Store.Commit(ctx, b), errCut)
	}
	return errCut
}

// A recovery that follows a change of a key which was cut off: what came about
// is logged, what did not is not, and the recovery is logged in any case.
func TestRecoveryAfterACut(t *testing.T) {
	for _, ref := range []vault.KeyRef{cardKey, {Kind: vault.KeyRoot}, {Kind: vault.KeyKEK}} {
		for _, applied := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %t", ref.Kind, applied), func(t *testing.T) {
				h := open(t)
				put(t, h, "c-1", "full_name", "Ada")
				one := newRecoverySet(t, h)
				setRecovery(t, h, one)
				idle(t, h)
				values := &cut{}
				keyring := &lastCommit{values: values, applied: applied}
				h.Wrap = values.wrap
				h.WrapKeys = func(s store.Store) store.Store {
					keyring.Store = s
					return keyring
				}
				h.Reopen()
				idle(t, h)
				keyring.armed.Store(true)
				if ref.Kind == vault.KeyKEK {
					_, _, _ = h.Vault.RewrapRoot(t.Context(), as("keeper"), "CUT-1")
				} else {
					_, _ = h.Vault.RotateKey(t.Context(), as("keeper"), vault.KeyChange{Key: ref, Reason: "CUT-1"})
				}
				_ = h.Vault.Close()
				h.Vault, h.Wrap, h.WrapKeys = nil, nil, nil
				h.KEK = keystest.NewKEK()
				v, err := openRecovered(t.Context(), h, one, h.KEK)
				if err != nil {
					t.Fatal(err)
				}
				h.Vault = v
				h.Reopen()
				changes := 0
				for _, e := range h.Log.Entries() {
					if e.Reason == "CUT-1" && e.Outcome == audit.Allowed {
						changes++
					}
				}
				if want := map[bool]int{true: 1}[applied]; changes != want {
					t.Errorf("%d entries of the change before, want %d", changes, want)
				}
				if got := recoveries(t, h); len(got) != 2 || got[1] != "use "+one.name() {
					t.Errorf("the log says %q", got)
				}
			})
		}
	}
}
