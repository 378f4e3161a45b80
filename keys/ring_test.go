package keys_test

import (
	"bytes"
	"errors"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

var (
	vaultA  = [16]byte{0xa}
	vaultB  = [16]byte{0xb}
	field7  = keys.ID{Kind: keys.KindField, Number: 7}
	domain1 = keys.ID{Kind: keys.KindDomain, Number: 1}
)

func create(t *testing.T, st keys.Storage, kek keys.KEK, ids ...keys.ID) *keys.Ring {
	t.Helper()
	r, err := keys.Create(t.Context(), st, kek, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	if err := r.Ensure(t.Context(), ids...); err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRingReopens(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	a := create(t, st, kek, field7, domain1, keys.ID{Kind: keys.KindRows})
	sealed := a.Snapshot().Field(7).Seal(nil, []byte("value"), []byte("ad"))
	want, err := a.Snapshot().PRF(domain1).Compute(1, "label", []byte("in"))
	if err != nil {
		t.Fatal(err)
	}
	a.Close()

	b, err := keys.Open(t.Context(), st, kek, vaultA)
	if err != nil {
		t.Fatal(err)
	}
	got, err := b.Snapshot().Field(7).Open(nil, sealed, []byte("ad"))
	if err != nil || string(got) != "value" {
		t.Errorf("opened %q, %v", got, err)
	}
	out, err := b.Snapshot().PRF(domain1).Compute(1, "label", []byte("in"))
	if err != nil || out != want {
		t.Errorf("PRF gives another output after reopening: %v", err)
	}
	if b.Snapshot().Rows() == nil || b.Snapshot().Field(8) != nil || b.Snapshot().AEAD(domain1) != nil || b.Snapshot().PRF(field7) != nil {
		t.Error("look-ups find what is not there, or miss what is")
	}
}

func TestOpenRefuses(t *testing.T) {
	kek := keystest.NewKEK()
	st := keystest.NewStorage()
	create(t, st, kek, field7, domain1)
	rows, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	other := keystest.NewStorage()
	create(t, other, kek, field7)
	otherRows, err := other.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	edit := func(f func(rows []keys.Row) []keys.Row) *keystest.Storage {
		rows, err := keystest.NewStorage(rows...).Load(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return keystest.NewStorage(f(rows)...)
	}
	index := func(rows []keys.Row, name string) int {
		for i := range rows {
			if rows[i].Name == name {
				return i
			}
		}
		t.Fatalf("no row %s", name)
		return 0
	}
	tests := []struct {
		name  string
		st    keys.Storage
		kek   keys.KEK
		vault [16]byte
		want  error
	}{
		{"empty storage", keystest.NewStorage(), kek, vaultA, keys.ErrNoKey},
		{"another KEK", st, keystest.NewKEK(), vaultA, keys.ErrWrongKey},
		{"another vault", st, kek, vaultB, keys.ErrWrongKey},
		{"row of another vault", edit(func(r []keys.Row) []keys.Row {
			r[index(r, "field/7")] = otherRows[index(otherRows, "field/7")]
			return r
		}), kek, vaultA, keys.ErrWrongKey},
		{"row under another name", edit(func(r []keys.Row) []keys.Row {
			r[index(r, "field/7")].Name = "field/8"
			return r
		}), kek, vaultA, keys.ErrWrongKey},
		{"row of no known name", edit(func(r []keys.Row) []keys.Row {
			return append(r, keys.Row{Name: "field/07", Blob: r[1].Blob})
		}), kek, vaultA, keys.ErrFormat},
		{"row twice", edit(func(r []keys.Row) []keys.Row {
			return append(r, r[index(r, "field/7")])
		}), kek, vaultA, keys.ErrFormat},
		{"unknown root format", edit(func(r []keys.Row) []keys.Row {
			r[index(r, "root")].Blob[0]++
			return r
		}), kek, vaultA, keys.ErrFormat},
		{"unknown keyset format", edit(func(r []keys.Row) []keys.Row {
			r[index(r, "field/7")].Blob[0]++
			return r
		}), kek, vaultA, keys.ErrFormat},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := keys.Open(t.Context(), tt.st, tt.kek, tt.vault); !errors.Is(err, tt.want) {
				t.Errorf("got %v, want %v", err, tt.want)
			}
		})
	}
}

// Every bit of a keyset row counts: none can be changed and the row still open.
func TestRowIsAuthenticated(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	create(t, st, kek, field7)
	rows, err := st.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i, row := range rows {
		if row.Name != "field/7" {
			continue
		}
		for at := range row.Blob {
			changed := bytes.Clone(row.Blob)
			changed[at] ^= 1 << (at % 8)
			rows[i].Blob = changed
			_, err := keys.Open(t.Context(), keystest.NewStorage(rows...), kek, vaultA)
			if !errors.Is(err, keys.ErrWrongKey) && !errors.Is(err, keys.ErrFormat) {
				t.Fatalf("byte %d changed: %v", at, err)
			}
		}
		for n := range row.Blob {
			rows[i].Blob = row.Blob[:n]
			if _, err := keys.Open(t.Context(), keystest.NewStorage(rows...), kek, vaultA); err == nil {
				t.Fatalf("cut to %d bytes: opened", n)
			}
		}
	}
}

func TestCreateTwice(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	create(t, st, kek)
	if _, err := keys.Create(t.Context(), st, kek, vaultA); !errors.Is(err, keys.ErrExists) {
		t.Errorf("got %v, want ErrExists", err)
	}
}

func TestEnsureRaces(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	first := create(t, st, kek)
	rings := []*keys.Ring{first}
	for range 3 {
		r, err := keys.Open(t.Context(), st, kek, vaultA)
		if err != nil {
			t.Fatal(err)
		}
		rings = append(rings, r)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			r := rings[i%len(rings)]
			if err := r.Ensure(t.Context(), field7, domain1, keys.ID{Kind: keys.KindField, Number: uint32(i % 3)}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	sealed := rings[0].Snapshot().Field(7).Seal(nil, []byte("v"), nil)
	for i, r := range rings {
		if _, err := r.Snapshot().Field(7).Open(nil, sealed, nil); err != nil {
			t.Errorf("ring %d has another key for the same field: %v", i, err)
		}
	}
}

func TestEnsureRefusesKinds(t *testing.T) {
	r := keystest.NewRing(t)
	for _, k := range []keys.Kind{0, 8, 255} {
		if err := r.Ensure(t.Context(), keys.ID{Kind: k}); !errors.Is(err, keys.ErrUsage) {
			t.Errorf("%s: got %v, want ErrUsage", k, err)
		}
	}
}

func TestFailedSaveChangesNothing(t *testing.T) {
	st, kek := keystest.NewStorage(), keystest.NewKEK()
	r := create(t, st, kek)
	full := errors.New("disk full")
	st.Fail(full)
	if err := r.Ensure(t.Context(), field7); !errors.Is(err, full) {
		t.Errorf("got %v", err)
	}
	if r.Snapshot().Field(7) != nil {
		t.Error("a key that is not durable was published")
	}
}

func TestClosedRing(t *testing.T) {
	r := keystest.NewRing(t, field7)
	kept := r.Snapshot()
	r.Close()
	r.Close()
	if err := r.Ensure(t.Context(), field7); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("Ensure: %v", err)
	}
	if err := r.Reload(t.Context()); !errors.Is(err, keys.ErrClosed) {
		t.Errorf("Reload: %v", err)
	}
	if r.Snapshot().Field(7) != nil {
		t.Error("a closed Ring still gives out keys")
	}
	if kept.Field(7) == nil {
		t.Error("a kept snapshot lost its keys")
	}
}
