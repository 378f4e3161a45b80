package audit_test

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/google/go-cmp/cmp"
)

// sample1 is the sample as format 1 can hold it.
func sample1() *audit.Entry {
	e := sample()
	e.Object = ""
	e.Items[0].KeyVersion = 0
	return e
}

// golden1 is what version 1 wrote for sample1. It is on users' disks.
const golden1 = "01" + "01020300000000000000000000000000" + "189b2c215e069d15" + "01" + "03" + "07" + "03" +
	"057265712d31" + "1d7370696666653a2f2f6578616d706c652e6f72672f7368697070696e67" +
	"0864656c6976657279" + "05706c61696e" + "03542d39" + "09637573746f6d657273" + "00" + "03" +
	"05" + "09000000000000000000000000000000" + "03" +
	"7a" + "01" + "0c" +
	"81" + "04" + "00000000000000000000000000000001"

func TestFormat1IsRead(t *testing.T) {
	raw, err := hex.DecodeString(golden1)
	if err != nil {
		t.Fatal(err)
	}
	got, err := audit.Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(sample1(), got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if d := cmp.Diff(raw, append1(nil, got)); d != "" {
		t.Errorf("the encoder of these tests is not that of version 1 (-want +got):\n%s", d)
	}
}

func TestFormat1IsStrict(t *testing.T) {
	raw := append1(nil, sample1())
	for n := range len(raw) {
		if _, err := audit.Decode(raw[:n]); !errors.Is(err, audit.ErrEntry) {
			t.Errorf("cut to %d bytes: %v", n, err)
		}
	}
	if _, err := audit.Decode(append(raw[:len(raw):len(raw)], 0)); !errors.Is(err, audit.ErrEntry) {
		t.Error("a byte too many is accepted")
	}
	none := append1(nil, &audit.Entry{Action: audit.ActionRead, Outcome: audit.Allowed})
	head := string(none[:len(none)-1]) // without the number of items
	for name, b := range map[string]string{
		"an eighth text":             head + "\x00\x00",
		"an item without an outcome": head + "\x01\x10",
		"an item of mixed outcome":   head + "\x01\x13",
		"a zero subject":             head + "\x01\x15" + strings.Repeat("\x00", 16),
		"an equal field again":       head + "\x02\x01\x07\x01\x07",
		"a zero reason":              head + "\x01\x51\x00",
	} {
		if _, err := audit.Decode([]byte(b)); !errors.Is(err, audit.ErrEntry) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := audit.Decode([]byte(head + "\x01\x12")); err != nil {
		t.Errorf("an item that is refused, which the others differ from: %v", err)
	}
}

func TestFormat2IsSmall(t *testing.T) {
	e := sample1()
	e.Items = e.Items[:1]
	before := len(append1(nil, e))
	e.Items[0].KeyVersion = 127
	if grown := len(e.Append(nil)) - before; grown > 3 {
		t.Errorf("the entry of one revealed value grew by %d bytes", grown)
	}
	e = large()
	e.Object = ""
	before = len(append1(nil, e))
	for i := range e.Items {
		e.Items[i].KeyVersion = 3
	}
	if grown := len(e.Append(nil)) - before; grown > 3 {
		t.Errorf("the entry of a thousand values of one field grew by %d bytes", grown)
	}
}

// append1 is the encoder of format 1.
func append1(dst []byte, e *audit.Entry) []byte {
	dst = append(dst, 1)
	dst = append(dst, e.ID[:]...)
	var ns uint64
	if !e.Time.IsZero() {
		ns = uint64(e.Time.UnixNano())
	}
	dst = binary.BigEndian.AppendUint64(dst, ns)
	dst = append(dst, byte(e.Action), byte(e.Outcome))
	dst = binary.AppendUvarint(dst, e.PolicyVersion)
	dst = binary.AppendUvarint(dst, uint64(e.Count))
	for _, text := range []string{e.Request, e.Principal, e.Purpose, e.View, e.Reason, e.Collection, e.Refusal} {
		dst = binary.AppendUvarint(dst, uint64(len(text)))
		dst = append(dst, text...)
	}
	dst = binary.AppendUvarint(dst, uint64(len(e.Items)))
	before := audit.Item{}
	for _, it := range e.Items {
		flags := byte(it.Outcome)
		var rest []byte
		switch {
		case it.Subject == [16]byte{}:
		case it.Subject == before.Subject:
			flags |= 1 << 3
		default:
			flags |= 1 << 2
			rest = append(rest, it.Subject[:]...)
		}
		if it.Field == before.Field {
			flags |= 1 << 4
		} else {
			rest = binary.AppendUvarint(rest, uint64(it.Field))
		}
		if it.Item != 0 {
			flags |= 1 << 5
			rest = binary.AppendUvarint(rest, uint64(it.Item))
		}
		if it.Refusal != 0 {
			flags |= 1 << 6
			rest = binary.AppendUvarint(rest, uint64(it.Refusal))
		}
		if it.Hash != [16]byte{} {
			flags |= 1 << 7
			rest = append(rest, it.Hash[:]...)
		}
		dst = append(append(dst, flags), rest...)
		before = it
	}
	return dst
}
