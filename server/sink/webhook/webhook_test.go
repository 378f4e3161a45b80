package webhook_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/secretfile"
	"github.com/cloakroom-vault/cloakroom/server/sink/webhook"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// The example of the specification.
	exampleSecret    = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	exampleID        = "msg_p5jXN8AQM9LWM0D4loKWxJek"
	exampleTime      = 1614265330
	exampleBody      = `{"test": 2432232314}`
	exampleSignature = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

	otherSecret = "whsec_" + "Q0FOQVJZLUNBTkFSWS1DQU5BUlktQ0FOQVJZ"
)

func TestSpecificationExample(t *testing.T) {
	got, _, err := webhook.Sign([]byte(exampleSecret+"\n"), exampleID, exampleTime, []byte(exampleBody))
	if err != nil || got != exampleSignature {
		t.Errorf("%s, %v; want %s", got, err, exampleSignature)
	}
	two, printed, err := webhook.Sign([]byte(otherSecret+"\r\n"+exampleSecret), exampleID, exampleTime, []byte(exampleBody))
	if err != nil || !strings.HasSuffix(two, " "+exampleSignature) || strings.Count(two, "v1,") != 2 {
		t.Errorf("two secrets: %s, %v", two, err)
	}
	if strings.Contains(printed, "CANARY") || strings.Contains(printed, "67 65") || strings.Contains(printed, "0x43") {
		t.Errorf("secrets print as %s", printed)
	}
}

func TestBadSecrets(t *testing.T) {
	long := func(n int) string { return "whsec_" + base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("C"), n)) }
	for name, test := range map[string]struct {
		text string
		good bool
	}{
		"24 bytes":         {long(24), true},
		"64 bytes":         {long(64), true},
		"two and a blank":  {long(32) + "\n\n" + long(32) + "\n", true},
		"23 bytes":         {long(23), false},
		"65 bytes":         {long(65), false},
		"no prefix":        {"CANARYCANARYCANARYCANARYCANARYCANARY", false},
		"no base64":        {"whsec_CANARY!CANARYCANARYCANARYCANARYCANARY", false},
		"base64 for URLs":  {"whsec_" + strings.Repeat("-_-_", 10), false},
		"three":            {long(32) + "\n" + long(32) + "\n" + long(32), false},
		"blank lines only": {"\n\n", false},
		"a space after":    {long(32) + " ", false},
	} {
		path := filepath.Join(t.TempDir(), "secret")
		must(t, os.WriteFile(path, []byte(test.text), 0o600))
		err := webhook.CheckSecret(path)
		if test.good != (err == nil) || err != nil && (!errors.Is(err, webhook.ErrSecret) || strings.Contains(err.Error(), "CANARY") || strings.Contains(err.Error(), "QUNB")) {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

// request is what a receiver got.
type request struct {
	header http.Header
	body   []byte
}

// receiver is a server that answers as it is told.
type receiver struct {
	*httptest.Server
	got    chan request
	answer chan int // the next answers; 204 when there is none
}

func receive(t *testing.T) *receiver {
	r := &receiver{got: make(chan request, 100), answer: make(chan int, 100)}
	r.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		body, err := io.ReadAll(q.Body)
		if err != nil || q.Method != http.MethodPost || q.URL.Path != "/hook/CANARY" {
			t.Errorf("%s %s: %v", q.Method, q.URL.Path, err)
		}
		r.got <- request{q.Header, body}
		select {
		case status := <-r.answer:
			if status == http.StatusTooManyRequests {
				w.Header().Set("Retry-After", "17")
			}
			http.Error(w, "CANARY", status)
		default:
			w.WriteHeader(http.StatusNoContent)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

// target is a target for the receiver, and the path of its secrets.
func (r *receiver) target(t *testing.T, now time.Time) (*webhook.Target, string) {
	dir := t.TempDir()
	ca, secret := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "secret")
	must(t, os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: r.Certificate().Raw}), 0o644))
	must(t, os.WriteFile(secret, []byte(exampleSecret+"\n"), 0o600))
	target, err := webhook.New(webhook.Options{URL: r.URL + "/hook/CANARY", SecretFile: secret, CA: ca, Now: func() time.Time { return now }})
	must(t, err)
	t.Cleanup(func() { must(t, target.Close()) })
	return target, secret
}

// verified does what the package comment tells a receiver to do.
func verified(r request, secret string, now time.Time) bool {
	at, err := strconv.ParseInt(r.header.Get("webhook-timestamp"), 10, 64)
	if err != nil || now.Sub(time.Unix(at, 0)).Abs() > 5*time.Minute {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil {
		return false
	}
	h := hmac.New(sha256.New, key)
	fmt.Fprintf(h, "%s.%s.%s", r.header.Get("webhook-id"), r.header.Get("webhook-timestamp"), r.body)
	for _, part := range strings.Split(r.header.Get("webhook-signature"), " ") {
		version, text, _ := strings.Cut(part, ",")
		if got, err := base64.StdEncoding.DecodeString(text); version == "v1" && err == nil && hmac.Equal(got, h.Sum(nil)) {
			return true
		}
	}
	return false
}

func alarm(index uint64) sink.Entry {
	e := &audit.Entry{ID: [16]byte{0xAB, 15: byte(index)}, Time: time.Unix(1_700_000_000, 5e6).UTC(), Action: audit.ActionAlarm, Outcome: audit.Allowed, Object: "honey"}
	return sink.Entry{Index: index, E: e, JSON: fmt.Appendf(nil, `{"index":"%d","object":"honey"}`, index)}
}

func TestEvent(t *testing.T) {
	now := time.Unix(1_700_000_100, 0)
	r := receive(t)
	target, secret := r.target(t, now)
	must(t, target.Deliver(t.Context(), []sink.Entry{alarm(7)}))
	got := <-r.got
	if id := got.header.Get("webhook-id"); id != "ab000000000000000000000000000007" {
		t.Errorf("id %s", id)
	}
	if got.header.Get("Content-Type") != "application/json" || got.header.Get("webhook-timestamp") != "1700000100" {
		t.Errorf("header %v", got.header)
	}
	want := `{"type":"cloakroom.alarm","timestamp":"2023-11-14T22:13:20.005Z","index":7,"data":{"index":"7","object":"honey"}}`
	if string(got.body) != want || !json.Valid(got.body) {
		t.Errorf("body %s", got.body)
	}
	if !verified(got, exampleSecret, now) || verified(got, otherSecret, now) || verified(got, exampleSecret, now.Add(time.Hour)) {
		t.Error("the signature is not the one of the recipe")
	}
	got.body[len(got.body)-3] ^= 1
	if verified(got, exampleSecret, now) {
		t.Error("a changed body verifies")
	}

	// A rotation: both, then the new one, without a restart.
	must(t, os.WriteFile(secret, []byte(otherSecret+"\n"+exampleSecret+"\n"), 0o600))
	must(t, target.Deliver(t.Context(), []sink.Entry{alarm(8)}))
	if got := <-r.got; !verified(got, exampleSecret, now) || !verified(got, otherSecret, now) {
		t.Error("while two secrets are valid, one of them does not verify")
	}
	must(t, os.WriteFile(secret, []byte(otherSecret+"\n"), 0o600))
	must(t, target.Deliver(t.Context(), []sink.Entry{alarm(9)}))
	if got := <-r.got; verified(got, exampleSecret, now) || !verified(got, otherSecret, now) {
		t.Error("a secret that was removed still signs")
	}
	must(t, os.Chmod(secret, 0o644))
	if err := target.Deliver(t.Context(), []sink.Entry{alarm(10)}); !errors.Is(err, secretfile.ErrFile) {
		t.Errorf("a secret that all may read: %v", err)
	}
}

func TestAnswers(t *testing.T) {
	r := receive(t)
	target, _ := r.target(t, time.Now())
	for _, test := range []struct {
		status int
		done   bool
		after  time.Duration
	}{
		{200, true, 0},
		{202, true, 0},
		{299, true, 0},
		{307, false, 5 * time.Minute},
		{400, false, 5 * time.Minute},
		{404, false, 5 * time.Minute},
		{408, false, 0},
		{410, false, 5 * time.Minute},
		{429, false, 17 * time.Second},
		{500, false, 0},
		{503, false, 0},
	} {
		r.answer <- test.status
		err := target.Deliver(t.Context(), []sink.Entry{alarm(1)})
		<-r.got
		if test.done != (err == nil) {
			t.Errorf("%d: %v", test.status, err)
		}
		if err == nil {
			continue
		}
		var later *sink.RetryError
		if !errors.As(err, &later) || later.After != test.after || !strings.Contains(err.Error(), strconv.Itoa(test.status)) {
			t.Errorf("%d: %v, %+v", test.status, err, later)
		}
		if strings.Contains(err.Error(), "CANARY") {
			t.Errorf("the error tells a path or an answer: %v", err)
		}
	}
}

// An alarm is tried until it is taken, with the same id, and only alarms go.
func TestFollowed(t *testing.T) {
	r := receive(t)
	target, _ := r.target(t, time.Now())
	for _, status := range []int{500, 429, 410} {
		r.answer <- status
	}
	log := &source{}
	log.add(audit.ActionReveal, audit.ActionAlarm, audit.ActionReveal, audit.ActionAlarm)
	f, err := sink.Start(sink.Options{
		Name: "duty", Target: patient{target}, Begin: sink.AtZero, MaxEntries: 1, MinBackoff: time.Millisecond, MaxBackoff: time.Millisecond,
		Filter: func(e *audit.Entry) bool { return e.Action == audit.ActionAlarm },
		Feed:   sink.NewFeed(log, func(uint64, *audit.Entry) ([]byte, error) { return []byte("{}"), nil }),
		Logger: slog.New(slog.DiscardHandler),
	})
	must(t, err)
	var ids []string
	for range 5 {
		ids = append(ids, (<-r.got).header.Get("webhook-id"))
	}
	must(t, f.Stop(t.Context()))
	if ids[0] != ids[1] || ids[0] != ids[3] || ids[4] == ids[0] || len(r.got) != 0 {
		t.Errorf("events %v and %d more", ids, len(r.got))
	}
}

// patient does not wait as long as a refusal asks for.
type patient struct{ sink.Target }

func (p patient) Deliver(ctx context.Context, batch []sink.Entry) error {
	var later *sink.RetryError
	if err := p.Target.Deliver(ctx, batch); errors.As(err, &later) {
		return errors.New("refused")
	} else if err != nil {
		return err
	}
	return nil
}

// source is a log that does not grow any more.
type source struct{ raw [][]byte }

func (s *source) add(actions ...audit.Action) {
	for _, a := range actions {
		e := &audit.Entry{ID: [16]byte{1, 15: byte(len(s.raw))}, Time: time.Unix(1_700_000_000, 0), Action: a, Outcome: audit.Allowed}
		s.raw = append(s.raw, e.Append(nil))
	}
}
func (s *source) First() uint64 { return 0 }
func (s *source) Size() uint64  { return uint64(len(s.raw)) }
func (s *source) Read(from uint64, fn func(uint64, []byte) error) error {
	for ; from < s.Size(); from++ {
		if err := fn(from, s.raw[from]); err != nil {
			return err
		}
	}
	return nil
}

func (s *source) Wait(ctx context.Context, size uint64) error {
	if size < s.Size() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
