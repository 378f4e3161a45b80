package main_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// TestHoneyAlarm: who reveals a honey record gets the value, and the one on
// duty a signed event; the log, the file beside it and the metrics say so too.
// Afterwards the security team freezes the caller, which outlives a restart,
// and finds out what it saw.
func TestHoneyAlarm(t *testing.T) {
	t.Parallel()
	secret := bytes.Repeat([]byte{7}, 32)
	events := make(chan []byte, 10)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		mac := hmac.New(sha256.New, secret)
		_, _ = mac.Write([]byte(r.Header.Get("webhook-id") + "." + r.Header.Get("webhook-timestamp") + "." + string(body)))
		if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); r.Header.Get("webhook-signature") != want {
			t.Errorf("the signature %q, want %q", r.Header.Get("webhook-signature"), want)
		}
		events <- body
	}))
	defer hook.Close()
	dir := initVault(t)
	secretFile, lines := filepath.Join(dir, "hook.secret"), filepath.Join(dir, "audit.jsonl")
	check(t, os.WriteFile(secretFile, []byte("whsec_"+base64.StdEncoding.EncodeToString(secret)+"\n"), 0o600))
	configure(t, dir, "\nalarms:\n", "\nalarms:\n  webhooks:\n    - {name: duty, url: \""+hook.URL+"\", secret_file: "+secretFile+"}\n")
	configure(t, dir, "\nreflection: false\n", "\nreflection: false\nmetrics: {listen: \"127.0.0.1:0\"}\n")
	configure(t, dir, "directory: data/audit", "directory: data/audit\n  sinks:\n    - {name: lines, file: {path: "+lines+"}}")
	p := serve(t, dir)
	p.applyDemoPolicy()
	token, real := storeCard(t, p, "trap"), storeCard(t, p, "somebody")
	p.cli("security", "incident", "honey", "add", "trap", "--reason", "INC-1").want(t, 0)
	got, err := p.as("billing").DetokenizeOne(t.Context(), token, "payment")
	if err != nil || got.Value.ExposeText() != card {
		t.Fatalf("the reveal of a honey record: %v", err)
	}
	if _, err := p.as("billing").DetokenizeOne(t.Context(), real, "payment"); err != nil {
		t.Fatal(err)
	}
	var event struct {
		Type string
		Data struct{ Principal, Object string }
	}
	check(t, json.Unmarshal(<-events, &event))
	if event.Type != "cloakroom.alarm" || event.Data.Principal != "spiffe://cloakroom.example/billing" || event.Data.Object != "honey" {
		t.Errorf("the event says %+v", event)
	}
	alarms := p.cli("security", "audit", "list", "--action", "alarm", "--output", "json").want(t, 0)
	if !strings.Contains(alarms.out, `"honey"`) {
		t.Errorf("the log says %s", alarms.out)
	}
	if m := scrape(t, p); !regexp.MustCompile(`cloakroom_alarms_total\{rule="honey"\} 1`).MatchString(m) {
		t.Errorf("the metrics say nothing of the alarm:\n%s", m)
	}
	p.cli("security", "incident", "freeze", "principal", "spiffe://cloakroom.example/billing", "--reason", "INC-1").want(t, 0)
	p.stop()
	p = serve(t, dir)
	_, err = p.as("billing").DetokenizeOne(t.Context(), token, "payment")
	if !cloakroomError(err, "FROZEN") {
		t.Errorf("frozen before the restart: %v", err)
	}
	exposed := p.cli("security", "incident", "exposure", "--principal", "spiffe://cloakroom.example/billing", "--reason", "INC-1", "--output", "csv").want(t, 0)
	if !strings.Contains(exposed.out, "somebody") || strings.Contains(exposed.out, "trap") || !strings.Contains(exposed.out, "customers.card_pan") {
		t.Errorf("the exposure says %s", exposed.out)
	}
	p.cli("security", "audit", "verify").want(t, 0)
	p.stop()
	text, err := os.ReadFile(lines)
	check(t, err)
	for _, want := range []string{`"action":"honey"`, `"action":"alarm"`, `"action":"freeze"`, `"action":"reveal"`} {
		if !strings.Contains(strings.ReplaceAll(string(text), " ", ""), want) {
			t.Errorf("the file beside the log lacks %s", want)
		}
	}
	if strings.Contains(string(text), card) || strings.Contains(string(text), token) {
		t.Error("the file beside the log holds a value or a token")
	}
}

func cloakroomError(err error, reason string) bool {
	e, ok := err.(*cloakroom.Error)
	return ok && e.Reason == reason
}

var metricsLine = regexp.MustCompile(`serving metrics"?.*address"?[=:]"?([0-9.:]+)`)

// scrape reads the metrics of a daemon.
func scrape(t *testing.T, p *process) string {
	t.Helper()
	m := metricsLine.FindStringSubmatch(p.log.String())
	if m == nil {
		t.Fatalf("the daemon does not say where metrics are\n%s", p.log)
	}
	r, err := http.Get("http://" + m[1] + "/metrics")
	check(t, err)
	defer func() { _ = r.Body.Close() }()
	text, err := io.ReadAll(r.Body)
	check(t, err)
	return string(text)
}
