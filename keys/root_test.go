package keys_test

import (
	"context"
	"errors"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

type ctx = context.Context

// named is a KEK by another name.
type named struct {
	keys.KEK
	name string
}

func (n named) Name() string { return n.name }

// liar is a KEK that unwraps to something else.
type liar struct{ keys.KEK }

func (l liar) Unwrap(ctx ctx, blob, aad []byte) ([]byte, error) {
	out, err := l.KEK.Unwrap(ctx, blob, aad)
	if err == nil {
		out[0] ^= 1
	}
	return out, err
}

func rowsOf(t *testing.T, st keys.Storage) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, row := range must(st.Load(t.Context()))(t) {
		out[row.Name] = string(row.Blob)
	}
	return out
}

func TestRewrap(t *testing.T) {
	st, from, to := keystest.NewStorage(), keystest.NewKEK(), named{keystest.NewKEK(), "second"}
	ring := create(t, st, from, field7, domain1)
	sealed := ring.Snapshot().Field(7).Seal(nil, []byte("value"), nil)
	before := rowsOf(t, st)
	away := keystest.NewKEK()
	away.Fail(keys.ErrAway)
	for _, tt := range []struct {
		name     string
		from, to keys.KEK
		want     error
	}{
		{"from is another", keystest.NewKEK(), to, keys.ErrWrongKey},
		{"to is away", from, away, keys.ErrAway},
		{"to does not give back what it wrapped", from, liar{keystest.NewKEK()}, keys.ErrWrongKey},
		{"to has too long a name", from, named{from, string(make([]byte, 256))}, keys.ErrUsage},
		{"from gives another root", liar{from}, to, keys.ErrWrongKey},
	} {
		if err := ring.Rewrap(t.Context(), tt.from, tt.to); !errors.Is(err, tt.want) {
			t.Errorf("%s: got %v, want %v", tt.name, err, tt.want)
		}
		if now := rowsOf(t, st); now["root"] != before["root"] {
			t.Fatalf("%s: the root's row was changed", tt.name)
		}
	}

	if err := ring.Rewrap(t.Context(), from, to); err != nil {
		t.Fatal(err)
	}
	after := rowsOf(t, st)
	if after["root"] == before["root"] || after["field/7"] != before["field/7"] {
		t.Error("another row than the root's was changed, or it was not")
	}
	if _, err := keys.Open(t.Context(), st, from, vaultA); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("the old KEK: %v", err)
	}
	again := must(keys.Open(t.Context(), st, to, vaultA))(t)
	for _, r := range []*keys.Ring{ring, again} {
		info := r.Root()
		if info.Version != 1 || info.Wrapping != 2 || info.KEK != "second" || info.Recovery != nil || info.Made.IsZero() || info.Wrapped.Before(info.Made) {
			t.Errorf("%+v", info)
		}
		if out, err := r.Snapshot().Field(7).Open(nil, sealed, nil); err != nil || string(out) != "value" {
			t.Errorf("%v", err)
		}
	}
	if name, err := keys.PeekRootKEK(must(st.Load(t.Context()))(t)); name != "second" || err != nil {
		t.Errorf("PeekRootKEK: %q, %v", name, err)
	}
	// The Ring that rewrapped goes on, and the other one takes it over.
	if _, err := again.Rotate(t.Context(), field7); err != nil {
		t.Error(err)
	}
	if _, err := ring.Rotate(t.Context(), field7); err != nil {
		t.Error(err)
	}
}

func TestRotateRoot(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek, field7, domain1, signer0)
	sealed := ring.Snapshot().Field(7).Seal(nil, []byte("value"), nil)
	before := rowsOf(t, st)
	if err := ring.RotateRoot(t.Context(), keystest.NewKEK()); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("by another KEK: %v", err)
	}
	other := must(keys.Open(t.Context(), st, kek, vaultA))(t)
	if err := ring.RotateRoot(t.Context(), kek); err != nil {
		t.Fatal(err)
	}
	after := rowsOf(t, st)
	for name := range before {
		if before[name] == after[name] {
			t.Errorf("row %s is as before", name)
		}
		// Nothing that was sealed under the old root opens any more.
		var mixed []keys.Row
		for n, blob := range after {
			if n == name {
				blob = before[n]
			}
			mixed = append(mixed, keys.Row{Name: n, Blob: []byte(blob)})
		}
		if _, err := keys.Open(t.Context(), keystest.NewStorage(mixed...), kek, vaultA); !errors.Is(err, keys.ErrWrongKey) {
			t.Errorf("with the old row %s: %v", name, err)
		}
	}
	if err := other.Reload(t.Context()); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("Reload of a Ring with the old root: %v", err)
	}
	if err := other.Ensure(t.Context(), keys.ID{Kind: keys.KindLookup}); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("Ensure of a Ring with the old root: %v", err)
	}
	if err := other.Unseal(t.Context(), kek); err != nil {
		t.Errorf("Unseal of a Ring with the old root: %v", err)
	}
	again := must(keys.Open(t.Context(), st, kek, vaultA))(t)
	for _, r := range []*keys.Ring{ring, again, other} {
		if info := r.Root(); info.Version != 2 || info.Wrapping != 2 {
			t.Errorf("%+v", info)
		}
		if out, err := r.Snapshot().Field(7).Open(nil, sealed, nil); err != nil || string(out) != "value" {
			t.Errorf("%v", err)
		}
		if _, err := r.Rotate(t.Context(), domain1); err != nil {
			t.Error(err)
		}
	}
}

func TestPeekRootKEK(t *testing.T) {
	if _, err := keys.PeekRootKEK(nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("no rows: %v", err)
	}
	for _, blob := range []string{"", "\x02", "\x03\x00", "\x01\x05abc", "\x02\x00\x00\x00\x00\x00\x00\x00\x01" + string(make([]byte, 17))} {
		if _, err := keys.PeekRootKEK([]keys.Row{{Name: "root", Blob: []byte(blob)}}); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%q: %v", blob, err)
		}
	}
}

// A root of format 1 opens, and takes the present form with its next wrapping.
func TestFormat1(t *testing.T) {
	v := readVectors(t, "v1")
	kek, st := v.kek(t, 0), v.storage(nil)
	ring := must(keys.Open(t.Context(), st, kek, [16]byte(v.Vault)))(t)
	if info := ring.Root(); info.Version != 1 || info.Wrapping != 1 || !info.Made.IsZero() || !info.Wrapped.IsZero() || info.KEK != kek.Name() {
		t.Errorf("%+v", info)
	}
	check(t, ring.Rewrap(t.Context(), kek, kek))
	if info := ring.Root(); info.Version != 1 || info.Wrapping != 2 || info.Wrapped.IsZero() {
		t.Errorf("%+v", info)
	}
	check(t, ring.RotateRoot(t.Context(), kek))
	again := must(keys.Open(t.Context(), st, kek, [16]byte(v.Vault)))(t)
	if info := again.Root(); info.Version != 2 || info.Wrapping != 3 {
		t.Errorf("%+v", info)
	}
}

func TestProbe(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	ring := create(t, st, kek, field7)
	for _, want := range []error{nil, keys.ErrDenied, keys.ErrAway, nil} {
		kek.Fail(want)
		for _, sealed := range []bool{false, true} {
			if sealed {
				ring.Seal()
			}
			if err := ring.Probe(t.Context(), kek); !errors.Is(err, want) {
				t.Errorf("sealed %v: got %v, want %v", sealed, err, want)
			}
		}
		kek.Fail(nil)
		check(t, ring.Unseal(t.Context(), kek))
	}
	if err := ring.Probe(t.Context(), keystest.NewKEK()); !errors.Is(err, keys.ErrWrongKey) {
		t.Errorf("another KEK: %v", err)
	}
	ring.Close()
	if err := ring.Probe(t.Context(), kek); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("closed: %v", err)
	}
}
