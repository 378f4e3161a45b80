package syslog_test

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/syslog"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

func TestMessage(t *testing.T) {
	e := &audit.Entry{
		ID: [16]byte{0xAB, 15: 1}, Time: time.Unix(1_700_000_000, 123456789), Principal: `spiffe://a]b"c\d`, Action: audit.ActionReveal,
		Purpose: "line\nbreak\x00\x7f\u0085", Collection: "customers", Object: "día", Refusal: "FIELD_DENIED", Outcome: audit.Refused, Count: 5,
	}
	got := string(syslog.Message(nil, "vault 1\x01ü", sink.Entry{Index: 4711, E: e, JSON: []byte(`{"a":1}`)}, true))
	want := fmt.Sprintf(`<109>1 2023-11-14T22:13:20.123456Z vault_1__ cloakroomd %d reveal [cloakroom@32473 index="4711" `+
		`id="ab000000000000000000000000000001" principal="spiffe://a\]b\"c\\d" outcome="refused" purpose="line?break???" collection="customers" `+
		`object="día" refusal="FIELD_DENIED" count="5"] {"a":1}`, os.Getpid())
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if !grammar.MatchString(got) {
		t.Error("not RFC 5424")
	}
}

func TestSeverity(t *testing.T) {
	for want, e := range map[string]audit.Entry{
		"<110>": {Action: audit.ActionReveal, Outcome: audit.Allowed},
		"<109>": {Action: audit.ActionReveal, Outcome: audit.Mixed},
		"<105>": {Action: audit.ActionAlarm, Outcome: audit.Allowed},
	} {
		if got := string(syslog.Message(nil, "h", sink.Entry{E: &e}, true)); !strings.HasPrefix(got, want) {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// Whatever an entry's texts are, a message follows the grammar on one line.
func FuzzMessage(f *testing.F) {
	f.Add("h", "p", "o", uint8(1), uint64(1))
	f.Add("", "]\"\\\n\r\x00", "\xff\u0085", uint8(200), uint64(1<<63))
	f.Fuzz(func(t *testing.T, host, principal, object string, action uint8, index uint64) {
		e := &audit.Entry{Time: time.Unix(1, 0), Principal: principal, Object: object, Action: audit.Action(action), Outcome: audit.Allowed}
		got := string(syslog.Message(nil, host, sink.Entry{Index: index, E: e, JSON: []byte("{}")}, index%2 == 0))
		if !grammar.MatchString(got) || strings.ContainsAny(got, "\n\r\x00") {
			t.Errorf("not RFC 5424 on one line: %q", got)
		}
	})
}

func TestAddress(t *testing.T) {
	for text, good := range map[string]bool{
		"unix:/dev/log":         true,
		"udp://10.0.0.1:514":    true,
		"tcp://[::1]:601":       true,
		"tls://logs_1.x.org:1":  true,
		"unix:dev/log":          false,
		"unix:///dev/log":       false,
		"unix:":                 false,
		"unix:/a\x00":           false,
		"/dev/log":              false,
		"tcp:10.0.0.1:514":      false,
		"tcp://10.0.0.1":        false,
		"tcp://10.0.0.1:0":      false,
		"tcp://10.0.0.1:65536":  false,
		"tcp://10.0.0.1:syslog": false,
		"tcp://:514":            false,
		"tcp://a@b:514":         false,
		"tcp://a:514/":          false,
		"http://10.0.0.1:514":   false,
		"TCP://10.0.0.1:514":    false,
		"":                      false,
	} {
		a, err := syslog.ParseAddress(text)
		if good != (err == nil) || good && a.String() != text {
			t.Errorf("%q: %q, %v", text, a, err)
		}
	}
}

func BenchmarkMessage(b *testing.B) {
	e, buf := entry(1, 300), []byte(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = syslog.Message(buf[:0], "vault", e, true)
	}
}
