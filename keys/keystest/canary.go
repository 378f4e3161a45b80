package keystest

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"testing"
)

// canaryWindow is how many bytes of a secret in a row are taken for a leak.
// Fewer would be found by chance.
const canaryWindow = 8

// A Canary finds key material in what a program says: eight bytes in a row of
// any of its secrets, in any form that printing is likely to give them.
type Canary struct {
	needles map[[canaryStart]byte][]needle // by how they begin
	added   map[string]bool
}

// needle is one form of one part of a secret.
type needle struct{ form, name string }

// canaryStart is by how many bytes a form is looked up. None is shorter, but
// for numbers that no secret has.
const canaryStart = 8

// NewCanary returns a Canary for secrets of at least 8 random bytes each.
func NewCanary(secrets ...[]byte) *Canary {
	c := &Canary{needles: make(map[[canaryStart]byte][]needle), added: make(map[string]bool)}
	for _, s := range secrets {
		c.Add(s)
	}
	return c
}

// Add adds a secret of at least 8 random bytes.
func (c *Canary) Add(secret []byte) {
	if len(secret) < canaryWindow {
		panic("keystest: a secret of fewer than 8 bytes would be found by chance")
	}
	if c.added[string(secret)] {
		return
	}
	c.added[string(secret)] = true
	for at := range len(secret) - canaryWindow + 1 {
		canaryForms(secret[at:at+canaryWindow], func(name, form string) {
			if len(form) >= canaryStart {
				start := [canaryStart]byte([]byte(form))
				c.needles[start] = append(c.needles[start], needle{form, name})
			}
		})
	}
}

// canaryForms calls f with the forms in which bytes are printed.
func canaryForms(w []byte, f func(name, form string)) {
	list := func(format, separator string) string {
		parts := make([]string, len(w))
		for i, b := range w {
			parts[i] = fmt.Sprintf(format, b)
		}
		return strings.Join(parts, separator)
	}
	quoted := strconv.Quote(string(w))
	f("raw", string(w))
	f("quoted", quoted[1:len(quoted)-1])
	for _, separator := range []string{"", " ", ":"} {
		f("hex", list("%02x", separator))
		f("upper hex", list("%02X", separator))
	}
	for _, separator := range []string{" ", ",", ", "} {
		f("decimal", list("%d", separator))
		f("hex list", list("0x%x", separator))
		f("hex list", list("0x%02x", separator))
	}
	// An expanded key is printed as words.
	for name, order := range map[string]binary.ByteOrder{"big-endian": binary.BigEndian, "little-endian": binary.LittleEndian} {
		a, b := order.Uint32(w), order.Uint32(w[4:])
		f(name+" words", fmt.Sprintf("%d %d", a, b))
		f(name+" words", fmt.Sprintf("0x%x, 0x%x", a, b))
		f(name+" number", strconv.FormatUint(order.Uint64(w), 10))
	}
	// Of base64 only the characters that do not depend on what stands beside.
	for shift := range 3 {
		padded := append(make([]byte, shift), w...)
		from, to := (8*shift+5)/6, 8*len(padded)/6
		f("base64", base64.StdEncoding.EncodeToString(padded)[from:to])
		f("base64", base64.URLEncoding.EncodeToString(padded)[from:to])
	}
}

// Find returns the form in which key material stands in text, "" when it holds
// none.
func (c *Canary) Find(text []byte) string {
	for at := range max(len(text)-canaryStart+1, 0) {
		for _, n := range c.needles[[canaryStart]byte(text[at:])] {
			if bytes.HasPrefix(text[at:], []byte(n.form)) {
				return n.name
			}
		}
	}
	return ""
}

// Check wants no printed form of v to hold key material: by every verb of fmt,
// in JSON and in a log, alone, behind a pointer, and inside other values that
// know nothing of it.
func Check[T any](t testing.TB, c *Canary, what string, v T) {
	t.Helper()
	type holder struct {
		Exported T
		hidden   T
		pointer  *T
	}
	held := holder{v, v, &v}
	_, _ = held.hidden, held.pointer
	for shape, value := range map[string]any{
		"itself": v, "a pointer to it": &v, "a list of it": []T{v}, "a map of it": map[string]T{"k": v},
		"an any of it": []any{v}, "a struct of it": held, "a pointer to a struct of it": &held,
	} {
		for form, text := range printed(value) {
			if found := c.Find(text); found != "" {
				t.Errorf("%s: %s by %s shows key material (%s)", what, shape, form, found)
			}
		}
	}
}

// printed returns what a program gets that prints v, by the way it does it.
func printed(v any) map[string][]byte {
	out := make(map[string][]byte)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "% x", "%d", "%o", "%c", "%U", "%z"} {
		out[verb] = fmt.Appendf(nil, verb, v)
	}
	text, err := json.Marshal(v)
	out["JSON"] = fmt.Appendf(text, " %v", err)
	var log bytes.Buffer
	options := &slog.HandlerOptions{Level: slog.LevelDebug}
	slog.New(slog.NewTextHandler(&log, options)).Info("text", "v", v, slog.Group("g", "v", v))
	slog.New(slog.NewJSONHandler(&log, options)).Info("JSON", "v", v, slog.Group("g", "v", v))
	out["slog"] = log.Bytes()
	return out
}
