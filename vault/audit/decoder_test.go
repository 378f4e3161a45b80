package audit_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// TestDecoderGivesWhatDecodeGives holds for entries in any order, so that
// nothing of one is found in the next.
func TestDecoderGivesWhatDecodeGives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var d audit.Decoder
		for _, e := range rapid.SliceOfN(entries(), 1, 8).Draw(t, "entries") {
			raw := e.Append(nil)
			if rapid.Bool().Draw(t, "cut") {
				raw = raw[:rapid.IntRange(0, len(raw)-1).Draw(t, "to")]
			}
			want, wantErr := audit.Decode(raw)
			got, err := d.Decode(raw)
			if fmt.Sprint(err) != fmt.Sprint(wantErr) {
				t.Fatalf("got %v, want %v", err, wantErr)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("(-want +got):\n%s", diff)
			}
		}
	})
}

// TestDecoderTextsStay keeps the texts of many entries while the decoder and
// the bytes it read go on to others.
func TestDecoderTextsStay(t *testing.T) {
	var d audit.Decoder
	var raw []byte
	kept := map[int][3]string{}
	long := strings.Repeat("x", 100)
	for i := range 10_000 {
		e := sample()
		e.Request, e.Principal, e.Object = fmt.Sprint("request ", i, long), fmt.Sprint("principal ", i%5000), fmt.Sprint("object ", i)
		raw = e.Append(raw[:0])
		got, err := d.Decode(raw)
		if err != nil {
			t.Fatal(err)
		}
		kept[i] = [3]string{got.Request, got.Principal, got.Object}
	}
	for i, texts := range kept {
		if want := [3]string{fmt.Sprint("request ", i, long), fmt.Sprint("principal ", i%5000), fmt.Sprint("object ", i)}; texts != want {
			t.Fatalf("entry %d: %q became %q", i, want, texts)
		}
	}
}

// stream is the encodings of n reveals, each with a request of its own.
func stream(n int) [][]byte {
	var all [][]byte
	for i := range n {
		e := sample()
		e.Request, e.Principal = fmt.Sprintf("0b1c3a52-77aa-4ce1-9f00-%012d", i), fmt.Sprint("spiffe://example.org/service-", i%50)
		all = append(all, e.Append(nil))
	}
	return all
}

func TestDecoderAllocatesLittle(t *testing.T) {
	all := stream(1000)
	var d audit.Decoder
	pass := func() {
		for _, raw := range all {
			if _, err := d.Decode(raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	pass()
	if n := testing.AllocsPerRun(10, pass); n > 10 {
		t.Errorf("%v allocations for a thousand entries", n)
	}
}

func BenchmarkDecoder(b *testing.B) {
	all := stream(1000)
	var d audit.Decoder
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if _, err := d.Decode(all[i%len(all)]); err != nil {
			b.Fatal(err)
		}
	}
}

// FuzzDecode holds that no entry has two encodings in one format: what
// decodes, encodes to the same bytes. And that a Decoder in use agrees.
func FuzzDecode(f *testing.F) {
	for _, e := range []*audit.Entry{
		sample1(),
		{Action: 1, Outcome: 1},
		{Action: 8, Outcome: 2, Items: []audit.Item{{Outcome: 1}, {Outcome: 2, Field: 5}}},
	} {
		f.Add(e.Append(nil))
		f.Add(append1(nil, e))
	}
	f.Add(sample().Append(nil))
	var d audit.Decoder
	f.Fuzz(func(t *testing.T, b []byte) {
		e, err := audit.Decode(b)
		again, errAgain := d.Decode(b)
		if fmt.Sprint(err) != fmt.Sprint(errAgain) || err == nil && !cmp.Equal(e, again) {
			t.Fatalf("the decoder gives another entry or %v, want %v", errAgain, err)
		}
		if err != nil {
			if !errors.Is(err, audit.ErrEntry) && !errors.Is(err, audit.ErrFormat) {
				t.Fatalf("unnamed error: %v", err)
			}
			return
		}
		got := e.Append(nil)
		if b[0] == 1 {
			got = append1(nil, e)
		}
		if !bytes.Equal(got, b) {
			t.Fatalf("accepted %x\nencodes to %x", b, got)
		}
	})
}
