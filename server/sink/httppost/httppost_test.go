package httppost_test

import (
	"encoding/pem"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestURL(t *testing.T) {
	for text, good := range map[string]bool{
		"https://siem.example.org/hook/CANARY":    true,
		"https://siem.example.org:8443/a?b=c":     true,
		"https://[2001:db8::1]/x":                 true,
		"http://127.0.0.1:4318":                   true,
		"http://127.8.8.8/x":                      true,
		"http://[::1]:4318/x":                     true,
		"http://localhost:4318/x":                 true,
		"http://siem.example.org/CANARY":          false,
		"http://localhost.example.org/CANARY":     false,
		"http://10.0.0.1/CANARY":                  false,
		"http://[::ffff:10.0.0.1]/CANARY":         false,
		"ftp://siem.example.org/CANARY":           false,
		"siem.example.org/CANARY":                 false,
		"https:///CANARY":                         false,
		"https://:443/CANARY":                     false,
		"https:CANARY":                            false,
		"https://CANARY:CANARY@siem.example.org/": false,
		"https://siem.example.org/#CANARY":        false,
		"https://siem.example.org:0/CANARY":       false,
		"https://siem.example.org:70000/CANARY":   false,
		"https://siem.example.org/CANARY\n":       false,
		"https://siem.example.org/%zzCANARY":      false,
		"":                                        false,
	} {
		_, err := httppost.ParseURL(text)
		if good != (err == nil) {
			t.Errorf("%q: err = %v", text, err)
		}
		if err != nil && (!errors.Is(err, httppost.ErrURL) || strings.Contains(err.Error(), "CANARY")) {
			t.Errorf("%q: err = %v", text, err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for text, want := range map[string]time.Duration{
		"": 0, "120": 2 * time.Minute, "0": 0, "-1": 0, "1.5": 0, "soon": 0, "99999999999999999999": 0,
		"Fri, 02 Jan 2026 03:05:05 GMT": time.Minute,
		"Fri, 02 Jan 2026 03:03:05 GMT": 0,
	} {
		if got := httppost.RetryAfter(text, now); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

func TestTLS(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.Header.Get("X-Test") != "yes" {
			w.WriteHeader(http.StatusTeapot)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // of a handshake that must fail
	server.StartTLS()
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o644))

	trusting := client(t, server.URL+"/hook/CANARY", ca)
	if a, err := trusting.Post(t.Context(), http.Header{"X-Test": {"yes"}}, []byte("{}")); err != nil || !a.OK() {
		t.Errorf("%+v, %v", a, err)
	}
	// The system's authorities do not know the server's.
	_, err := client(t, server.URL+"/hook/CANARY", "").Post(t.Context(), nil, nil)
	if !errors.Is(err, httppost.ErrNetwork) || !strings.Contains(err.Error(), "certificate") || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("err = %v", err)
	}
}

// A redirect would carry an event, and what signs it, to where somebody else
// says.
func TestNoRedirect(t *testing.T) {
	asked := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	c := client(t, server.URL, "")
	a, err := c.Post(t.Context(), nil, []byte("{}"))
	if err != nil || a.OK() || a.Status != 307 || asked != 0 {
		t.Errorf("%+v, %v; the other server was asked %d times", a, err, asked)
	}
}

func TestNoAnswer(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // the server looks for the end of the connection after that
		<-r.Context().Done()
	}))
	c, err := httppost.New(server.URL+"/CANARY", "", 50*time.Millisecond)
	must(t, err)
	defer c.Close()
	if _, err := c.Post(t.Context(), nil, []byte("CANARY")); !errors.Is(err, httppost.ErrNetwork) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("a server that hangs: err = %v", err)
	}
	server.Close()
	if _, err := c.Post(t.Context(), nil, []byte("CANARY")); !errors.Is(err, httppost.ErrNetwork) || strings.Contains(err.Error(), "CANARY") {
		t.Errorf("no server: err = %v", err)
	}
}

func TestRefused(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "90")
		http.Error(w, "CANARY", http.StatusServiceUnavailable)
	}))
	defer server.Close()
	c := client(t, server.URL+"/CANARY", "")
	a, err := c.Post(t.Context(), nil, nil)
	must(t, err)
	for least, want := range map[time.Duration]time.Duration{0: 90 * time.Second, time.Hour: time.Hour} {
		var later *sink.RetryError
		err := c.Refused(a, least)
		if !errors.As(err, &later) || later.After != want || !strings.Contains(err.Error(), "503") || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%v after %v", err, later.After)
		}
	}
}

func TestBadCA(t *testing.T) {
	text := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(text, []byte("hello"), 0o644))
	for _, ca := range []string{text, text + ".none"} {
		if _, err := httppost.New("https://siem.example.org", ca, time.Second); !errors.Is(err, httppost.ErrCA) {
			t.Errorf("err = %v", err)
		}
	}
}

func client(t *testing.T, url, ca string) *httppost.Client {
	t.Helper()
	c, err := httppost.New(url, ca, 10*time.Second)
	must(t, err)
	t.Cleanup(c.Close)
	return c
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A name that says this machine may lead elsewhere.
func TestHTTPStaysHere(t *testing.T) {
	for address, good := range map[string]bool{
		"127.0.0.1:80": true, "[::1]:80": true, "[::ffff:127.0.0.1]:80": true, "10.0.0.1:80": false, "[::ffff:10.0.0.1]:80": false, "0.0.0.0:80": false, "x": false,
	} {
		if err := httppost.Loopback(address); good != (err == nil) {
			t.Errorf("%s: %v", address, err)
		}
	}
}
