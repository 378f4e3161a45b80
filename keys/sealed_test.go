package keys_test

import (
	"errors"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

func TestSealAndUnseal(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	rows, ref := keys.ID{Kind: keys.KindRows}, keys.ID{Kind: keys.KindAuditRef}
	ring := create(t, st, kek, field7, domain1, rows, ref)
	sealed := ring.Snapshot().Field(7).Seal(nil, []byte("value"), nil)
	ring.Seal(keys.KindRows, keys.KindAuditRef)
	if got := ring.Snapshot().IDs(); !slices.Equal(got, []keys.ID{rows, ref}) {
		t.Errorf("sealed with %v", got)
	}
	if ring.Snapshot().Field(7) != nil || ring.Snapshot().Rows() == nil {
		t.Error("a field is left, or the rows are not")
	}
	refused := map[string]error{
		"Ensure":         ring.Ensure(t.Context(), domain1),
		"Reload":         ring.Reload(t.Context()),
		"Rewrap":         ring.Rewrap(t.Context(), kek, kek),
		"RotateRoot":     ring.RotateRoot(t.Context(), kek),
		"RemoveRecovery": ring.RemoveRecovery(t.Context()),
		"SetRecovery":    ring.SetRecovery(t.Context(), kek, recoveryKey(t, 5).public),
		"Promote":        ring.Promote(t.Context(), rows, 1),
		"SetState":       ring.SetState(t.Context(), rows, 1, keys.Disabled),
	}
	_, refused["Rotate"] = ring.Rotate(t.Context(), rows)
	_, refused["Disable"] = ring.Disable(t.Context(), rows, 1)
	_, refused["AddVersion"] = ring.AddVersion(t.Context(), rows)
	for name, err := range refused {
		if !errors.Is(err, keys.ErrSealed) {
			t.Errorf("%s: got %v, want ErrSealed", name, err)
		}
	}
	if info := ring.Root(); info.Version != 1 || info.KEK != "memory" {
		t.Errorf("Root of a sealed Ring: %+v", info)
	}
	// Sealing again never keeps more.
	ring.Seal(keys.KindRows, keys.KindField)
	if got := ring.Snapshot().IDs(); !slices.Equal(got, []keys.ID{rows}) {
		t.Errorf("sealed again with %v", got)
	}
	kek.Fail(keys.ErrDenied)
	if err := ring.Unseal(t.Context(), kek); !errors.Is(err, keys.ErrDenied) || ring.Snapshot().Field(7) != nil {
		t.Errorf("Unseal by a KEK that is denied: %v", err)
	}
	kek.Fail(nil)
	if err := ring.Unseal(t.Context(), keystest.NewKEK()); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("Unseal by another KEK: %v", err)
	}
	check(t, ring.Unseal(t.Context(), kek))
	if out, err := ring.Snapshot().Field(7).Open(nil, sealed, nil); err != nil || string(out) != "value" {
		t.Errorf("after Unseal: %v", err)
	}
	if _, err := ring.Rotate(t.Context(), field7); err != nil {
		t.Error(err)
	}
	ring.Close()
	ring.Seal()
	if err := ring.Unseal(t.Context(), kek); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("Unseal of a closed Ring: %v", err)
	}
}

// What was put back while the Ring was sealed does not come in by Unseal.
func TestUnsealNoticesOldRows(t *testing.T) {
	steps := map[string]func(r *keys.Ring, kek keys.KEK) error{
		"keyset":   func(r *keys.Ring, _ keys.KEK) error { _, err := r.Disable(t.Context(), field7, 1); return err },
		"wrapping": func(r *keys.Ring, kek keys.KEK) error { return r.Rewrap(t.Context(), kek, kek) },
		"root":     func(r *keys.Ring, kek keys.KEK) error { return r.RotateRoot(t.Context(), kek) },
		"new one":  func(r *keys.Ring, _ keys.KEK) error { return r.Ensure(t.Context(), domain1) },
		"recovery": func(r *keys.Ring, kek keys.KEK) error {
			return r.SetRecovery(t.Context(), kek, recoveryKey(t, 5).public)
		},
	}
	for name, step := range steps {
		t.Run(name, func(t *testing.T) {
			st, kek := &swapped{Storage: keystest.NewStorage()}, keystest.NewKEK()
			ring := create(t, st, kek, field7)
			old := keystest.NewStorage(must(st.Load(t.Context()))(t)...)
			check(t, step(ring, kek))
			now := st.Storage
			for _, seal := range []bool{false, true} {
				if seal {
					ring.Seal()
				}
				st.Storage = old
				if err := ring.Unseal(t.Context(), kek); !errors.Is(err, keys.ErrWrongKey) {
					t.Errorf("sealed %v: got %v, want ErrWrongKey", seal, err)
				}
				if err := ring.Reload(t.Context()); !errors.Is(err, keys.ErrWrongKey) && !seal {
					t.Errorf("Reload: got %v, want ErrWrongKey", err)
				}
				st.Storage = now
				check(t, ring.Unseal(t.Context(), kek))
			}
		})
	}
}

// swapped is a Storage that can be put in the place of another.
type swapped struct{ keys.Storage }

// Seal waits for no provider, and what is under way then does not open the
// Ring again.
func TestSealWaitsForNothing(t *testing.T) {
	defer goleak.VerifyNone(t)
	calls := map[string]struct {
		do   func(r *keys.Ring, kek keys.KEK) error
		want error // once the provider answers
	}{
		"Unseal":     {func(r *keys.Ring, kek keys.KEK) error { return r.Unseal(t.Context(), kek) }, keys.ErrSealed},
		"Rewrap":     {func(r *keys.Ring, kek keys.KEK) error { return r.Rewrap(t.Context(), kek, kek) }, nil},
		"RotateRoot": {func(r *keys.Ring, kek keys.KEK) error { return r.RotateRoot(t.Context(), kek) }, nil},
		"Probe":      {func(r *keys.Ring, kek keys.KEK) error { return r.Probe(t.Context(), kek) }, nil},
	}
	for name, call := range calls {
		t.Run(name, func(t *testing.T) {
			st, kek := keystest.NewStorage(), keystest.NewKEK()
			ring := create(t, st, kek, field7, domain1)
			arrived, restore := kek.Slow()
			done := make(chan error, 1)
			go func() { done <- call.do(ring, kek) }()
			<-arrived
			ring.Seal(keys.KindDomain)
			if ring.Snapshot().Field(7) != nil {
				t.Error("Seal waited, or did nothing")
			}
			restore()
			if err := <-done; !errors.Is(err, call.want) {
				t.Errorf("got %v, want %v", err, call.want)
			}
			if got := ring.Snapshot().IDs(); !slices.Equal(got, []keys.ID{domain1}) {
				t.Errorf("what was under way opened the Ring again: %v", got)
			}
			check(t, ring.Unseal(t.Context(), kek))
			if ring.Snapshot().Field(7) == nil {
				t.Error("not unsealed")
			}
		})
	}
}
