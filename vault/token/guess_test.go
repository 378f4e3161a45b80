package token_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/token"
)

// Every mistyped character and every exchange of two neighbours is told
// without a key.
func TestMistyped(t *testing.T) {
	c, _ := newCodec(t)
	good := mint(t, c, some)
	missed := 0
	for at := len("tok_"); at < len(good); at++ {
		for _, r := range []byte(alphabet) {
			if r == good[at] {
				continue
			}
			if _, err := c.Parse(good[:at] + string(r) + good[at+1:]); !errors.Is(err, token.ErrMalformed) {
				missed++
			}
		}
		if at+1 < len(good) && good[at] != good[at+1] {
			if _, err := c.Parse(good[:at] + string(good[at+1]) + string(good[at]) + good[at+2:]); !errors.Is(err, token.ErrMalformed) {
				missed++
			}
		}
	}
	// 2,045 typos at 2^-24 each: one miss in eight thousand runs.
	if missed > 0 {
		t.Errorf("%d typos were not told", missed)
	}
}

// A hundred thousand invented texts, and as many invented blocks in a perfect
// frame, open nothing of a vault that holds a million persons.
func TestGuesses(t *testing.T) {
	c, _ := newCodec(t)
	r := rand.New(rand.NewPCG(1, 2))
	exists := func(id token.ID) bool {
		return id.Ref <= 1<<20 && id.Field <= 64 && id.Item <= 4 && id.Generation == 1
	}
	for range 100_000 {
		text := []byte("tok_")
		for range 33 {
			text = append(text, alphabet[r.IntN(62)])
		}
		if _, err := c.ParseBytes(text); !errors.Is(err, token.ErrMalformed) {
			t.Fatalf("a random text: %v", err)
		}
	}
	parsed := 0
	for range 100_000 {
		var block [16]byte
		for i := range block {
			block[i] = byte(r.Uint32())
		}
		id, err := c.Parse(spell(around(1, 1, 2, block)))
		switch {
		case err == nil:
			if parsed++; exists(id) {
				t.Fatalf("a random block opens %+v", id)
			}
		case !errors.Is(err, token.ErrUnknown):
			t.Fatalf("a random block: %v", err)
		}
	}
	// The check lets one in 65,536 pass, 1.5 on average; 15 has odds of 10^-10.
	if parsed > 15 {
		t.Errorf("%d random blocks passed the check", parsed)
	}
}
