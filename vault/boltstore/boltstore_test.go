package boltstore_test

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

func TestMain(m *testing.M) {
	if child() {
		return
	}
	goleak.VerifyTestMain(m)
}

// sealer seals with a fixed key and random nonces.
type sealer struct{ aead cipher.AEAD }

func newSealer(t testing.TB) sealer {
	aead, err := fixedKey()
	if err != nil {
		t.Fatal(err)
	}
	return sealer{aead}
}

func fixedKey() (cipher.AEAD, error) {
	block, err := aes.NewCipher(make([]byte, 32))
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

func (s sealer) Seal(dst, plaintext, ad []byte) []byte {
	return s.aead.Seal(dst, nil, plaintext, ad)
}

func (s sealer) Open(dst, ciphertext, ad []byte) ([]byte, error) {
	return s.aead.Open(dst, nil, ciphertext, ad)
}

func options(t testing.TB, dir string) boltstore.Options {
	return boltstore.Options{Path: filepath.Join(dir, "values.db"), Tables: storetest.Tables(), Seal: newSealer(t)}
}

func open(t testing.TB, o boltstore.Options) *boltstore.Store {
	t.Helper()
	s, err := boltstore.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// openChecked opens a store that is checked and closed when the test ends.
func openChecked(t testing.TB, o boltstore.Options) *boltstore.Store {
	t.Helper()
	s := open(t, o)
	t.Cleanup(func() {
		if err := s.Check(context.Background()); err != nil {
			t.Errorf("check after the test: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("close after the test: %v", err)
		}
	})
	return s
}

func TestConformance(t *testing.T) {
	tests := []struct {
		name      string
		mergeRows int
		copyRows  int
	}{
		{"merge at once", 1, 1},
		{"merge now and then", 13, 7},
		{"merge never", 0, 20_000},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			dirs := map[store.Store]string{}
			start := func(t testing.TB, dir string) store.Store {
				o := options(t, dir)
				o.MergeRows = tt.mergeRows
				s := open(t, o)
				s.SetCopyRows(tt.copyRows)
				dirs[s] = dir
				return s
			}
			storetest.Run(t, storetest.Engine{
				Open: func(t testing.TB) store.Store { return start(t, t.TempDir()) },
				Reopen: func(t testing.TB, s store.Store) store.Store {
					if err := s.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
					return start(t, dirs[s])
				},
			})
		})
	}
}
