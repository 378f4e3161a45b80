package vault_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// meanwhileStore lets something happen in the next reading of all persons.
type meanwhileStore struct {
	store.Store
	mu   sync.Mutex
	next func()
}

func (s *meanwhileStore) set(f func()) {
	s.mu.Lock()
	s.next = f
	s.mu.Unlock()
}

func (s *meanwhileStore) Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]store.Row, error) {
	if table == rows.People {
		s.mu.Lock()
		f := s.next
		s.next = nil
		s.mu.Unlock()
		if f != nil {
			f()
		}
	}
	return s.Store.Scan(ctx, table, from, to, limit)
}

// While everything is counted before a key goes out of use, freezes are
// possible, other counts are refused, and a keyset that changes is noticed.
func TestNobodyWaitsForACount(t *testing.T) {
	h := vaulttest.New(t)
	between := new(meanwhileStore)
	h.Wrap = func(s store.Store) store.Store { between.Store = s; return between }
	h.Reopen()
	h.Apply(testPolicy)
	put(t, h, "c-1", "card", "4111111111111111")
	rowsKey := vault.KeyRef{Kind: vault.KeyRows}
	rotate(t, h, rowsKey)
	disable(t, h, cardKey, 1)
	idle(t, h)
	change := vault.KeyChange{Key: rowsKey, Version: 1, Reason: "T-1"}
	for name, c := range map[string]struct {
		do   func(context.Context) error
		want error
	}{
		"a freeze": {do: func(ctx context.Context) error {
			_, err := h.Vault.Freeze(ctx, as("guard"), vault.FreezeRequest{Kind: vault.FreezeField, Target: "customers.note", Reason: "T-1"})
			return err
		}},
		"another count": {want: &vault.Error{Reason: vault.Busy}, do: func(ctx context.Context) error {
			_, err := h.Vault.Keys(ctx, as("keeper"), true)
			return err
		}},
		"another destruction": {want: &vault.Error{Reason: vault.Busy}, do: func(ctx context.Context) error {
			_, err := h.Vault.DestroyKey(ctx, as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "T-1"})
			return err
		}},
		"a rotation": {do: func(ctx context.Context) error {
			_, err := h.Vault.RotateKey(ctx, as("keeper"), vault.KeyChange{Key: rowsKey, Reason: "T-1"})
			return err
		}},
	} {
		between.set(func() {
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			done := make(chan error, 1)
			go func() { done <- c.do(ctx) }()
			select {
			case err := <-done:
				if !errors.Is(err, c.want) {
					t.Errorf("%s meanwhile: %v, want %v", name, err, c.want)
				}
			case <-ctx.Done():
				t.Errorf("%s waits for the count", name)
			}
		})
		_, err := h.Vault.DisableKey(t.Context(), as("keeper"), change)
		changed := name == "a rotation"
		if (err != nil) != changed {
			t.Errorf("disabled, with %s meanwhile: %v", name, err)
		}
		idle(t, h)
		if !changed {
			if err := h.Vault.EnableKey(t.Context(), as("keeper"), change); err != nil {
				t.Fatal(err)
			}
			idle(t, h)
		}
	}
}
