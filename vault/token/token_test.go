package token_test

import (
	"bytes"
	"errors"
	"math"
	"regexp"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault/token"
)

func domainID(n uint16) keys.ID { return keys.ID{Kind: keys.KindDomain, Number: uint32(n)} }

// newCodec serves domains 1 (versions 1 and 2, 2 primary), 2 and 65535.
func newCodec(t testing.TB) (*token.Codec, *keys.Snapshot) {
	t.Helper()
	ring := keystest.NewRing(t, domainID(1), domainID(2), domainID(math.MaxUint16))
	v, err := ring.AddVersion(t.Context(), domainID(1))
	if err != nil {
		t.Fatal(err)
	}
	if err := ring.Promote(t.Context(), domainID(1), v); err != nil {
		t.Fatal(err)
	}
	s := ring.Snapshot()
	c, err := token.NewCodec([]token.Domain{
		{Number: 1, PRF: s.PRF(domainID(1))},
		{Number: 2, PRF: s.PRF(domainID(2))},
		{Number: math.MaxUint16, PRF: s.PRF(domainID(math.MaxUint16))},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c, s
}

var some = token.ID{Domain: 1, Version: 2, Ref: 1<<48 | 77, Field: 7, Item: 3, Generation: 1}

func mint(t testing.TB, c *token.Codec, id token.ID) string {
	t.Helper()
	text, err := c.Append(nil, id)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func drawID(rt *rapid.T) token.ID {
	id := token.ID{
		Domain: rapid.SampledFrom([]uint16{1, 2, math.MaxUint16}).Draw(rt, "domain"), Version: 1,
		Ref: rapid.Uint64Min(1).Draw(rt, "ref"), Field: rapid.Uint32Range(1, token.MaxField).Draw(rt, "field"),
		Item: rapid.Uint16().Draw(rt, "item"), Generation: rapid.Uint8().Draw(rt, "generation"),
	}
	if id.Domain == 1 {
		id.Version = rapid.Uint16Range(1, 2).Draw(rt, "version")
	}
	return id
}

func TestRoundTrip(t *testing.T) {
	c, s := newCodec(t)
	form := regexp.MustCompile(`^` + token.Pattern + `$`)
	rapid.Check(t, func(rt *rapid.T) {
		id := drawID(rt)
		text, err := c.Append([]byte("kept"), id)
		if err != nil {
			rt.Fatal(err)
		}
		text, ok := bytes.CutPrefix(text, []byte("kept"))
		if !ok || len(text) != token.Len || !form.Match(text) {
			rt.Fatalf("not of the form: %q", text)
		}
		if want := byHand(t, s.PRF(domainID(id.Domain)), id, 0); string(text) != want {
			rt.Fatalf("%s, the package comment gives %s", text, want)
		}
		if got, err := c.Parse(string(text)); err != nil || got != id {
			rt.Fatalf("parsed to %+v, %v, want %+v", got, err, id)
		}
		if got, err := c.ParseBytes(text); err != nil || got != id {
			rt.Fatalf("ParseBytes differs from Parse: %+v, %v", got, err)
		}
		domain, version, err := token.Header(string(text))
		if err != nil || domain != id.Domain || version != id.Version {
			rt.Fatalf("Header: %d, %d, %v", domain, version, err)
		}
	})
}

func TestLimits(t *testing.T) {
	c, _ := newCodec(t)
	if token.Len != 37 {
		t.Errorf("tokens of %d characters, want 37", token.Len)
	}
	tests := []struct {
		name   string
		change func(id *token.ID)
		want   error
	}{
		{"as it is", func(*token.ID) {}, nil},
		{"largest", func(id *token.ID) {
			id.Ref, id.Field, id.Item, id.Generation = math.MaxUint64, token.MaxField, math.MaxUint16, math.MaxUint8
		}, nil},
		{"smallest", func(id *token.ID) { id.Ref, id.Field, id.Item, id.Generation = 1, 1, 0, 0 }, nil},
		{"older version", func(id *token.ID) { id.Version = 1 }, nil},
		{"no ref", func(id *token.ID) { id.Ref = 0 }, token.ErrRange},
		{"no field", func(id *token.ID) { id.Field = 0 }, token.ErrRange},
		{"field too large", func(id *token.ID) { id.Field = token.MaxField + 1 }, token.ErrRange},
		{"no such domain", func(id *token.ID) { id.Domain = 3 }, token.ErrUnknown},
		{"no such domain, primary", func(id *token.ID) { id.Domain, id.Version = 3, 0 }, token.ErrUnknown},
		{"no such version", func(id *token.ID) { id.Version = 3 }, token.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id := some
			tt.change(&id)
			text, err := c.Append([]byte("kept"), id)
			if !errors.Is(err, tt.want) {
				t.Fatalf("got %v, want %v", err, tt.want)
			}
			if err != nil {
				if string(text) != "kept" {
					t.Error("dst changed on error")
				}
				return
			}
			if got, err := c.Parse(string(text[4:])); err != nil || got != id {
				t.Errorf("parsed to %+v, %v", got, err)
			}
		})
	}
}

func TestPrimaryVersion(t *testing.T) {
	c, _ := newCodec(t)
	id := some
	id.Version = 0
	if text := mint(t, c, id); text != mint(t, c, some) {
		t.Error("version 0 is not the primary one")
	}
}

func TestParseRefuses(t *testing.T) {
	c, s := newCodec(t)
	good := mint(t, c, some)
	body := unspell(good)
	var block [16]byte
	copy(block[:], body[5:])
	flipped := block
	flipped[0] ^= 1
	tests := []struct {
		name, text string
		want       error
	}{
		{"empty", "", token.ErrMalformed},
		{"prefix alone", "tok_", token.ErrMalformed},
		{"short", good[:36], token.ErrMalformed},
		{"long", good + "0", token.ErrMalformed},
		{"space before", " " + good[:36], token.ErrMalformed},
		{"space after", good[:36] + " ", token.ErrMalformed},
		{"other prefix", "tok-" + good[4:], token.ErrMalformed},
		{"prefix in capitals", "TOK_" + good[4:], token.ErrMalformed},
		{"no digit", good[:20] + "-" + good[21:], token.ErrMalformed},
		{"a letter of two bytes", good[:20] + "é" + good[22:], token.ErrMalformed},
		{"largest number of 33 digits", "tok_" + strings.Repeat("z", 33), token.ErrMalformed},
		{"2^192 more", spellOver(body), token.ErrMalformed},
		{"format 0", spell(around(0, 1, 2, block)), token.ErrMalformed},
		{"format 2", spell(around(2, 1, 2, block)), token.ErrMalformed},
		{"zero", "tok_" + strings.Repeat("0", 33), token.ErrMalformed},
		{"no such domain", spell(around(1, 3, 1, block)), token.ErrUnknown},
		{"no such version", spell(around(1, 1, 3, block)), token.ErrUnknown},
		{"version 0", spell(around(1, 1, 0, block)), token.ErrUnknown},
		{"block of another domain", spell(around(1, 2, 1, block)), token.ErrUnknown},
		{"block of another version", spell(around(1, 1, 1, block)), token.ErrUnknown},
		{"block changed", spell(around(1, 1, 2, flipped)), token.ErrUnknown},
		{"check not zero", byHand(t, s.PRF(domainID(1)), some, 1), token.ErrUnknown},
		{"check not zero, high", byHand(t, s.PRF(domainID(1)), some, 0x8000), token.ErrUnknown},
		{"ref zero", byHand(t, s.PRF(domainID(1)), token.ID{Domain: 1, Version: 2, Field: 1}, 0), token.ErrUnknown},
		{"field zero", byHand(t, s.PRF(domainID(1)), token.ID{Domain: 1, Version: 2, Ref: 1}, 0), token.ErrUnknown},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			id, err := c.Parse(tt.text)
			if !errors.Is(err, tt.want) || id != (token.ID{}) {
				t.Errorf("got %+v, %v, want %v", id, err, tt.want)
			}
			if len(tt.text) > 8 && err != nil && strings.Contains(err.Error(), tt.text[4:]) {
				t.Error("the error holds the token")
			}
		})
	}
}

// A byte that is no digit must not count as a large one, or a token would
// have a second spelling with the right number and checksum.
func TestNoSecondSpelling(t *testing.T) {
	c, _ := newCodec(t)
	tried := 0
	for ref := uint64(1); tried < 20; ref++ {
		id := some
		id.Ref = ref
		text := []byte(mint(t, c, id))
		for at := len("tok_") + 1; at < len(text); at++ {
			// 255 = 4·62 + 7: seven and four less of the next higher digit.
			higher := strings.IndexByte(alphabet, text[at-1])
			if text[at] != '7' || higher < 4 {
				continue
			}
			other := bytes.Clone(text)
			other[at-1], other[at] = alphabet[higher-4], '_'
			if got, err := c.ParseBytes(other); !errors.Is(err, token.ErrMalformed) {
				t.Fatalf("%s also reads as %+v, %v", other, got, err)
			}
			tried++
		}
	}
}

// Tokens of the same item in two domains have nothing in common that another
// item's would not have.
func TestDomainsHaveKeysOfTheirOwn(t *testing.T) {
	ring := keystest.NewRing(t, domainID(1))
	prf := ring.Snapshot().PRF(domainID(1))
	// Even under one and the same keyset, the domain's number makes another key.
	c, err := token.NewCodec([]token.Domain{{Number: 1, PRF: prf}, {Number: 2, PRF: prf}})
	if err != nil {
		t.Fatal(err)
	}
	id := token.ID{Domain: 1, Version: 1, Ref: 1, Field: 1}
	a := unspell(mint(t, c, id))
	id.Domain = 2
	b := unspell(mint(t, c, id))
	if bytes.Equal(a[5:21], b[5:21]) {
		t.Error("two domains encipher the same block alike")
	}
}

func TestNewCodecRefuses(t *testing.T) {
	prf := keystest.NewRing(t, domainID(1)).Snapshot().PRF(domainID(1))
	for name, domains := range map[string][]token.Domain{
		"no key":       {{Number: 1}},
		"domain twice": {{Number: 1, PRF: prf}, {Number: 1, PRF: prf}},
	} {
		if _, err := token.NewCodec(domains); !errors.Is(err, token.ErrUsage) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestConcurrent(t *testing.T) {
	c, _ := newCodec(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 1000 {
				id := token.ID{Domain: 2, Version: 1, Ref: uint64(i + 1), Field: uint32(j + 1), Item: uint16(j)}
				text, err := c.Append(nil, id)
				if err != nil {
					t.Error(err)
					return
				}
				if got, err := c.ParseBytes(text); err != nil || got != id {
					t.Errorf("parsed to %+v, %v", got, err)
					return
				}
			}
		})
	}
	wg.Wait()
}

func FuzzParse(f *testing.F) {
	c, _ := newCodec(f)
	f.Add(mint(f, c, some))
	f.Add("tok_" + strings.Repeat("z", 33))
	f.Add("tok_")
	f.Fuzz(func(t *testing.T, text string) {
		id, err := c.Parse(text)
		if err != nil {
			if !errors.Is(err, token.ErrMalformed) && !errors.Is(err, token.ErrUnknown) {
				t.Errorf("another error: %v", err)
			}
			return
		}
		// What parses is the one spelling of what it stands for.
		if again := mint(t, c, id); again != text {
			t.Errorf("%q and %q stand for the same", text, again)
		}
	})
}
