package audit_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// at is a fixed time in the middle of the range.
var at = time.Date(2026, 3, 9, 12, 30, 0, 123456789, time.UTC)

// sample returns a small valid entry.
func sample() *audit.Entry {
	return &audit.Entry{
		ID:            [16]byte{1, 2, 3},
		Time:          at,
		Request:       "req-1",
		Principal:     "spiffe://example.org/shipping",
		Action:        audit.ActionReveal,
		Purpose:       "delivery",
		View:          "plain",
		Reason:        "T-9",
		PolicyVersion: 7,
		Collection:    "customers",
		Outcome:       audit.Mixed,
		Object:        "field customers.email",
		Count:         3,
		Items: []audit.Item{
			{Subject: [16]byte{9}, Field: 3, Outcome: audit.Allowed, KeyVersion: 5},
			{Subject: [16]byte{9}, Field: 3, Item: 1, Outcome: audit.Refused, Refusal: 12},
			{Field: 4, Outcome: audit.Allowed, Hash: [16]byte{15: 1}},
		},
	}
}

func TestEncodingIsFixed(t *testing.T) {
	// These bytes are on users' disks and in their trees. They never change.
	const want = "02" + "01020300000000000000000000000000" + "189b2c215e069d15" + "01" + "03" + "07" + "03" +
		"057265712d31" + "1d7370696666653a2f2f6578616d706c652e6f72672f7368697070696e67" +
		"0864656c6976657279" + "05706c61696e" + "03542d39" + "09637573746f6d657273" + "00" +
		"156669656c6420637573746f6d6572732e656d61696c" + "03" +
		"06" + "09000000000000000000000000000000" + "03" + "05" +
		"7b" + "01" + "0c" + "00" +
		"80" + "04" + "00000000000000000000000000000001"
	if got := hex.EncodeToString(sample().Append(nil)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestNamesAreFixed(t *testing.T) {
	actions := map[audit.Action]string{
		1: "reveal", 2: "read", 3: "list", 4: "describe", 5: "tokenize", 6: "create", 7: "update", 8: "delete",
		20: "policy.apply", 21: "policy.read",
		30: "login", 40: "key.create",
		41: "key.rotate", 42: "key.promote", 43: "key.disable", 44: "key.enable", 45: "key.destroy", 46: "key.rewrap",
		47: "key.approve", 48: "key.rewrap_values", 49: "epoch.end", 50: "vault.seal", 51: "vault.unseal", 52: "key.read",
		53: "backup", 54: "restore", 55: "recovery", 56: "key.request",
		57: "key.due", 58: "key.away", 59: "repair",
		60: "freeze", 61: "thaw", 62: "honey", 63: "exposure", 64: "audit.read", 65: "alarm", 66: "audit.prune", 67: "incident.read",
	}
	for n := range 256 {
		a := audit.Action(n)
		if name, known := actions[a]; known != a.Known() || known && a.String() != name {
			t.Errorf("action %d is %q, known %t", n, a, a.Known())
		}
		if got, ok := audit.ParseAction(a.String()); ok != a.Known() || ok && got != a {
			t.Errorf("the name of action %d is read as %d, %t", n, got, ok)
		}
	}
	if _, ok := audit.ParseAction(""); ok {
		t.Error("an action without a name is read")
	}
	for o, name := range map[audit.Outcome]string{1: "allowed", 2: "refused", 3: "mixed", 9: "outcome(9)"} {
		if o.String() != name {
			t.Errorf("outcome %d is %q", o, o)
		}
	}
}

// entries draws any valid entry.
func entries() *rapid.Generator[*audit.Entry] {
	block := rapid.Custom(func(t *rapid.T) (b [16]byte) {
		b[rapid.IntRange(0, 15).Draw(t, "place")] = rapid.Byte().Draw(t, "byte") // zero now and then, equal often
		return b
	})
	item := rapid.Custom(func(t *rapid.T) audit.Item {
		return audit.Item{
			Subject: block.Draw(t, "subject"),
			Field:   rapid.SampledFrom([]uint32{0, 1, 127, 128, math.MaxUint32}).Draw(t, "field"),
			Item:    rapid.Uint16().Draw(t, "item"),
			Outcome: rapid.SampledFrom([]audit.Outcome{audit.Allowed, audit.Refused}).Draw(t, "outcome"),
			Refusal: rapid.Uint16().Draw(t, "refusal"),
			Hash:    block.Draw(t, "hash"),

			KeyVersion: rapid.SampledFrom([]uint16{0, 1, 127, 128, math.MaxUint16}).Draw(t, "version"),
		}
	})
	text := func(max int) *rapid.Generator[string] { return rapid.StringN(-1, -1, max) }
	return rapid.Custom(func(t *rapid.T) *audit.Entry {
		e := &audit.Entry{
			ID:        block.Draw(t, "id"),
			Request:   text(audit.MaxRequestLen).Draw(t, "request"),
			Principal: text(audit.MaxPrincipalLen).Draw(t, "principal"),
			Action: rapid.SampledFrom([]audit.Action{audit.ActionReveal, audit.ActionDelete,
				audit.ActionPolicyApply, audit.ActionIncidentRead}).Draw(t, "action"),
			Purpose:       text(audit.MaxNameLen).Draw(t, "purpose"),
			View:          text(audit.MaxNameLen).Draw(t, "view"),
			Reason:        text(audit.MaxReasonLen).Draw(t, "reason"),
			PolicyVersion: rapid.Uint64().Draw(t, "policy"),
			Collection:    text(audit.MaxNameLen).Draw(t, "collection"),
			Outcome:       rapid.SampledFrom([]audit.Outcome{audit.Allowed, audit.Refused, audit.Mixed}).Draw(t, "outcome"),
			Refusal:       text(audit.MaxNameLen).Draw(t, "refusal"),
			Object:        text(audit.MaxObjectLen).Draw(t, "object"),
			Count:         rapid.Uint32().Draw(t, "count"),
		}
		if ns := rapid.Int64Range(0, time.Date(2261, 12, 31, 0, 0, 0, 0, time.UTC).UnixNano()).Draw(t, "time"); ns > 0 {
			e.Time = time.Unix(0, ns).UTC()
		}
		if items := rapid.SliceOfN(item, 0, 20).Draw(t, "items"); len(items) > 0 {
			e.Items = items
		}
		return e
	})
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e := entries().Draw(t, "entry")
		if err := e.Validate(); err != nil {
			t.Fatalf("not valid: %v", err)
		}
		raw := e.Append([]byte("before"))
		if !bytes.HasPrefix(raw, []byte("before")) {
			t.Fatal("what stood in dst is gone")
		}
		got, err := audit.Decode(raw[len("before"):])
		if err != nil {
			t.Fatalf("decode: %v", err)
		}
		if d := cmp.Diff(e, got); d != "" {
			t.Fatalf("entry changed (-want +got):\n%s", d)
		}
	})
}

func TestLargestEntryFits(t *testing.T) {
	e := &audit.Entry{
		Time: at, Action: audit.ActionCreate, Outcome: audit.Mixed,
		PolicyVersion: math.MaxUint64, Count: math.MaxUint32,
		Request: strings.Repeat("x", audit.MaxRequestLen), Principal: strings.Repeat("x", audit.MaxPrincipalLen),
		Purpose: strings.Repeat("x", audit.MaxNameLen), View: strings.Repeat("x", audit.MaxNameLen),
		Reason: strings.Repeat("x", audit.MaxReasonLen), Collection: strings.Repeat("x", audit.MaxNameLen),
		Refusal: strings.Repeat("x", audit.MaxNameLen), Object: strings.Repeat("x", audit.MaxObjectLen),
	}
	for i := range audit.MaxItems {
		e.Items = append(e.Items, audit.Item{
			Subject: [16]byte{1, byte(i)}, Field: math.MaxUint32 - uint32(i%2), Item: math.MaxUint16,
			Outcome: audit.Refused, Refusal: math.MaxUint16, Hash: [16]byte{1},
			KeyVersion: math.MaxUint16 - uint16(i%2),
		})
	}
	if err := e.Validate(); err != nil {
		t.Fatal(err)
	}
	raw := e.Append(nil)
	if len(raw) > audit.MaxEncodedLen {
		t.Fatalf("%d bytes, at most %d", len(raw), audit.MaxEncodedLen)
	}
	if _, err := audit.Decode(raw); err != nil {
		t.Fatal(err)
	}
}

func TestValidate(t *testing.T) {
	const secret = "anna@example.org"
	long := strings.Repeat(secret, 40)
	tests := []struct {
		name   string
		change func(*audit.Entry)
		says   string
	}{
		{"no action", func(e *audit.Entry) { e.Action = 0 }, "action"},
		{"an action without a name", func(e *audit.Entry) { e.Action = 200 }, "action"},
		{"no outcome", func(e *audit.Entry) { e.Outcome = 0 }, "outcome"},
		{"outcome past the last", func(e *audit.Entry) { e.Outcome = 4 }, "outcome"},
		{"time before 1970", func(e *audit.Entry) { e.Time = time.Unix(-1, 0) }, "time"},
		{"time at 1970, which reads as none", func(e *audit.Entry) { e.Time = time.Unix(0, 0) }, "time"},
		{"time past 2261", func(e *audit.Entry) { e.Time = time.Date(2262, 1, 1, 0, 0, 0, 0, time.UTC) }, "time"},
		{"long request", func(e *audit.Entry) { e.Request = long }, "request"},
		{"long principal", func(e *audit.Entry) { e.Principal = long }, "principal"},
		{"long purpose", func(e *audit.Entry) { e.Purpose = long }, "purpose"},
		{"long view", func(e *audit.Entry) { e.View = long }, "view"},
		{"long reason", func(e *audit.Entry) { e.Reason = long }, "reason"},
		{"long collection", func(e *audit.Entry) { e.Collection = long }, "collection"},
		{"long refusal", func(e *audit.Entry) { e.Refusal = long }, "refusal"},
		{"long object", func(e *audit.Entry) { e.Object = long }, "object"},
		{"not UTF-8", func(e *audit.Entry) { e.Reason = secret + "\xff" }, "reason"},
		{"one item too many", func(e *audit.Entry) { e.Items = make([]audit.Item, audit.MaxItems+1) }, "items"},
		{"item without outcome", func(e *audit.Entry) { e.Items[1].Outcome = 0 }, "item 1"},
		{"mixed item", func(e *audit.Entry) { e.Items[2].Outcome = audit.Mixed }, "item 2"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := sample()
			test.change(e)
			err := e.Validate()
			if !errors.Is(err, audit.ErrEntry) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want ErrEntry that names %q", err, test.says)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds the text: %v", err)
			}
			if _, err := audit.Memory().Append(e).Wait(t.Context()); !errors.Is(err, audit.ErrEntry) {
				t.Errorf("append gives %v", err)
			}
		})
	}
	if err := sample().Validate(); err != nil {
		t.Errorf("the entry they start from: %v", err)
	}
}

func TestDecodeIsStrict(t *testing.T) {
	raw := sample().Append(nil)
	for n := range len(raw) {
		if _, err := audit.Decode(raw[:n]); !errors.Is(err, audit.ErrEntry) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := audit.Decode(append(raw[:len(raw):len(raw)], 0)); !errors.Is(err, audit.ErrEntry) {
		t.Error("a byte too many is accepted")
	}
	if _, err := audit.Decode(append([]byte{3}, raw[1:]...)); !errors.Is(err, audit.ErrFormat) {
		t.Error("another format is accepted")
	}
	none := (&audit.Entry{Action: audit.ActionRead, Outcome: audit.Allowed}).Append(nil)
	head := string(none[:len(none)-1]) // without the number of items
	block := strings.Repeat("s", 16)
	for name, b := range map[string]string{
		"a number longer than needed":      head[:27] + "\x80\x00" + head[28:] + "\x00",
		"a count past 32 bits":             head[:28] + "\xff\xff\xff\xff\x1f" + head[29:] + "\x00",
		"a time past 63 bits":              head[:17] + "\xff" + head[18:] + "\x00",
		"more items than bytes":            head + "\x02\x10",
		"more items than may be":           head + "\x81\x08" + strings.Repeat("\x10", audit.MaxItems+1),
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
	} {
		if _, err := audit.Decode([]byte(b)); !errors.Is(err, audit.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for name, b := range map[string]string{
		"no item":                 head + "\x00",
		"an item of all":          head + "\x01\xe7" + block + "\x07\x01\x01" + block + "\x09",
		"a subject again":         head + "\x02\x14" + block + "\x18",
		"a version again":         head + "\x02\x12\x07\x10",
		"no version after one":    head + "\x02\x12\x07\x12\x00",
		"an object of one letter": head[:36] + "\x01x" + "\x00",
	} {
		if _, err := audit.Decode([]byte(b)); err != nil {
			t.Errorf("%s, which the others differ from: %v", name, err)
		}
	}
	newer := append([]byte(nil), raw...)
	newer[25] = 250
	if e, err := audit.Decode(newer); err != nil || e.Action.String() != "action(250)" {
		t.Errorf("an action of a newer version: %v", err)
	}
}
