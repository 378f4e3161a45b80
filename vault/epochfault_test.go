package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

var errCrashed = errors.New("crashed")

// crasher counts the writes of an end of an epoch, to both stores and to the
// provider, and lets one of them fail.
type crasher struct {
	mu    sync.Mutex
	count int  // writes so far
	at    int  // the one that fails; 0: none
	after bool // it is done, and the answer lost
	dies  bool // and so does the process: nothing is written any more
	dead  bool
}

func (c *crasher) write(do func() error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead {
		return errCrashed
	}
	c.count++
	if c.count != c.at {
		return do()
	}
	c.dead = c.dies
	if c.after {
		if err := do(); err != nil {
			return err
		}
	}
	return errCrashed
}

// crashStore is a store whose writes count if they are of an end.
type crashStore struct {
	store.Store
	c     *crasher
	ofEnd func(*store.Batch) bool
}

func (s crashStore) Commit(ctx context.Context, b *store.Batch) error {
	if !s.ofEnd(b) {
		return s.Store.Commit(ctx, b)
	}
	return s.c.write(func() error { return s.Store.Commit(ctx, b) })
}

// Compact counts as a write too.
func (s crashStore) Compact(ctx context.Context) (before, after int64, err error) {
	err = s.c.write(func() error {
		if inner, ok := s.Store.(store.Compactor); ok {
			before, after, err = inner.Compact(ctx)
		}
		return err
	})
	return before, after, err
}

// crashProvider is a provider of epoch keys whose writes count.
type crashProvider struct {
	keys.EpochKEK
	c *crasher
}

func (p crashProvider) Create(ctx context.Context, epoch uint32) error {
	return p.c.write(func() error { return p.EpochKEK.Create(ctx, epoch) })
}

func (p crashProvider) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) (blob []byte, err error) {
	err = p.c.write(func() error { blob, err = p.EpochKEK.Wrap(ctx, epoch, plaintext, aad); return err })
	return blob, err
}

func (p crashProvider) Destroy(ctx context.Context, epoch uint32) error {
	return p.c.write(func() error { return p.EpochKEK.Destroy(ctx, epoch) })
}

func ofEpochEnd(b *store.Batch) bool {
	for _, w := range b.Writes {
		if w.Table == rows.Control && bytes.Equal(w.Key, rows.EpochEndKey) {
			return true
		}
	}
	return false
}

// fault puts a crasher under the vault; the provider is one in memory.
func fault(h *vaulttest.Harness, provider keys.EpochKEK, c *crasher) {
	h.Epochs = provider
	h.Wrap, h.WrapKeys = nil, nil
	if c == nil {
		return
	}
	h.Epochs = crashProvider{provider, c}
	h.Wrap = func(s store.Store) store.Store { return crashStore{s, c, ofEpochEnd} }
	h.WrapKeys = func(s store.Store) store.Store { return crashStore{s, c, func(*store.Batch) bool { return true }} }
}

// Whatever write of an end fails, before or after it was done, with the process
// or without: all values open all the time, and the end comes about in full, or
// was as if never begun.
func TestEpochEndCrashes(t *testing.T) {
	steps := 0
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			through := false
			t.Run(fmt.Sprintf("write %d after %t", at, after), func(t *testing.T) {
				through = crashEnd(t, &crasher{at: at, after: after, dies: true})
			})
			t.Run(fmt.Sprintf("write %d after %t fails once", at, after), func(t *testing.T) {
				crashEnd(t, &crasher{at: at, after: after})
			})
			if through || t.Failed() {
				steps = max(steps, at)
				break
			}
		}
	}
	if steps < 9 {
		t.Errorf("an end has %d writes: the test does not see all of them", steps)
	}
}

// crashEnd lets one end of an epoch fail and reports whether nothing failed.
func crashEnd(t *testing.T, c *crasher) (through bool) {
	h := open(t)
	provider := h.Epochs
	tokens, want := people(t, h, 4)
	h.SparePersons = 2
	fault(h, provider, c)
	h.Reopen()
	c.mu.Lock()
	c.count = 0
	c.mu.Unlock()
	_, err := h.Vault.AskEpochEnd(t.Context(), as("keeper"))
	begun := err == nil || c.after
	if err == nil {
		err = h.Vault.EndEpoch(t.Context())
	}
	c.mu.Lock()
	through = c.count < c.at
	c.mu.Unlock()
	if through && err != nil {
		t.Errorf("the end answers %v", err)
	}
	wantShown(t, h, tokens, want...)
	if c.dies {
		fault(h, provider, nil)
		h.Reopen()
		wantShown(t, h, tokens, want...)
	}
	if err := h.Vault.EndEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantShown(t, h, tokens, want...)
	c.mu.Lock()
	c.at = 0
	c.mu.Unlock()
	tokens = append(tokens, tokenOf(t, put(t, h, "c-late", "note", "late"), "note"))
	want = append(want, "late")
	fault(h, provider, nil)
	h.Reopen() // also for entries whose commit seemed to have failed
	wantShown(t, h, tokens, want...)
	wantWholeEnd(t, h, begun)
	return through
}

// wantWholeEnd checks that epoch 1 ended in full, or that its end never began.
func wantWholeEnd(t *testing.T, h *vaulttest.Harness, begun bool) {
	t.Helper()
	list, log, left := h.Vault.EpochList(), epochEntries(h), epochsOf(t, h)
	slices.Sort(log)
	for _, r := range scanAll(t, h.Values, rows.Control) {
		if bytes.Equal(r.Key, rows.EpochEndKey) {
			t.Error("the row that says who asked is left")
		}
	}
	for _, r := range scanAll(t, h.Keys, rows.KeyControl) {
		if bytes.Equal(r.Key, rows.PreviousEpochKey) {
			t.Error("the row of the previous epoch is left")
		}
	}
	_, err := h.Epochs.Unwrap(t.Context(), 1, []byte("anything"), nil)
	if !begun {
		if len(list) != 1 || list[0].Version != 1 || len(log) != 0 || len(left) != 1 || left[1] == 0 || errors.Is(err, keys.ErrDestroyed) {
			t.Errorf("not begun, and there is %+v, %q, %v, %v", list, log, left, err)
		}
		return
	}
	last := list[len(list)-1]
	if len(list) != 2 || last.Version < 2 || len(left) != 1 || left[last.Version] == 0 || !errors.Is(err, keys.ErrDestroyed) {
		t.Errorf("after the end there is %+v, %v, %v", list, left, err)
	}
	if len(log) != 2 || log[1] != "epoch 1 ended by "+as("keeper").Principal {
		t.Errorf("the log says %q", log)
	}
}

// A person's key that does not open keeps the epoch from ending: its end would
// make the loss final. Erasing the person lets it go on.
func TestEpochWaitsForDamagedKeys(t *testing.T) {
	h := open(t)
	tokens, want := people(t, h, 3)
	damaged := scanAll(t, h.Keys, rows.Subjects)[1]
	blob := bytes.Clone(damaged.Value)
	blob[len(blob)-1] ^= 1
	var b store.Batch
	b.Put(rows.Subjects, damaged.Key, blob)
	if err := h.Keys.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Vault.AskEpochEnd(t.Context(), as("keeper")); err != nil {
		t.Fatal(err)
	}
	if err := h.Vault.EndEpoch(t.Context()); !errors.Is(err, store.ErrCorrupt) {
		t.Fatalf("the epoch ended over a damaged key: %v", err)
	}
	for _, w := range h.Vault.KeyWork() {
		if w.Kind == vault.WorkEpoch && (w.State != vault.WorkWaiting || w.Problem == "" || w.Left != 1) {
			t.Errorf("work %+v", w)
		}
	}
	wantShown(t, h, []string{tokens[0], tokens[2]}, want[0], want[2])
	remove(t, h, "customers", "c-1")
	if err := h.Vault.EndEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantShown(t, h, []string{tokens[0], tokens[2]}, want[0], want[2])
}

// A provider that is away delays the end, and says so.
func TestEpochWaitsForItsProvider(t *testing.T) {
	h := open(t)
	provider := keystest.NewEpochKEK()
	h.Epochs = swapped{provider, h.Epochs}
	h.Reopen()
	tokens, want := people(t, h, 2)
	provider.Fail(keys.ErrAway)
	if _, err := h.Vault.AskEpochEnd(t.Context(), as("keeper")); err != nil {
		t.Fatal(err)
	}
	if err := h.Vault.EndEpoch(t.Context()); !errors.Is(err, keys.ErrAway) {
		t.Fatal(err)
	}
	wantShown(t, h, tokens, want...)
	provider.Fail(nil)
	if err := h.Vault.EndEpoch(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantShown(t, h, tokens, want...)
}

// swapped has the first epoch at one provider and all others at another.
type swapped struct {
	keys.EpochKEK
	first keys.EpochKEK
}

func (s swapped) of(epoch uint32) keys.EpochKEK {
	if epoch == 1 {
		return s.first
	}
	return s.EpochKEK
}

func (s swapped) Unwrap(ctx context.Context, epoch uint32, blob, aad []byte) ([]byte, error) {
	return s.of(epoch).Unwrap(ctx, epoch, blob, aad)
}

func (s swapped) Destroy(ctx context.Context, epoch uint32) error {
	return s.of(epoch).Destroy(ctx, epoch)
}
