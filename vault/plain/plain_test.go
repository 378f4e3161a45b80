package plain_test

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/vault/plain"
)

const secret = "hunter2"

// hidden has a Value where fmt calls no method.
type hidden struct {
	name  string
	value plain.Value
	list  []plain.Value
	deep  *hidden
}

// leaks tells whether text shows the secret, also as numbers or in hex.
func leaks(text string) bool {
	for _, form := range []string{secret, fmt.Sprintf("%x", secret), fmt.Sprintf("%X", secret), strings.Trim(fmt.Sprint([]byte(secret)), "[]"), fmt.Sprintf("%#v", []byte(secret))[7:20]} {
		if strings.Contains(text, form) {
			return true
		}
	}
	return false
}

func TestEveryVerbRedacts(t *testing.T) {
	v := plain.Text(secret)
	if !leaks(secret) || !leaks(fmt.Sprint([]byte(secret))) || leaks("[redacted]") {
		t.Fatal("the test does not see a leak")
	}
	inside := hidden{"a", v, []plain.Value{v}, &hidden{value: v}}
	things := map[string]any{
		"value": v, "pointer": &v, "list": []plain.Value{v}, "map": map[string]plain.Value{"k": v}, "map key": map[any]any{"k": v},
		"exported field":   struct{ V plain.Value }{v},
		"embedded":         struct{ plain.Value }{v},
		"unexported field": inside, "pointer to a struct": &inside, "interface": []any{v},
	}
	for name, thing := range things {
		for _, verb := range "vTtbcdoOqxXUeEfFgGsp" {
			for _, flags := range []string{"", "+", "#", "-", " ", "0", "10", ".3"} {
				format := "%" + flags + string(verb)
				if text := fmt.Sprintf(format, thing); leaks(text) {
					t.Errorf("%s with %s: %s", name, format, text)
				}
			}
		}
		if leaks(fmt.Sprint(thing)) || leaks(fmt.Sprintln(thing)) || leaks(fmt.Errorf("%w: %v", errors.New("x"), thing).Error()) {
			t.Errorf("%s is printed", name)
		}
	}
	if got := fmt.Sprintf("%s|%d|%#v", v, v, v); got != strings.Repeat(plain.Redacted+"|", 2)+plain.Redacted {
		t.Errorf("printed %q", got)
	}
	if v.String() != plain.Redacted || v.GoString() != plain.Redacted {
		t.Error("String or GoString shows something else")
	}
}

func TestEncodersRedact(t *testing.T) {
	v := plain.Text(secret)
	type named struct{ V plain.Value }
	type pointing struct{ V *plain.Value }
	for name, encode := range map[string]func(any) ([]byte, error){"JSON": json.Marshal, "YAML": yaml.Marshal, "XML": xml.Marshal} {
		for _, thing := range []any{v, &v, named{v}, pointing{&v}, []plain.Value{v}} {
			text, err := encode(thing)
			if err != nil || leaks(string(text)) || !bytes.Contains(text, []byte("redacted")) {
				t.Errorf("%s: %s, %v", name, text, err)
			}
		}
	}
	for name, handler := range map[string]func(*bytes.Buffer) slog.Handler{
		"text": func(b *bytes.Buffer) slog.Handler { return slog.NewTextHandler(b, nil) },
		"JSON": func(b *bytes.Buffer) slog.Handler { return slog.NewJSONHandler(b, nil) },
	} {
		var b bytes.Buffer
		slog.New(handler(&b)).Info("m", "value", v, "pointer", &v, "list", []plain.Value{v}, "struct", struct{ V plain.Value }{v}, "inside", hidden{value: v},
			slog.Group("g", "value", v))
		if leaks(b.String()) || !strings.Contains(b.String(), plain.Redacted) {
			t.Errorf("%s: %s", name, b.String())
		}
	}
}

func TestExpose(t *testing.T) {
	b := []byte(secret)
	v := plain.New(b)
	if string(v.Expose()) != secret || v.Len() != len(secret) {
		t.Error("the bytes are not there")
	}
	v.Wipe()
	if !bytes.Equal(b, make([]byte, len(secret))) {
		t.Error("Wipe left the bytes")
	}
	s := secret
	w := plain.Text(s)
	w.Wipe()
	if s != "hunter2" {
		t.Error("Text shares the string's memory")
	}
	var zero plain.Value
	if zero.Len() != 0 || len(zero.Expose()) != 0 || fmt.Sprint(zero) != plain.Redacted {
		t.Error("the zero Value is not empty")
	}
	zero.Wipe()
}
