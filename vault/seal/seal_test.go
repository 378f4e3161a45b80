package seal_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/seal"
)

var (
	email = keys.ID{Kind: keys.KindField, Number: 7}
	phone = keys.ID{Kind: keys.KindField, Number: 8}
	place = seal.Place{Vault: [16]byte{1, 2, 3}, Collection: 4, Ref: 5, Field: 7, Item: 1, KeyGeneration: 1}
)

func outer(t testing.TB) *keys.AEAD {
	return keystest.NewRing(t, email).Snapshot().Field(email.Number)
}

func TestRoundTrip(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock, person := outer(t), keys.NewSubjectKey()
		for _, n := range []int{0, 1, 14, 15, 16, 17, 31, 32, 33, 4095, 4096, 10000, seal.MaxValue - 1, seal.MaxValue} {
			t.Run(fmt.Sprint(n), func(t *testing.T) {
				value := bytes.Repeat([]byte{0x80}, n) // looks like padding
				blob, err := seal.SealAs(format, []byte("kept"), lock, person.Expose(), &place, value, nil)
				if err != nil {
					t.Fatal(err)
				}
				if want := 4 + seal.BlobSize(n); len(blob) != want {
					t.Errorf("a blob of %d bytes, want %d", len(blob), want)
				}
				got, err := seal.Open([]byte("kept"), lock, person.Expose(), &place, blob[4:])
				if err != nil || !bytes.Equal(got, append([]byte("kept"), value...)) {
					t.Errorf("opened to something else: %v", err)
				}
			})
		}
	})
}

func TestTooLong(t *testing.T) {
	_, err := seal.Seal(nil, outer(t), keys.NewSubjectKey().Expose(), &place, make([]byte, seal.MaxValue+1))
	if !errors.Is(err, seal.ErrTooLong) {
		t.Errorf("got %v, want ErrTooLong", err)
	}
	if seal.BlobSize(seal.MaxValue) > 1<<20 {
		t.Error("the longest blob does not fit a row of 1 MiB")
	}
}

// A blob opens in its own place and nowhere else.
func TestBoundToItsPlace(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock, person := outer(t), keys.NewSubjectKey()
		blob := sealed(t, format, lock, person, &place, []byte("value"))
		others := map[string]func(p *seal.Place){
			"vault":          func(p *seal.Place) { p.Vault[15]++ },
			"collection":     func(p *seal.Place) { p.Collection++ },
			"person":         func(p *seal.Place) { p.Ref++ },
			"field":          func(p *seal.Place) { p.Field++ },
			"item":           func(p *seal.Place) { p.Item++ },
			"key generation": func(p *seal.Place) { p.KeyGeneration++ },
		}
		for name, move := range others {
			t.Run(name, func(t *testing.T) {
				p := place
				move(&p)
				if out, err := seal.Open(nil, lock, person.Expose(), &p, blob); !errors.Is(err, seal.ErrOuter) || !errors.Is(err, keys.ErrWrongKey) {
					t.Errorf("opened to %d bytes, %v", len(out), err)
				}
				if _, err := seal.Rewrap(nil, lock, lock, &p, blob); !errors.Is(err, seal.ErrOuter) {
					t.Errorf("Rewrap moved it: %v", err)
				}
			})
		}
	})
}

// The inner lock is bound to the place by itself: who holds the field's key
// and puts the inner lock of one place into the outer lock of another gains
// nothing.
func TestInnerBoundToItsPlace(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock, person := outer(t), keys.NewSubjectKey()
		blob := sealed(t, format, lock, person, &place, []byte("value"))
		inner, err := lock.Open(nil, blob[1:], associated(format, lockOuter, &place))
		if err != nil {
			t.Fatal(err)
		}
		for at := range len(associated(format, lockOuter, &place)) - 2 {
			p := place
			moveByte(&p, at)
			moved := lock.Seal([]byte{format}, inner, associated(format, lockOuter, &p))
			if out, err := seal.Open(nil, lock, person.Expose(), &p, moved); !errors.Is(err, seal.ErrInner) || !errors.Is(err, keys.ErrWrongKey) {
				t.Errorf("byte %d of the place: opened to %d bytes, %v", at, len(out), err)
			}
		}
	})
}

func TestTwoLocks(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		ring := keystest.NewRing(t, email, phone)
		lock, other := ring.Snapshot().Field(7), ring.Snapshot().Field(8)
		person := keys.NewSubjectKey()
		blob := sealed(t, format, lock, person, &place, []byte("value"))
		var wiped [keys.SecretSize]byte
		tests := []struct {
			name   string
			lock   *keys.AEAD
			person *[keys.SecretSize]byte
			want   []error
		}{
			{"both", lock, person.Expose(), []error{nil}},
			{"another field's key", other, person.Expose(), []error{seal.ErrOuter, keys.ErrNoKey}},
			{"no field's key", nil, person.Expose(), []error{seal.ErrOuter, keys.ErrNoKey}},
			{"another person's key", lock, keys.NewSubjectKey().Expose(), []error{seal.ErrInner, keys.ErrWrongKey}},
			{"no person's key", lock, nil, []error{seal.ErrInner, keys.ErrNoKey}},
			{"a wiped key", lock, &wiped, []error{seal.ErrInner, keys.ErrNoKey}},
		}
		for _, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				out, err := seal.Open([]byte("kept"), tt.lock, tt.person, &place, blob)
				for _, want := range tt.want {
					if !errors.Is(err, want) {
						t.Errorf("got %v, want %v", err, want)
					}
				}
				if err != nil && string(out) != "kept" {
					t.Error("dst changed on error")
				}
				if tt.lock == nil || tt.person == nil || tt.person == &wiped {
					if _, err := seal.Seal(nil, tt.lock, tt.person, &place, nil); !errors.Is(err, tt.want[0]) {
						t.Errorf("Seal: %v", err)
					}
				}
			})
		}
	})
}

// Every byte and every length of a blob counts.
func TestTampered(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock, person := outer(t), keys.NewSubjectKey()
		blob := sealed(t, format, lock, person, &place, []byte("jane@example.org"))
		mustFail := func(what string, b []byte) {
			out, err := seal.Open(nil, lock, person.Expose(), &place, b)
			if !errors.Is(err, seal.ErrFormat) && !errors.Is(err, seal.ErrOuter) || len(out) > 0 {
				t.Errorf("%s: %d bytes, %v", what, len(out), err)
			}
		}
		for i := range blob {
			for bit := range 8 {
				changed := bytes.Clone(blob)
				changed[i] ^= 1 << bit
				mustFail(fmt.Sprintf("bit %d of byte %d", bit, i), changed)
			}
		}
		for n := range blob {
			mustFail(fmt.Sprintf("cut to %d", n), blob[:n])
		}
		for n := 1; n <= 32; n++ {
			mustFail(fmt.Sprintf("%d longer", n), append(bytes.Clone(blob), make([]byte, n)...))
		}
	})
}

func TestRewrapNeedsNoPersonsKey(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		ring := keystest.NewRing(t, email)
		person := keys.NewSubjectKey()
		before := ring.Snapshot().Field(7)
		var sealedHash [sha256.Size]byte
		blob, err := seal.SealAs(format, nil, before, person.Expose(), &place, []byte("value"), &sealedHash)
		if err != nil {
			t.Fatal(err)
		}
		v, err := ring.AddVersion(t.Context(), email)
		if err != nil {
			t.Fatal(err)
		}
		if err := ring.Promote(t.Context(), email, v); err != nil {
			t.Fatal(err)
		}
		after := ring.Snapshot().Field(7)
		moved, err := seal.Rewrap(nil, before, after, &place, blob)
		if err != nil {
			t.Fatal(err)
		}
		if moved[0] != format {
			t.Errorf("format %d became %d", format, moved[0])
		}
		for b, want := range map[*[]byte]uint16{&blob: 1, &moved: 2} {
			if v, err := seal.OuterVersion(after, *b); err != nil || v != want {
				t.Errorf("OuterVersion: %d, %v, want %d", v, err, want)
			}
			hash, err := seal.InnerHash(after, &place, *b)
			if err != nil || hash != sealedHash {
				t.Errorf("InnerHash of version %d differs from what Seal said: %v", want, err)
			}
			if got, err := seal.Open(nil, after, person.Expose(), &place, *b); err != nil || string(got) != "value" {
				t.Errorf("version %d: %v", want, err)
			}
		}
		again := sealed(t, format, after, person, &place, []byte("value"))
		if hash, err := seal.InnerHash(after, &place, again); err != nil || hash == sealedHash {
			t.Error("sealing the same value again gives the same inner lock")
		}
	})
}

func TestConcurrent(t *testing.T) {
	lock := outer(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			person, p := keys.NewSubjectKey(), place
			p.Ref = uint64(i)
			for j := range 200 {
				want := bytes.Repeat([]byte{byte(i)}, j)
				blob, err := seal.Seal(nil, lock, person.Expose(), &p, want)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := seal.Open(nil, lock, person.Expose(), &p, blob); err != nil || !bytes.Equal(got, want) {
					t.Errorf("opened to something else: %v", err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestProperty(t *testing.T) {
	eachFormat(t, func(t *testing.T, format byte) {
		lock := outer(t)
		rapid.Check(t, func(rt *rapid.T) {
			person := keys.NewSubjectKey()
			p := seal.Place{
				Collection: rapid.Uint16().Draw(rt, "collection"), Ref: rapid.Uint64().Draw(rt, "ref"),
				Field: rapid.Uint32().Draw(rt, "field"), Item: rapid.Uint16().Draw(rt, "item"),
				KeyGeneration: rapid.Uint32().Draw(rt, "generation"),
			}
			value := rapid.SliceOfN(rapid.Byte(), 0, 200).Draw(rt, "value")
			blob, err := seal.SealAs(format, nil, lock, person.Expose(), &p, value, nil)
			if err != nil {
				rt.Fatal(err)
			}
			got, err := seal.Open([]byte{}, lock, person.Expose(), &p, blob)
			if err != nil {
				rt.Fatal(err)
			}
			if !bytes.Equal(got, value) {
				rt.Fatal(cmp.Diff(got, value))
			}
		})
	})
}

func FuzzOpen(f *testing.F) {
	lock, person := outer(f), keys.NewSubjectKey()
	for _, format := range usable() {
		for _, value := range []string{"", "v", "a value of more than one block"} {
			f.Add(sealed(f, format, lock, person, &place, []byte(value)))
		}
	}
	f.Fuzz(func(t *testing.T, blob []byte) {
		out, err := seal.Open(nil, lock, person.Expose(), &place, blob)
		if err != nil && len(out) > 0 {
			t.Error("an error and bytes")
		}
		// What opens has exactly one form.
		if err == nil && len(blob) != seal.BlobSize(len(out)) {
			t.Errorf("%d bytes opened to %d", len(blob), len(out))
		}
	})
}
