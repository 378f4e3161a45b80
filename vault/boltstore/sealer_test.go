package boltstore_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/storetest"
)

// agingSealer puts the number of its key before what it seals.
type agingSealer struct {
	boltstore.Sealer
	mu  *sync.Mutex
	age *byte
}

func (s agingSealer) Seal(dst, plaintext, ad []byte) []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Sealer.Seal(append(dst, strings.Repeat(string(rune('a'+*s.age)), 16)...), plaintext, ad)
}

func (s agingSealer) Open(dst, ciphertext, ad []byte) ([]byte, error) {
	if len(ciphertext) < 16 {
		return nil, errors.New("too short")
	}
	return s.Sealer.Open(dst, ciphertext[16:], ad)
}

// TestSealerAges: the sealer changes its key while callers commit; a Drain
// removes all that the key before had sealed.
func TestSealerAges(t *testing.T) {
	o := options(t, t.TempDir())
	aging := agingSealer{o.Seal, new(sync.Mutex), new(byte)}
	o.Seal = aging
	s := open(t, o)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var wg sync.WaitGroup
	for g := range 4 {
		wg.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				if err := commit(t.Context(), s, func(b *store.Batch) { b.Put(storetest.Lookup, hashed(g, n), be64(n)) }); err != nil {
					t.Errorf("commit: %v", err)
					return
				}
			}
		})
	}
	for range 5 {
		aging.mu.Lock()
		*aging.age++
		old := strings.Repeat(string(rune('a'+*aging.age-1)), 16)
		aging.mu.Unlock()
		if err := s.Drain(t.Context()); err != nil {
			t.Fatal(err)
		}
		err := s.EachPending(func(sealed []byte) {
			if bytes.HasPrefix(sealed, []byte(old)) {
				t.Error("an entry under the key before is left")
			}
		})
		if err != nil {
			t.Error(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
	}
	stop()
	wg.Wait()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, o).Close(); err != nil { // opens what is pending
		t.Fatal(err)
	}
}
