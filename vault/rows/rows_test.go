package rows_test

import (
	"bytes"
	"cmp"
	"errors"
	"math"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

func drawRecord(t *rapid.T) *rows.Record {
	r := &rows.Record{
		Live: rapid.Bool().Draw(t, "live"), Version: rapid.Uint64().Draw(t, "version"),
		Created: rapid.Int64().Draw(t, "created"), Updated: rapid.Int64().Draw(t, "updated"),
	}
	for _, field := range rapid.SliceOfDistinct(rapid.Uint32Range(1, 1<<24-1), rapid.ID[uint32]).Draw(t, "fields") {
		f := r.Of(field)
		f.Next = rapid.Uint16Min(1).Draw(t, "next")
		if f.Next > 1 {
			f.Items = rapid.SliceOfN(rapid.Uint16Range(1, f.Next-1), 0, 5).Draw(t, "items")
		}
		if len(f.Items) == 0 {
			f.Items = nil
		}
	}
	return r
}

func TestRowsRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r := drawRecord(t)
		got, err := rows.ParseRecord(r.Append(nil))
		if err != nil {
			t.Fatal(err)
		}
		if diff := gocmp.Diff(r, got); diff != "" {
			t.Fatal(diff)
		}
		if diff := gocmp.Diff(r, r.Clone()); diff != "" {
			t.Fatal(diff)
		}
		h := rows.Header{
			State: rapid.SampledFrom([]rows.State{rows.Active, rows.Erased}).Draw(t, "state"), KeyGeneration: rapid.Uint32().Draw(t, "key"),
			TokenGeneration: rapid.Uint8().Draw(t, "token"), Records: rapid.Uint16().Draw(t, "records"),
		}
		if got, err := rows.ParseHeader(h.Append(nil)); err != nil || got != h {
			t.Fatalf("%+v, %v", got, err)
		}
		c := rows.ControlRow{Policy: rapid.Uint64().Draw(t, "policy"), Keysets: rapid.Uint64().Draw(t, "keysets"), Freezes: rapid.Uint64().Draw(t, "freezes")}
		if got, err := rows.ParseControl(c.Append(nil)); err != nil || got != c {
			t.Fatalf("%+v, %v", got, err)
		}
		q := rows.Request{Created: rapid.Bool().Draw(t, "created"), Ref: rapid.Uint64().Draw(t, "ref"), Count: rapid.Uint64().Draw(t, "count"), Expires: rapid.Int64().Draw(t, "expires")}
		copy(q.Digest[:], rapid.SliceOfN(rapid.Byte(), 16, 16).Draw(t, "digest"))
		if got, err := rows.ParseRequest(q.Append(nil)); err != nil || got != q {
			t.Fatalf("%+v, %v", got, err)
		}
		e := rows.Epoch{Number: rapid.Uint32().Draw(t, "epoch"), Made: rapid.Int64().Draw(t, "made"), Wrapped: rapid.SliceOfN(rapid.Byte(), 1, 80).Draw(t, "wrapped")}
		if got, err := rows.ParseEpoch(e.Append(nil)); err != nil || got.Number != e.Number || got.Made != e.Made || !bytes.Equal(got.Wrapped, e.Wrapped) {
			t.Fatalf("%+v, %v", got, err)
		}
		n := rows.EndedEpoch{
			Number: e.Number, Made: e.Made, Ended: rapid.Int64().Draw(t, "ended"), Copies: rapid.Int64().Draw(t, "copies"),
			Certain: rapid.Bool().Draw(t, "certain"), How: rapid.StringN(-1, -1, 1024).Draw(t, "how"),
		}
		if got, err := rows.ParseEndedEpoch(n.Append(nil)); err != nil || got != n {
			t.Fatalf("%+v, %v", got, err)
		}
		due := rapid.Int64().Draw(t, "due")
		if got, err := rows.ParseCompactDue(rows.AppendCompactDue(nil, due)); err != nil || got != due {
			t.Fatalf("%d, %v", got, err)
		}
	})
}

// A copy shares nothing with its original.
func TestCloneIsDeep(t *testing.T) {
	r := &rows.Record{Version: 1, Fields: []rows.FieldItems{{Field: 1, Next: 3, Items: []uint16{1, 2}}}}
	c := r.Clone()
	c.Of(1).Items[0] = 9
	c.Of(1).Items = append(c.Of(1).Items, 3)
	c.Of(0).Next = 7
	if len(r.Fields) != 1 || r.Fields[0].Items[0] != 1 || len(r.Fields[0].Items) != 2 {
		t.Errorf("the original changed: %+v", r)
	}
}

func TestFieldsStandInOrder(t *testing.T) {
	r := &rows.Record{}
	for _, n := range []uint32{5, 1, 9, 5, 3} {
		if f := r.Of(n); f.Field != n || f.Next != 1 {
			t.Errorf("a new field is %+v", f)
		}
	}
	if len(r.Fields) != 4 || !slices.IsSortedFunc(r.Fields, func(a, b rows.FieldItems) int { return cmp.Compare(a.Field, b.Field) }) {
		t.Errorf("%+v", r.Fields)
	}
	if r.Find(3) == nil || r.Find(4) != nil || r.Find(10) != nil || r.Find(0) != nil {
		t.Error("Find finds what is not there, or does not find what is")
	}
}

// Every row that is cut off, too long, or of another format is refused.
func TestDamagedRowsAreRefused(t *testing.T) {
	record := &rows.Record{Live: true, Version: 1, Fields: []rows.FieldItems{{Field: 2, Next: 3, Items: []uint16{1, 2}}}}
	header := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1, Records: 1}
	request := rows.Request{Created: true, Ref: 1}
	epoch := rows.Epoch{Number: 1, Made: 1, Wrapped: []byte{1}}
	ended := rows.EndedEpoch{Number: 1, How: "by fire"}
	for name, c := range map[string]struct {
		row   []byte
		parse func([]byte) error
		open  bool // may be longer
	}{
		"record":  {record.Append(nil), func(b []byte) error { _, err := rows.ParseRecord(b); return err }, false},
		"header":  {header.Append(nil), func(b []byte) error { _, err := rows.ParseHeader(b); return err }, false},
		"control": {rows.ControlRow{Policy: 1}.Append(nil), func(b []byte) error { _, err := rows.ParseControl(b); return err }, false},
		"request": {request.Append(nil), func(b []byte) error { _, err := rows.ParseRequest(b); return err }, false},
		"epoch":   {epoch.Append(nil), func(b []byte) error { _, err := rows.ParseEpoch(b); return err }, true},
		"ended":   {ended.Append(nil)[:30], func(b []byte) error { _, err := rows.ParseEndedEpoch(b); return err }, true},
		"compact": {rows.AppendCompactDue(nil, 1), func(b []byte) error { _, err := rows.ParseCompactDue(b); return err }, false},
	} {
		t.Run(name, func(t *testing.T) {
			if err := c.parse(c.row); err != nil {
				t.Fatal(err)
			}
			for n := range len(c.row) {
				if name == "record" && n == 26 {
					continue // a record without fields
				}
				if err := c.parse(c.row[:n]); !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFormat) {
					t.Errorf("cut to %d bytes: %v", n, err)
				}
			}
			if err := c.parse(append(bytes.Clone(c.row), 0)); !c.open && err == nil {
				t.Error("a byte too many was taken")
			}
			other := bytes.Clone(c.row)
			other[0]++
			if err := c.parse(other); !errors.Is(err, store.ErrFormat) {
				t.Errorf("the next format: %v", err)
			}
		})
	}
	for name, f := range map[string]rows.FieldItems{
		"item 0":               {Field: 1, Next: 2, Items: []uint16{0}},
		"an item not given":    {Field: 1, Next: 2, Items: []uint16{2}},
		"a next item number 0": {Field: 1, Next: 0},
	} {
		r := &rows.Record{Fields: []rows.FieldItems{f}}
		if _, err := rows.ParseRecord(r.Append(nil)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := &rows.Record{Fields: []rows.FieldItems{{Field: 1, Next: 1}, {Field: 1, Next: 1}}}
	if _, err := rows.ParseRecord(twice.Append(nil)); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a field twice: %v", err)
	}
	for name, h := range map[string]rows.Header{"state 0": {}, "state 3": {State: 3}} {
		if _, err := rows.ParseHeader(h.Append(nil)); !errors.Is(err, store.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
	flagged := header.Append(nil)
	flagged[7] = 1
	if _, err := rows.ParseHeader(flagged); err == nil {
		t.Error("a header with an unknown flag was taken")
	}
}

func TestTables(t *testing.T) {
	for name, tables := range map[string][]store.Table{"values": rows.ValueTables(), "keys": rows.KeyTables()} {
		numbers, names := map[uint8]bool{}, map[string]bool{}
		for _, table := range tables {
			if numbers[table.Number] || names[table.Name] || table.Number == 0 {
				t.Errorf("%s: table %d, %s stands twice", name, table.Number, table.Name)
			}
			numbers[table.Number], names[table.Name] = true, true
			if name == "keys" && table.Kind != store.Ordered {
				t.Errorf("table %s of the key store is scattered", table.Name)
			}
		}
	}
	if rows.AppendLedger(nil, math.MaxInt64)[0] != 1 {
		t.Error("a ledger entry without its format")
	}
}

// A vault that was made before the row told when the epoch was made is read.
func TestEpochOfTheFirstFormat(t *testing.T) {
	e, err := rows.ParseEpoch([]byte{1, 0, 0, 0, 7, 'k'})
	if err != nil || e.Number != 7 || e.Made != 0 || string(e.Wrapped) != "k" {
		t.Errorf("%+v, %v", e, err)
	}
	if _, err := rows.ParseEpoch([]byte{1, 0, 0, 0, 7}); !errors.Is(err, store.ErrFormat) {
		t.Errorf("without a key: %v", err)
	}
}
