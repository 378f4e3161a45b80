package keys_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/tink-crypto/tink-go/v2/insecurecleartextkeyset"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/keys/recovery"
)

// spy is a KEK that tells a canary every secret that it is given.
type spy struct {
	*keystest.KEK
	canary *keystest.Canary
}

func newSpy(c *keystest.Canary) spy { return spy{keystest.NewKEK(), c} }

// Wrap implements keys.KEK.
func (s spy) Wrap(ctx context.Context, plaintext, aad []byte) ([]byte, error) {
	s.canary.Add(plaintext)
	return s.KEK.Wrap(ctx, plaintext, aad)
}

// epochSpy is the same for epochs.
type epochSpy struct {
	*keystest.EpochKEK
	canary *keystest.Canary
}

// Wrap implements keys.EpochKEK.
func (s epochSpy) Wrap(ctx context.Context, epoch uint32, plaintext, aad []byte) ([]byte, error) {
	s.canary.Add(plaintext)
	return s.EpochKEK.Wrap(ctx, epoch, plaintext, aad)
}

// learn tells a canary the keys of all versions of a keyset.
func learn(t *testing.T, c *keystest.Canary, ring *keys.Ring, ids ...keys.ID) {
	t.Helper()
	for _, id := range ids {
		for _, key := range insecurecleartextkeyset.KeysetMaterial(ring.Handle(t, id)).GetKey() {
			c.Add(key.GetKeyData().GetValue())
		}
	}
}

// No type of this package shows the keys that it holds, however it is printed.
func TestTypesShowNoKeys(t *testing.T) {
	c := keystest.NewCanary()
	signer := keys.ID{Kind: keys.KindAuditSigner}
	ids := []keys.ID{field7, domain1, signer}
	ring := create(t, keystest.NewStorage(), newSpy(c), ids...)
	if _, err := ring.Rotate(t.Context(), field7); err != nil {
		t.Fatal(err)
	}
	learn(t, c, ring, ids...)
	epoch, _, err := keys.CreateEpoch(t.Context(), epochSpy{keystest.NewEpochKEK(), c}, 1, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	person := keys.NewSubjectKey()
	c.Add(person.Expose()[:])
	s := ring.Snapshot()
	keystest.Check(t, c, "Secret", person)
	keystest.Check(t, c, "RecoverySecret", keys.RecoverySecret{Scalar: person})
	keystest.Check(t, c, "Ring", ring)
	keystest.Check(t, c, "Snapshot", s)
	keystest.Check(t, c, "AEAD", s.Field(7))
	keystest.Check(t, c, "PRF", s.PRF(domain1))
	keystest.Check(t, c, "Signer", s.Signer(signer))
	keystest.Check(t, c, "Signers", s.Signers(signer))
	keystest.Check(t, c, "Epoch", epoch)
	// The keysets themselves, as Tink prints them, are not for a log: the canary
	// would see them.
	found := c.Find(fmt.Append(nil, insecurecleartextkeyset.KeysetMaterial(ring.Handle(t, field7)).GetKey()[0].GetKeyData().GetValue()))
	if found == "" {
		t.Error("the canary does not know the keys")
	}
}

// ringOperation is one thing that is done to keys. It returns what there is to
// print afterwards.
type ringOperation struct {
	name  string
	fails bool // when all else is well
	do    func(ctx context.Context, r *ringUnderWatch) (any, error)
}

type ringUnderWatch struct {
	ring    *keys.Ring
	st      *keystest.Storage
	kek, to spy
	public  keys.RecoveryPublic
	secret  keys.RecoverySecret
}

var ringOperations = []ringOperation{
	{"rotate", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return first(r.ring.Rotate(ctx, field7)) }},
	{"rotate what is not there", true, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return first(r.ring.Rotate(ctx, keys.ID{Kind: keys.KindField, Number: 99}))
	}},
	{"promote", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return nil, r.ring.Promote(ctx, field7, 1) }},
	{"promote what is not there", true, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, r.ring.Promote(ctx, field7, 99)
	}},
	{"disable", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return first(r.ring.Disable(ctx, domain1, 1))
	}},
	{"enable", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, r.ring.SetState(ctx, domain1, 1, keys.Enabled)
	}},
	{"destroy what is enabled", true, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, r.ring.SetState(ctx, field7, 2, keys.Destroyed)
	}},
	{"disable what is not primary", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return first(r.ring.Disable(ctx, field7, 2))
	}},
	{"destroy", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, r.ring.SetState(ctx, field7, 2, keys.Destroyed)
	}},
	{"rotate root", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return nil, r.ring.RotateRoot(ctx, r.kek) }},
	{"rotate root by another KEK", true, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, r.ring.RotateRoot(ctx, r.to)
	}},
	{"set recovery", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, r.ring.SetRecovery(ctx, r.kek, r.public)
	}},
	{"recovery of", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return first(keys.RecoveryOf(ctx, r.st)) }},
	{"probe", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return nil, r.ring.Probe(ctx, r.kek) }},
	{"open", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return first(keys.Open(ctx, r.st, r.kek, vaultA))
	}},
	{"recover", false, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		return nil, keys.Recover(ctx, r.st, vaultA, r.secret, r.to)
	}},
	{"recover by another secret", true, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		wrong := keys.RecoverySecret{Set: r.secret.Set, Scalar: keys.NewSubjectKey()}
		return nil, keys.Recover(ctx, r.st, vaultA, wrong, r.to)
	}},
	{"rewrap", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return nil, r.ring.Rewrap(ctx, r.to, r.kek) }},
	{"remove recovery", false, func(ctx context.Context, r *ringUnderWatch) (any, error) { return nil, r.ring.RemoveRecovery(ctx) }},
	{"rotate when sealed", true, func(ctx context.Context, r *ringUnderWatch) (any, error) {
		r.ring.Seal(keys.KindRows)
		return first(r.ring.Rotate(ctx, field7)) // ErrSealed
	}},
}

// first makes one printable value of what an operation returned.
func first[T any](v T, err error) (any, error) { return v, err }

// What operations on keys return, whether they succeed or a part of them
// fails, shows no key; and nor does what they leave in the Storage.
func TestOperationsShowNoKeys(t *testing.T) {
	away := errors.New("the provider is away")
	for mode, breakIt := range map[string]func(r *ringUnderWatch){
		"all well":         func(*ringUnderWatch) {},
		"storage away":     func(r *ringUnderWatch) { r.st.Fail(away) },
		"KEK away":         func(r *ringUnderWatch) { r.kek.Fail(away) },
		"other KEK away":   func(r *ringUnderWatch) { r.to.Fail(away) },
		"rows are changed": func(r *ringUnderWatch) { tamper(t, r.st) },
	} {
		t.Run(mode, func(t *testing.T) {
			c := keystest.NewCanary()
			r := watched(t, c)
			breakIt(r)
			failed := 0
			for _, op := range ringOperations {
				out, err := op.do(t.Context(), r)
				if err != nil {
					failed++
				}
				if mode == "all well" && (err != nil) != op.fails {
					t.Errorf("%s: %v", op.name, err)
				}
				r.st.Fail(nil)
				if r.ring.Snapshot().Field(7) != nil {
					learn(t, c, r.ring, field7, domain1)
				}
				keystest.Check(t, c, op.name+": result", out)
				keystest.Check(t, c, op.name+": error", err)
				keystest.Check(t, c, op.name+": what it is now", []any{r.ring.Snapshot().Info(), r.ring.Root(), r.ring.Uses()})
				for _, row := range mustRows(t, r.st) {
					if found := c.Find(row.Blob); found != "" {
						t.Errorf("%s: row %s holds a key (%s)", op.name, row.Name, found)
					}
				}
				breakIt(r)
			}
			if failed == 0 {
				t.Error("no operation fails: the test looks at no error")
			}
		})
	}
}

// watched returns a Ring all of whose secrets a canary knows.
func watched(t *testing.T, c *keystest.Canary) *ringUnderWatch {
	t.Helper()
	r := &ringUnderWatch{st: keystest.NewStorage(), kek: newSpy(c), to: newSpy(c)}
	r.ring = create(t, r.st, r.kek, field7, domain1)
	if _, err := r.ring.Rotate(t.Context(), field7); err != nil {
		t.Fatal(err)
	}
	public, shares, err := recovery.Split(vaultA, 3, 2)
	if err != nil {
		t.Fatal(err)
	}
	if r.secret, err = recovery.Combine(vaultA, public, shares[:2]); err != nil {
		t.Fatal(err)
	}
	r.public = public
	c.Add(r.secret.Scalar.Expose()[:])
	learn(t, c, r.ring, field7, domain1)
	return r
}

func mustRows(t *testing.T, st *keystest.Storage) []keys.Row {
	t.Helper()
	rows, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// tamper flips a bit of the row of field7.
func tamper(t *testing.T, st *keystest.Storage) {
	t.Helper()
	var replace []keys.Replace
	for _, row := range mustRows(t, st) {
		if row.Name != field7.String() {
			continue
		}
		changed := slices.Clone(row.Blob)
		changed[len(changed)-1] ^= 1
		replace = append(replace, keys.Replace{Name: row.Name, Old: row.Blob, New: changed})
	}
	if err := st.Save(t.Context(), nil, replace); err != nil {
		t.Fatal(err)
	}
}
