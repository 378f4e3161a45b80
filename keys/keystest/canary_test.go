package keystest_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"log/slog"
	"math/big"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys/keystest"
)

var secret = []byte("\xf3\x9a\x01\xc4`\"\\\xd8\xe7\x11\x5b\x90\xaa\x02\x7f\xfe")

// leaky is what a type with key material must not be.
type leaky struct {
	Key [16]byte
}

type leakyText struct{ key []byte }

func (l leakyText) String() string { return base64.RawURLEncoding.EncodeToString(l.key) }

// leakyLog shows nothing but in a log.
type leakyLog struct{ key **[16]byte }

func (l leakyLog) LogValue() slog.Value { return slog.AnyValue(**l.key) }

// The search finds what it seeks, or it would prove nothing.
func TestCanaryFinds(t *testing.T) {
	c := keystest.NewCanary(secret)
	words := func(b []byte) (out []uint32) {
		for i := 0; i+4 <= len(b); i += 4 {
			out = append(out, uint32(new(big.Int).SetBytes(b[i:i+4]).Uint64()))
		}
		return out
	}
	asJSON, err := json.Marshal([16]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"raw": string(secret), "%v": fmt.Sprint(secret), "%+v": fmt.Sprintf("%+v", leaky{[16]byte(secret)}), "%#v": fmt.Sprintf("%#v", secret),
		"%x": fmt.Sprintf("%x", secret), "%X": fmt.Sprintf("%X", secret), "% x": fmt.Sprintf("% x", secret), "%q": fmt.Sprintf("%q", secret),
		"%#v of an array": fmt.Sprintf("%#v", [16]byte(secret)), "words": fmt.Sprint(words(secret)), "%#v of words": fmt.Sprintf("%#v", words(secret)),
		"JSON of an array": string(asJSON), "base64": base64.StdEncoding.EncodeToString(secret),
		"base64 after something": base64.URLEncoding.EncodeToString(append([]byte("xy"), secret...)),
		"the middle eight":       string(secret[4:12]), "the last eight": fmt.Sprintf("%x", secret[8:]),
	} {
		if c.Find([]byte("before "+text+" after")) == "" {
			t.Errorf("%s is not found", name)
		}
	}
	other := []byte(strings.ToUpper("nothing of it: f39a01c4") + string(secret[:7]) + string(secret[9:]))
	if found := c.Find(other); found != "" {
		t.Errorf("fewer than eight bytes are found as %s", found)
	}
}

// errorsOf counts the failures of a check.
type errorsOf struct {
	testing.TB
	n int
}

func (*errorsOf) Helper()                 {}
func (e *errorsOf) Errorf(string, ...any) { e.n++ }

func TestCanaryChecksTypes(t *testing.T) {
	c := keystest.NewCanary(secret)
	box := (*[16]byte)(secret)
	for name, check := range map[string]func(tb testing.TB){
		"bytes":    func(tb testing.TB) { keystest.Check(tb, c, "v", secret) },
		"struct":   func(tb testing.TB) { keystest.Check(tb, c, "v", leaky{*box}) },
		"pointer":  func(tb testing.TB) { keystest.Check(tb, c, "v", &leaky{*box}) },
		"Stringer": func(tb testing.TB) { keystest.Check(tb, c, "v", leakyText{secret}) },
		"log":      func(tb testing.TB) { keystest.Check(tb, c, "v", leakyLog{&box}) },
		"error":    func(tb testing.TB) { keystest.Check(tb, c, "v", fmt.Errorf("no key %x", secret)) },
	} {
		e := &errorsOf{TB: t}
		if check(e); e.n == 0 {
			t.Errorf("%s: nothing is found", name)
		}
	}
	keystest.Check(t, c, "a number", 7)
}
