package otlp_test

import (
	"compress/gzip"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	logs "go.opentelemetry.io/proto/slim/otlp/logs/v1"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/otlp"
	"github.com/cloakroom-vault/cloakroom/server/sink/secretfile"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeCollector decodes what it gets with the messages of the protocol.
type fakeCollector struct {
	*httptest.Server
	got    chan *collector.ExportLogsServiceRequest
	header chan http.Header
	answer func(w http.ResponseWriter, records int) // nil: an empty success
}

func newCollector(t *testing.T, path string) *fakeCollector {
	c := &fakeCollector{got: make(chan *collector.ExportLogsServiceRequest, 100), header: make(chan http.Header, 100)}
	c.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || r.URL.Path != path || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s %s %v", r.Method, r.URL.Path, r.Header)
		}
		z, err := gzip.NewReader(r.Body)
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(z)
		message := &collector.ExportLogsServiceRequest{}
		if err := errors.Join(err, proto.Unmarshal(body, message)); err != nil {
			t.Error(err)
		}
		c.header <- r.Header
		c.got <- message
		w.Header().Set("Content-Type", "application/x-protobuf")
		if c.answer != nil {
			c.answer(w, len(records(message)))
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func (c *fakeCollector) ca(t *testing.T) string {
	path := filepath.Join(t.TempDir(), "ca.pem")
	must(t, os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw}), 0o644))
	return path
}

func (c *fakeCollector) target(t *testing.T, change func(*otlp.Options)) *otlp.Target {
	t.Helper()
	o := otlp.Options{Endpoint: c.URL, CA: c.ca(t), Logger: slog.New(slog.DiscardHandler), Now: func() time.Time { return time.Unix(1_700_000_099, 0) }}
	if change != nil {
		change(&o)
	}
	target, err := otlp.New(o)
	must(t, err)
	t.Cleanup(func() { must(t, target.Close()) })
	return target
}

func records(m *collector.ExportLogsServiceRequest) []*logs.LogRecord {
	return m.GetResourceLogs()[0].GetScopeLogs()[0].GetLogRecords()
}

func entries(from, n int) (all []sink.Entry) {
	for i := from; i < from+n; i++ {
		all = append(all, sink.Entry{
			Index: uint64(i), JSON: fmt.Appendf(nil, `{"index":%d}`, i),
			E: &audit.Entry{ID: [16]byte{15: byte(i)}, Time: time.Unix(1_700_000_000, 0), Action: audit.ActionReveal, Outcome: audit.Allowed},
		})
	}
	return all
}

func TestRecord(t *testing.T) {
	c := newCollector(t, "/v1/logs")
	full := sink.Entry{Index: 4711, JSON: []byte(`{"index":4711}`), E: &audit.Entry{
		ID: [16]byte{0xAB, 15: 1}, Time: time.Unix(1_700_000_000, 12345), Request: "req", Principal: "spiffe://example.org/shop",
		Action: audit.ActionReveal, Purpose: "billing", View: "plain", Reason: "T-1", PolicyVersion: 3, Collection: "customers",
		Outcome: audit.Mixed, Refusal: "FIELD_DENIED", Count: 5, Object: "obj", Items: []audit.Item{{Field: 1, Outcome: audit.Allowed}},
	}}
	bare := sink.Entry{Index: 4712, JSON: []byte(`{}`), E: &audit.Entry{Time: time.Unix(1, 0), Action: audit.ActionAlarm, Outcome: audit.Allowed}}
	calm := sink.Entry{Index: 4713, JSON: []byte(`{}`), E: &audit.Entry{Time: time.Unix(1, 0), Action: audit.ActionRead, Outcome: audit.Allowed}}
	must(t, c.target(t, nil).Deliver(t.Context(), []sink.Entry{full, bare, calm}))
	got := <-c.got

	resource := got.GetResourceLogs()[0].GetResource().GetAttributes()
	if len(resource) != 1 || resource[0].GetKey() != "service.name" || resource[0].GetValue().GetStringValue() != "cloakroomd" {
		t.Errorf("resource %v", resource)
	}
	r := records(got)
	if len(r) != 3 || len(got.GetResourceLogs()) != 1 {
		t.Fatalf("%d records", len(r))
	}
	attributes := map[string]string{}
	for _, a := range r[0].GetAttributes() {
		if _, twice := attributes[a.GetKey()]; twice {
			t.Errorf("%s stands twice", a.GetKey())
		}
		attributes[a.GetKey()] = a.GetValue().GetStringValue()
		if n := a.GetValue().GetIntValue(); n != 0 {
			attributes[a.GetKey()] = strconv.FormatInt(n, 10)
		}
	}
	want := map[string]string{
		"cloakroom.index": "4711", "cloakroom.id": "ab000000000000000000000000000001", "cloakroom.action": "reveal", "cloakroom.outcome": "mixed",
		"cloakroom.count": "5", "cloakroom.principal": "spiffe://example.org/shop", "cloakroom.purpose": "billing", "cloakroom.view": "plain",
		"cloakroom.reason": "T-1", "cloakroom.collection": "customers", "cloakroom.object": "obj", "cloakroom.refusal": "FIELD_DENIED",
		"cloakroom.request": "req", "cloakroom.policy_version": "3",
	}
	if diff := cmp.Diff(want, attributes); diff != "" {
		t.Errorf("attributes (-want +got):\n%s", diff)
	}
	if r[0].GetBody().GetStringValue() != `{"index":4711}` || r[0].GetEventName() != "cloakroom.audit.reveal" ||
		r[0].GetTimeUnixNano() != 1_700_000_000_000_012_345 || r[0].GetObservedTimeUnixNano() != 1_700_000_099_000_000_000 {
		t.Errorf("record %v", r[0])
	}
	var levels []string
	for _, one := range r {
		levels = append(levels, fmt.Sprint(one.GetSeverityText(), int32(one.GetSeverityNumber())))
	}
	if !slices.Equal(levels, []string{"WARN13", "ERROR17", "INFO9"}) {
		t.Errorf("severities %v", levels)
	}
	if len(r[1].GetAttributes()) != 5 {
		t.Errorf("empty attributes are sent: %v", r[1].GetAttributes())
	}
}

func TestEndpoint(t *testing.T) {
	for _, path := range []string{"/v1/logs", "/tenant/a/logs"} {
		c := newCollector(t, path)
		endpoint := c.URL + path
		if path == "/v1/logs" {
			endpoint = c.URL + "/"
		}
		must(t, c.target(t, func(o *otlp.Options) { o.Endpoint = endpoint }).Deliver(t.Context(), entries(0, 1)))
	}
}

func TestAnswers(t *testing.T) {
	c := newCollector(t, "/v1/logs")
	target := c.target(t, nil)
	for _, test := range []struct {
		status     int
		retryAfter string
		done       bool
		after      time.Duration
	}{
		{200, "", true, 0},
		{202, "", true, 0},
		{429, "30", false, 30 * time.Second},
		{503, "120", false, 2 * time.Minute},
		{503, "", false, 0},
		{502, "", false, 0},
		{504, "", false, 0},
		{500, "", false, time.Minute},
		{400, "", false, time.Minute},
		{401, "90", false, 90 * time.Second},
		{413, "", false, time.Minute},
		{308, "", false, time.Minute},
	} {
		c.answer = func(w http.ResponseWriter, _ int) {
			if test.retryAfter != "" {
				w.Header().Set("Retry-After", test.retryAfter)
			}
			w.WriteHeader(test.status)
			fmt.Fprint(w, "CANARY")
		}
		err := target.Deliver(t.Context(), entries(0, 1))
		<-c.got
		if test.done != (err == nil) {
			t.Errorf("%d: %v", test.status, err)
		}
		if err == nil {
			continue
		}
		var later *sink.RetryError
		if !errors.As(err, &later) || later.After != test.after || !strings.Contains(err.Error(), strconv.Itoa(test.status)) || strings.Contains(err.Error(), "CANARY") {
			t.Errorf("%d: %v, %+v", test.status, err, later)
		}
	}
	if target.Rejected() != 0 {
		t.Errorf("%d rejected", target.Rejected())
	}
}

func TestTooLarge(t *testing.T) {
	c := newCollector(t, "/v1/logs")
	var taken []int
	c.answer = func(w http.ResponseWriter, n int) {
		if n > 3 {
			w.WriteHeader(http.StatusRequestEntityTooLarge)
			return
		}
		taken = append(taken, n)
	}
	must(t, c.target(t, nil).Deliver(t.Context(), entries(0, 10)))
	var got []uint64
	for len(c.got) > 0 {
		if r := records(<-c.got); len(r) <= 3 {
			for _, one := range r {
				got = append(got, uint64(one.GetAttributes()[0].GetValue().GetIntValue()))
			}
		}
	}
	if !slices.Equal(got, []uint64{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}) {
		t.Errorf("taken in parts of %v: %v", taken, got)
	}
}

func TestPartialSuccess(t *testing.T) {
	c := newCollector(t, "/v1/logs")
	c.answer = func(w http.ResponseWriter, _ int) {
		b, err := proto.Marshal(&collector.ExportLogsServiceResponse{PartialSuccess: &collector.ExportLogsPartialSuccess{
			RejectedLogRecords: 2, ErrorMessage: "CANARY",
		}})
		if err == nil {
			_, err = w.Write(b)
		}
		if err != nil {
			t.Error(err)
		}
	}
	var out strings.Builder
	target := c.target(t, func(o *otlp.Options) { o.Logger = slog.New(slog.NewTextHandler(&out, nil)) })
	for range 3 {
		must(t, target.Deliver(t.Context(), entries(0, 5)))
	}
	if target.Rejected() != 6 || strings.Count(out.String(), "\n") != 1 || strings.Contains(out.String(), "CANARY") {
		t.Errorf("%d rejected; said: %s", target.Rejected(), out.String())
	}
}

func TestHeaders(t *testing.T) {
	c := newCollector(t, "/v1/logs")
	file := filepath.Join(t.TempDir(), "headers")
	must(t, os.WriteFile(file, []byte("# a comment\n\nAuthorization: Bearer one\r\nx-tenant:  a b \n"), 0o600))
	target := c.target(t, func(o *otlp.Options) { o.HeadersFile = file })
	must(t, target.Deliver(t.Context(), entries(0, 1)))
	if h := <-c.header; h.Get("Authorization") != "Bearer one" || h.Get("X-Tenant") != "a b" {
		t.Errorf("headers %v", h)
	}
	must(t, os.WriteFile(file, []byte("authorization: Bearer two"), 0o600))
	must(t, target.Deliver(t.Context(), entries(0, 1)))
	if h := <-c.header; h.Get("Authorization") != "Bearer two" || h.Get("X-Tenant") != "" {
		t.Errorf("headers after a change %v", h)
	}
	must(t, os.Remove(file))
	if err := target.Deliver(t.Context(), entries(0, 1)); !errors.Is(err, secretfile.ErrFile) {
		t.Errorf("err = %v", err)
	}
}

func TestBadHeaders(t *testing.T) {
	for name, text := range map[string]string{
		"no colon":          "CANARY",
		"no name":           ": CANARY",
		"space in the name": "CANARY CANARY: x",
		"no value":          "X-CANARY:  ",
		"control character": "X: CANARY\x01",
		"own header":        "content-TYPE: CANARY",
		"host":              "Host: CANARY",
	} {
		file := filepath.Join(t.TempDir(), "headers")
		must(t, os.WriteFile(file, []byte("A: b\n"+text), 0o600))
		if err := otlp.CheckHeaders(file); !errors.Is(err, otlp.ErrHeaders) || strings.Contains(err.Error(), "CANARY") || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	batch := entries(0, 500)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := otlp.Encode(batch, time.Unix(1, 0)); err != nil {
			b.Fatal(err)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
