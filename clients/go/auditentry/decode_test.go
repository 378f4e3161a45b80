package auditentry_test

import (
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditentry"
)

// Entries as vaults have written them, in format 2 and 1. They never change.
const (
	golden2 = "02" + "01020300000000000000000000000000" + "189b2c215e069d15" + "01" + "03" + "07" + "03" +
		"057265712d31" + "1d7370696666653a2f2f6578616d706c652e6f72672f7368697070696e67" +
		"0864656c6976657279" + "05706c61696e" + "03542d39" + "09637573746f6d657273" + "00" +
		"156669656c6420637573746f6d6572732e656d61696c" + "03" +
		"06" + "09000000000000000000000000000000" + "03" + "05" +
		"7b" + "01" + "0c" + "00" +
		"80" + "04" + "00000000000000000000000000000001"
	golden1 = "01" + "01020300000000000000000000000000" + "189b2c215e069d15" + "01" + "03" + "07" + "03" +
		"057265712d31" + "1d7370696666653a2f2f6578616d706c652e6f72672f7368697070696e67" +
		"0864656c6976657279" + "05706c61696e" + "03542d39" + "09637573746f6d657273" + "00" + "03" +
		"05" + "09000000000000000000000000000000" + "03" +
		"7a" + "01" + "0c" +
		"81" + "04" + "00000000000000000000000000000001"
)

// want is what golden2 says. The contract has no reason of number 12.
func want() *auditentry.Entry {
	return &auditentry.Entry{
		ID: "01020300000000000000000000000000", Time: time.Date(2026, 3, 9, 12, 30, 0, 123456789, time.UTC),
		RequestID: "req-1", Principal: "spiffe://example.org/shipping", Action: "reveal", Purpose: "delivery", View: "plain",
		Reason: "T-9", PolicyVersion: 7, Collection: "customers", Object: "field customers.email",
		Outcome: cloakroom.OutcomeMixed, Count: 3,
		Items: []auditentry.Item{
			{Subject: "09000000000000000000000000000000", Field: 3, Outcome: cloakroom.OutcomeAllowed, KeyVersion: 5},
			{Subject: "09000000000000000000000000000000", Field: 3, Item: 1, Outcome: cloakroom.OutcomeRefused, Refusal: "12"},
			{Field: 4, Outcome: cloakroom.OutcomeAllowed, Hash: []byte{15: 1}},
		},
	}
}

func bytesOf(t testing.TB, digits string) []byte {
	t.Helper()
	b, err := hex.DecodeString(digits)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestGolden(t *testing.T) {
	got, err := auditentry.Decode(bytesOf(t, golden2))
	if d := cmp.Diff(want(), got); err != nil || d != "" {
		t.Errorf("format 2: %v (-want +got):\n%s", err, d)
	}
	older := want()
	older.Object, older.Items[0].KeyVersion = "", 0
	got, err = auditentry.Decode(bytesOf(t, golden1))
	if d := cmp.Diff(older, got); err != nil || d != "" {
		t.Errorf("format 1: %v (-want +got):\n%s", err, d)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	for _, golden := range []string{golden1, golden2} {
		raw := bytesOf(t, golden)
		for n := range len(raw) {
			if _, err := auditentry.Decode(raw[:n]); !errors.Is(err, auditentry.ErrEntry) {
				t.Errorf("format %d cut to %d bytes: %v", raw[0], n, err)
			}
		}
		if _, err := auditentry.Decode(append(raw[:len(raw):len(raw)], 0)); !errors.Is(err, auditentry.ErrEntry) {
			t.Errorf("format %d: a byte too many is accepted", raw[0])
		}
	}
	for _, format := range []byte{0, 3, 8, 255} {
		if _, err := auditentry.Decode([]byte{format, 1, 2}); !errors.Is(err, auditentry.ErrFormat) {
			t.Errorf("format %d: %v", format, err)
		}
	}
	// A read without items; head ends before their number.
	head := "\x02" + strings.Repeat("\x00", 24) + "\x02\x01" + strings.Repeat("\x00", 10)
	head1 := "\x01" + head[1:36]
	block := strings.Repeat("s", 16)
	for name, b := range map[string]string{
		"no action":                        head[:25] + "\x00" + head[26:] + "\x00",
		"no outcome":                       head[:26] + "\x00" + head[27:] + "\x00",
		"an unknown outcome":               head[:26] + "\x04" + head[27:] + "\x00",
		"a number longer than needed":      head[:27] + "\x80\x00" + head[28:] + "\x00",
		"a count past 32 bits":             head[:28] + "\xff\xff\xff\xff\x1f" + head[29:] + "\x00",
		"a time past 63 bits":              head[:17] + "\xff" + head[18:] + "\x00",
		"a time past 2261":                 head[:17] + "\x7f\xff\xff\xff\xff\xff\xff\xff" + head[25:] + "\x00",
		"more items than bytes":            head + "\x02\x10",
		"more items than may be":           head + "\x81\x08" + strings.Repeat("\x10", 1025),
		"a zero subject":                   head + "\x01\x14" + strings.Repeat("\x00", 16),
		"an equal subject again":           head + "\x02\x14" + block + "\x14" + block,
		"the same subject as none":         head + "\x01\x18",
		"a subject both new and the same":  head + "\x02\x14" + block + "\x1c" + strings.Repeat("t", 16),
		"an equal field again":             head + "\x02\x00\x07\x00\x07",
		"a zero field, which is as before": head + "\x01\x00\x00",
		"a zero number":                    head + "\x01\x30\x00",
		"a zero reason":                    head + "\x01\x50\x00",
		"a number past 16 bits":            head + "\x01\x30\x80\x80\x04",
		"a zero hash":                      head + "\x01\x90" + strings.Repeat("\x00", 16),
		"a zero version at first":          head + "\x01\x12\x00",
		"an equal version again":           head + "\x02\x12\x07\x12\x07",
		"a version past 16 bits":           head + "\x01\x12\x80\x80\x04",
		"a version that is missing":        head + "\x01\x12",
		"a text longer than it may be":     head[:29] + "\x81\x01" + strings.Repeat("x", 129) + head[30:] + "\x00",
		"a text that is not UTF-8":         head[:29] + "\x01\xff" + head[30:] + "\x00",
		"an object that is not UTF-8":      head[:36] + "\x01\xff" + "\x00",
		"format 1: an eighth text":         head1 + "\x00\x00",
		"format 1: no outcome":             head1 + "\x01\x10",
		"format 1: a mixed item":           head1 + "\x01\x13",
		"more bytes than may be":           head + "\x00" + strings.Repeat("\x00", 1<<16),
	} {
		e, err := auditentry.Decode([]byte(b))
		if !errors.Is(err, auditentry.ErrEntry) || e != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]string{
		"no item":                     head + "\x00",
		"an item of all":              head + "\x01\xe7" + block + "\x07\x01\x01" + block + "\x09",
		"a subject again":             head + "\x02\x14" + block + "\x18",
		"a version again":             head + "\x02\x12\x07\x10",
		"no version after one":        head + "\x02\x12\x07\x12\x00",
		"an object of one letter":     head[:36] + "\x01x" + "\x00",
		"format 1: a refused item":    head1 + "\x01\x12",
		"an action of a newer vault":  head[:25] + "\xfa" + head[26:] + "\x00",
		"a reason of a newer vault":   head + "\x01\x50\xff\xff\x03",
		"the last time that there is": head[:17] + "\x7f\xe0\x37\xae\x70\xf6\x00\x00" + head[25:] + "\x00",
	} {
		if _, err := auditentry.Decode([]byte(b)); err != nil {
			t.Errorf("%s, which the others differ from: %v", name, err)
		}
	}
	if e, err := auditentry.Decode([]byte(head[:25] + "\xfa" + head[26:] + "\x00")); err != nil || e.Action != "action(250)" {
		t.Errorf("an action of a newer vault: %+v, %v", e, err)
	}
}

// Whatever comes in: an entry or one of the two errors, and no panic.
func FuzzDecode(f *testing.F) {
	f.Add(bytesOf(f, golden1))
	f.Add(bytesOf(f, golden2))
	f.Fuzz(func(t *testing.T, data []byte) {
		e, err := auditentry.Decode(data)
		if (e == nil) == (err == nil) || err != nil && !errors.Is(err, auditentry.ErrEntry) && !errors.Is(err, auditentry.ErrFormat) {
			t.Errorf("%v, %v", e, err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	raw := bytesOf(b, golden2)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := auditentry.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}
