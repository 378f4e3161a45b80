package transitkek_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek"
	"github.com/cloakroom-vault/cloakroom/keys/transitkek/transittest"
)

// on makes a fault of the requests whose path holds part.
func on(part string, f transittest.Fault) transittest.Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		return strings.Contains(r.URL.Path, part) && f(w, r)
	}
}

// say answers a text with status 200.
func say(text string) transittest.Fault {
	return func(w http.ResponseWriter, _ *http.Request) bool {
		_, _ = w.Write([]byte(text))
		return true
	}
}

func TestAnswers(t *testing.T) {
	tests := []struct {
		name  string
		fault transittest.Fault
		want  error
		tries int // of the call that fails
	}{
		{"bad request of a good key", on("/decrypt/", transittest.Status(400)), keys.ErrWrongKey, 1},
		{"denied", transittest.Status(403), keys.ErrDenied, 1},
		{"no such mount", transittest.Status(404), keys.ErrNoKey, 1},
		{"not this method", transittest.Status(405), keys.ErrUsage, 1},
		{"lagging standby", transittest.Status(412), keys.ErrAway, 4},
		{"too many requests", transittest.Status(429), keys.ErrAway, 4},
		{"redirect", func(w http.ResponseWriter, r *http.Request) bool {
			http.Redirect(w, r, "/v1/stolen", http.StatusTemporaryRedirect)
			return true
		}, keys.ErrAway, 4},
		{"internal", transittest.Status(500), keys.ErrAway, 4},
		{"gateway", transittest.Status(502), keys.ErrAway, 4},
		{"sealed", transittest.Status(503), keys.ErrAway, 4},
		{"no JSON", say("hvs.CANARY"), keys.ErrAway, 4},
		{"no plaintext", say(`{"data":{}}`), keys.ErrAway, 1},
		{"no base64", say(`{"data":{"plaintext":"CANARY*"}}`), keys.ErrAway, 4},
		{"endless", say(`{"data":{"plaintext":"cGxhaW4="}}` + strings.Repeat(" ", 1<<20)), keys.ErrAway, 4},
		{"cut off", func(http.ResponseWriter, *http.Request) bool { panic(http.ErrAbortHandler) }, keys.ErrAway, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := transittest.New()
			k := mustOpen(t, started(t, s), nil)
			blob, err := k.Wrap(t.Context(), []byte("plain"), nil)
			if err != nil {
				t.Fatal(err)
			}
			before := s.Count("/decrypt/" + keyName)
			s.Break(tt.fault)
			out, err := k.Unwrap(t.Context(), blob, nil)
			if !errors.Is(err, tt.want) || err != nil && len(out) > 0 {
				t.Errorf("%d bytes, %v, want %v", len(out), err, tt.want)
			}
			noCanary(t, err)
			if s.Count("/v1/stolen") > 0 {
				t.Error("a redirect was followed")
			}
			if n := s.Count("/decrypt/"+keyName) - before; n != tt.tries {
				t.Errorf("tried %d times, want %d", n, tt.tries)
			}
		})
	}
}

// Trouble that passes is not noticed, and Retry-After is kept to.
func TestRetryWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := transittest.New()
		k := mustOpen(t, options(t, s), s.Transport())
		blob, err := k.Wrap(t.Context(), []byte("plain"), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, wait := range []struct {
			header   string
			min, max time.Duration
		}{{"", 0, time.Second}, {"2", 4 * time.Second, 5 * time.Second}, {"9000", 10 * time.Second, 11 * time.Second}, {"soon", 0, time.Second}} {
			left := 2
			s.Break(func(w http.ResponseWriter, r *http.Request) bool {
				if left--; left < 0 {
					return false
				}
				w.Header().Set("Retry-After", wait.header)
				return transittest.Status(429)(w, r)
			})
			begin := time.Now()
			if _, err := k.Unwrap(t.Context(), blob, nil); err != nil {
				t.Error(err)
			}
			if d := time.Since(begin); d < wait.min || d > wait.max {
				t.Errorf("Retry-After %q: waited %v, want %v to %v", wait.header, d, wait.min, wait.max)
			}
		}
		k.Close()
	})
}

// A server that does not answer is away after the time-out of each attempt.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := transittest.New()
		o := options(t, s)
		o.Timeout = 3 * time.Second
		k := mustOpen(t, o, s.Transport())
		_, restore := s.Slow()
		begin := time.Now()
		_, err := k.Wrap(t.Context(), nil, nil)
		if !errors.Is(err, keys.ErrAway) || errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want ErrAway", err)
		}
		if d := time.Since(begin); d < 12*time.Second || d > 13*time.Second {
			t.Errorf("gave up after %v, want four times three seconds", d)
		}
		restore()
		k.Close()
	})
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	o := options(t, transittest.New())
	o.Address = "http://" + address
	if _, err := transitkek.OpenOver(t.Context(), o, nil, pause); !errors.Is(err, keys.ErrAway) {
		t.Errorf("got %v, want ErrAway", err)
	}
}

// TLS is checked against CAFile, and against nothing less without it.
func TestTLS(t *testing.T) {
	s := transittest.New()
	h := httptest.NewUnstartedServer(s)
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // the refused handshake is meant
	h.StartTLS()
	t.Cleanup(h.Close)
	o := options(t, s)
	o.Address = h.URL
	if _, err := transitkek.OpenOver(t.Context(), o, nil, pause); !errors.Is(err, keys.ErrAway) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("an unknown certificate: %v, want ErrAway that says so", err)
	}
	o.CAFile = write(t, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: h.Certificate().Raw})))
	if err := use(t.Context(), mustOpen(t, o, nil)); err != nil {
		t.Error(err)
	}
}

// An engine that drops associated data must not be used.
func TestEngineMustBind(t *testing.T) {
	m := transittest.NewMemory()
	m.IgnoresData = true
	s := transittest.NewOf(m)
	k := mustOpen(t, options(t, s), s.Transport())
	if blob, err := k.Wrap(t.Context(), []byte("plain"), []byte("aad")); !errors.Is(err, keys.ErrUsage) || blob != nil {
		t.Errorf("%d bytes, %v, want ErrUsage", len(blob), err)
	}
}

// What the engine says it enciphered is opened before it is believed.
func TestEngineMustEncipher(t *testing.T) {
	s := transittest.New()
	k := mustOpen(t, options(t, s), s.Transport())
	other, err := k.Wrap(t.Context(), []byte("other"), []byte("aad"))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"another plaintext": string(other[1:]), "nothing": "", "no ciphertext": "vault:v1:plain",
		"not enough": "vault:v1:AAAA", "another form": "vault:v01:" + string(other[len("\x01vault:v1:"):]),
	} {
		t.Run(name, func(t *testing.T) {
			answer, err := json.Marshal(map[string]any{"data": map[string]any{"ciphertext": text}})
			if err != nil {
				t.Fatal(err)
			}
			s.Break(on("/encrypt/", say(string(answer))))
			defer s.Break(nil)
			if blob, err := k.Wrap(t.Context(), []byte("plain"), []byte("aad")); err == nil || blob != nil {
				t.Errorf("%d bytes, %v, want an error", len(blob), err)
			}
		})
	}
}

// A key that is gone is not made again by Wrap, nor taken for one that denies.
func TestWrapMakesNoKey(t *testing.T) {
	m := transittest.NewMemory()
	s := transittest.NewOf(m)
	k := mustOpen(t, options(t, s), s.Transport())
	m.Remove(keyName)
	if _, err := k.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
	if m.Has(keyName) {
		t.Error("Wrap made a key")
	}
	// A role that may not make keys gets 403 from the engine instead of 400.
	s.Break(on("/encrypt/", transittest.Status(403)))
	if _, err := k.Wrap(t.Context(), nil, nil); !errors.Is(err, keys.ErrNoKey) {
		t.Errorf("got %v, want ErrNoKey", err)
	}
}

func TestNothingShows(t *testing.T) {
	s := transittest.New()
	o := options(t, s)
	k := mustOpen(t, o, s.Transport())
	e := mustOpenEpochs(t, o, s.Transport())
	for _, v := range []any{k, *k, e, *e, o} {
		noCanary(t, v)
		noCanary(t, fmt.Sprintf("%+v", []any{v}))
	}
	for _, r := range s.Requests() {
		if strings.Contains(r, "CANARY") {
			t.Error("a path holds a credential")
		}
	}
}

// The engine takes several texts of one ciphertext; this package takes one.
func TestCiphertextHasOneForm(t *testing.T) {
	good := "vault:v12:" + strings.Repeat("A", 40) + "AAA="
	if version, size, err := transitkek.ParseCiphertext(good); err != nil || version != 12 || size != 4 {
		t.Fatalf("version %d, %d bytes, %v", version, size, err)
	}
	for name, text := range map[string]string{
		"loose bits": strings.TrimSuffix(good, "A=") + "B=", "no padding": strings.TrimSuffix(good, "="),
		"leading zero": strings.Replace(good, "v12", "v012", 1), "version 0": strings.Replace(good, "v12", "v0", 1),
		"line end": good + "\n", "too short": "vault:v12:" + strings.Repeat("A", 36), "signed": strings.Replace(good, "v12", "v+2", 1),
	} {
		if _, _, err := transitkek.ParseCiphertext(text); !errors.Is(err, keys.ErrFormat) {
			t.Errorf("%s: %v, want ErrFormat", name, err)
		}
	}
}

func FuzzUnwrap(f *testing.F) {
	good := []byte("vault:v1:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	f.Add(good)
	f.Add(bytes.Replace(good, []byte("v1"), []byte("v01"), 1))
	f.Add(bytes.Replace(good, []byte("A="), []byte("B="), 1))
	f.Add([]byte("vault:v1:"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, blob []byte) {
		version, size, err := transitkek.ParseCiphertext(string(blob))
		if err == nil && (version < 1 || size < 0 || !bytes.HasPrefix(blob, fmt.Appendf(nil, "vault:v%d:", version))) {
			t.Errorf("took a ciphertext as version %d, %d bytes", version, size)
		}
		if err != nil && !errors.Is(err, keys.ErrFormat) {
			t.Errorf("got %v, want ErrFormat", err)
		}
	})
}

// A redirect of a request without a body, which net/http would follow by
// itself, takes the token nowhere.
func TestRedirectIsNotFollowed(t *testing.T) {
	s := transittest.New()
	o := started(t, s)
	s.Break(func(w http.ResponseWriter, r *http.Request) bool {
		http.Redirect(w, r, "/v1/stolen", http.StatusTemporaryRedirect)
		return true
	})
	if _, err := transitkek.OpenOver(t.Context(), o, nil, pause); !errors.Is(err, keys.ErrAway) || s.Count("/v1/stolen") > 0 {
		t.Errorf("%v after %d requests elsewhere, want ErrAway and none", err, s.Count("/v1/stolen"))
	}
}
