package keys_test

import (
	"crypto/ecdh"
	"crypto/rand"
	"errors"
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

// recovering is both halves of a recovery key that nobody split.
type recovering struct {
	public keys.RecoveryPublic
	secret keys.RecoverySecret
}

func recoveryKey(t testing.TB, set byte) recovering {
	t.Helper()
	key, err := ecdh.P256().GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r := recovering{
		public: keys.RecoveryPublic{
			Set: [8]byte{set}, Shares: 5, Threshold: 3, Key: [keys.RecoveryKeySize]byte(key.PublicKey().Bytes()),
			Commitments: [][keys.CommitmentSize]byte{{2, set}, {3, set}},
		},
	}
	r.secret = keys.RecoverySecret{Set: r.public.Set, Scalar: keys.CopySecret((*[32]byte)(key.Bytes()))}
	return r
}

func samePublic(a, b keys.RecoveryPublic) bool {
	return a.Set == b.Set && a.Shares == b.Shares && a.Threshold == b.Threshold && a.Key == b.Key && slices.Equal(a.Commitments, b.Commitments)
}

func TestRecovery(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek, field7, domain1)
	sealed := ring.Snapshot().Field(7).Seal(nil, []byte("value"), nil)
	one, two := recoveryKey(t, 1), recoveryKey(t, 2)

	if _, err := keys.RecoveryOf(t.Context(), st); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("RecoveryOf with none: %v", err)
	}
	if err := ring.RemoveRecovery(t.Context()); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("RemoveRecovery with none: %v", err)
	}
	if err := ring.SetRecovery(t.Context(), keystest.NewKEK(), one.public); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("SetRecovery by another KEK: %v", err)
	}
	check(t, ring.SetRecovery(t.Context(), kek, one.public))
	info := must(keys.RecoveryOf(t.Context(), st))(t)
	if !samePublic(info.RecoveryPublic, one.public) || info.Made.IsZero() || !samePublic(ring.Root().Recovery.RecoveryPublic, one.public) {
		t.Error("the row says something else than was set")
	}
	if _, err := ring.Rotate(t.Context(), field7); err != nil { // changes go on beside the row
		t.Fatal(err)
	}

	// Recovered by another KEK, without the first.
	lost := keystest.NewKEK()
	recovered := func(secret keys.RecoverySecret, want error) {
		t.Helper()
		if err := keys.Recover(t.Context(), st, vaultA, secret, lost); !errors.Is(err, want) {
			t.Errorf("Recover: got %v, want %v", err, want)
		}
	}
	recovered(two.secret, keys.ErrWrongKey)
	recovered(keys.RecoverySecret{Set: one.secret.Set, Scalar: two.secret.Scalar}, keys.ErrWrongKey)
	recovered(keys.RecoverySecret{Set: two.secret.Set, Scalar: one.secret.Scalar}, keys.ErrWrongKey)
	recovered(keys.RecoverySecret{Set: one.secret.Set}, keys.ErrWrongKey)
	if err := keys.Recover(t.Context(), st, vaultB, one.secret, lost); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("Recover of another vault: %v", err)
	}
	if err := keys.Recover(t.Context(), st, vaultA, one.secret, liar{lost}); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("Recover to a KEK that does not give back: %v", err)
	}
	damaged := must(st.Load(t.Context()))(t)
	for i := range damaged {
		if damaged[i].Name == "domain/1" {
			damaged[i].Blob[len(damaged[i].Blob)-1] ^= 1
		}
	}
	if err := keys.Recover(t.Context(), keystest.NewStorage(damaged...), vaultA, one.secret, lost); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("Recover beside a damaged keyset: %v", err)
	}
	must(keys.Open(t.Context(), st, kek, vaultA))(t) // nothing was changed by all that
	recovered(one.secret, nil)
	again := must(keys.Open(t.Context(), st, lost, vaultA))(t)
	if out, err := again.Snapshot().Field(7).Open(nil, sealed, nil); err != nil || string(out) != "value" {
		t.Errorf("after Recover: %v", err)
	}
	if info := again.Root(); info.Version != 1 || info.Wrapping != 2 {
		t.Errorf("%+v", info)
	}

	// A new root is sealed to the same key; a new key ends the old one.
	check(t, again.RotateRoot(t.Context(), lost))
	lost = keystest.NewKEK()
	recovered(one.secret, nil)
	kek = lost
	again = must(keys.Open(t.Context(), st, kek, vaultA))(t)
	check(t, again.SetRecovery(t.Context(), kek, two.public))
	recovered(one.secret, keys.ErrWrongKey)
	recovered(two.secret, nil)
	check(t, again.RemoveRecovery(t.Context()))
	recovered(two.secret, keys.ErrNoKey)
	if _, err := keys.RecoveryOf(t.Context(), st); !errors.Is(err, keys.ErrNoKey) || again.Root().Recovery != nil {
		t.Errorf("after RemoveRecovery: %v", err)
	}
	check(t, again.SetRecovery(t.Context(), kek, one.public))
	recovered(one.secret, nil)
}

func TestSetRecoveryRefuses(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek)
	tests := map[string]func(p *keys.RecoveryPublic){
		"no shares":             func(p *keys.RecoveryPublic) { p.Shares, p.Threshold = 0, 0 },
		"threshold 0":           func(p *keys.RecoveryPublic) { p.Threshold = 0 },
		"threshold too high":    func(p *keys.RecoveryPublic) { p.Threshold = 6 },
		"a commitment too few":  func(p *keys.RecoveryPublic) { p.Commitments = p.Commitments[:1] },
		"the key is no point":   func(p *keys.RecoveryPublic) { p.Key[9] ^= 1 },
		"the key is compressed": func(p *keys.RecoveryPublic) { p.Key[0] = 2 },
	}
	for name, change := range tests {
		t.Run(name, func(t *testing.T) {
			p := recoveryKey(t, 1).public
			change(&p)
			if err := ring.SetRecovery(t.Context(), kek, p); !errors.Is(err, keys.ErrUsage) {
				t.Errorf("got %v, want ErrUsage", err)
			}
		})
	}
}

// Who writes the disk cannot have a root sealed to a key of their own: no byte
// of the row can be changed, and no row of another vault or root put there.
func TestRecoveryRowIsProved(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek, field7)
	check(t, ring.SetRecovery(t.Context(), kek, recoveryKey(t, 1).public))
	with := func(blob string) keys.Storage {
		var rows []keys.Row
		for name, b := range rowsOf(t, st) {
			if name == "recovery" {
				b = blob
			}
			rows = append(rows, keys.Row{Name: name, Blob: []byte(b)})
		}
		return keystest.NewStorage(rows...)
	}
	refuse := func(what, blob string) {
		t.Helper()
		_, err := keys.Open(t.Context(), with(blob), kek, vaultA)
		if !errors.Is(err, keys.ErrWrongKey) && !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
	good := rowsOf(t, st)["recovery"]
	flips(t, []byte(good), none, func(changed []byte) error {
		_, err := keys.Open(t.Context(), with(string(changed)), kek, vaultA)
		return err
	})
	for n := range good {
		refuse("cut", good[:n])
	}
	mallory := keystest.NewStorage()
	other := create(t, mallory, kek)
	check(t, other.SetRecovery(t.Context(), kek, recoveryKey(t, 1).public))
	refuse("of another root", rowsOf(t, mallory)["recovery"])
	check(t, other.RemoveRecovery(t.Context()))
	refuse("removed, of another root", rowsOf(t, mallory)["recovery"])
	check(t, ring.RotateRoot(t.Context(), kek))
	refuse("of the old root", good)
}
