package exposure_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/exposure"
	gocmp "github.com/google/go-cmp/cmp"
)

// The example that a reader of the package would do by hand.
func TestRowsAndSummary(t *testing.T) {
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	anna, ben := [16]byte{0x10, 1}, [16]byte{0x10, 2}
	list := []*audit.Entry{
		{Time: at(5), Principal: "shipping", Purpose: "delivery", View: "plain", Items: []audit.Item{{Subject: ben, Field: 2}, {Subject: anna, Field: 9}}},
		{Time: at(2), Principal: "billing", Purpose: "payment", View: "masked", Items: []audit.Item{{Subject: anna, Field: 9}, {Subject: anna, Field: 9, Item: 1}}},
		{Time: at(9), Principal: "shipping", Purpose: "payment", View: "plain", Items: []audit.Item{{Subject: anna, Field: 3}}},
		{Principal: "shipping", Purpose: "delivery", View: "plain", Items: []audit.Item{{Subject: anna, Field: 3}, {Subject: ben, Field: 4}}},
	}
	tally := exposure.New(exposure.Query{})
	for i, e := range list {
		e.Action, e.Outcome = audit.ActionReveal, audit.Allowed
		for k := range e.Items {
			e.Items[k].Outcome = audit.Allowed
		}
		if err := tally.Add(uint64(40-i), e); err != nil { // the log read backwards
			t.Fatal(err)
		}
	}
	one := []string{"shipping"}
	wantRows := []exposure.Row{
		{Subject: anna, Field: 3, First: at(9), Last: at(9), Count: 2, Views: []string{"plain"}, Principals: one,
			Purposes: []string{"delivery", "payment"}, FirstEntry: 37, LastEntry: 38},
		{Subject: anna, Field: 9, First: at(2), Last: at(5), Count: 3, Views: []string{"masked", "plain"},
			Principals: []string{"billing", "shipping"}, Purposes: []string{"delivery", "payment"}, FirstEntry: 39, LastEntry: 40},
		{Subject: ben, Field: 2, First: at(5), Last: at(5), Count: 1, Views: []string{"plain"}, Principals: one,
			Purposes: []string{"delivery"}, FirstEntry: 40, LastEntry: 40},
		{Subject: ben, Field: 4, Count: 1, Views: []string{"plain"}, Principals: one,
			Purposes: []string{"delivery"}, FirstEntry: 37, LastEntry: 37}, // no time is known
	}
	if d := gocmp.Diff(wantRows, slices.Collect(tally.Rows())); d != "" {
		t.Errorf("rows (-want +got):\n%s", d)
	}
	want := exposure.Summary{
		Begin: 37, End: 41, Entries: 4, Matching: 4, Subjects: 2, Rows: 4, Values: 7, First: at(2), Last: at(9),
		Principals: []exposure.NameCount{{Name: "shipping", Entries: 3, Values: 5}, {Name: "billing", Entries: 1, Values: 2}},
		Purposes:   []exposure.NameCount{{Name: "delivery", Entries: 2, Values: 4}, {Name: "payment", Entries: 2, Values: 3}},
		Views:      []exposure.NameCount{{Name: "plain", Entries: 3, Values: 5}, {Name: "masked", Entries: 1, Values: 2}},
		Fields: []exposure.FieldCount{{Field: 9, Subjects: 1, Values: 3}, {Field: 3, Subjects: 1, Values: 2},
			{Field: 2, Subjects: 1, Values: 1}, {Field: 4, Subjects: 1, Values: 1}},
	}
	if d := gocmp.Diff(want, tally.Summary()); d != "" {
		t.Errorf("summary (-want +got):\n%s", d)
	}
}

func TestRowIsSmall(t *testing.T) {
	if exposure.RowSize > 64 {
		t.Errorf("%d bytes; the package comment says 64", exposure.RowSize)
	}
}

// Nothing is cut: the answer that fits is whole, and the next row is an error.
func TestBounds(t *testing.T) {
	type step func(n int) *audit.Entry
	rows := func(n int) *audit.Entry {
		e := reveal()
		e.Items = e.Items[:1]
		e.Items[0].Subject = [16]byte{byte(n), byte(n >> 8)}
		return e
	}
	callers := func(n int) *audit.Entry {
		e := rows(0)
		e.Principal = fmt.Sprintf("caller %d", n)
		return e
	}
	tests := []struct {
		name  string
		limit string
		max   uint64
		tally func() *exposure.Tally
		step  step
		fit   int // entries that fit
	}{
		{"rows", "rows", 300, func() *exposure.Tally { return exposure.New(exposure.Query{MaxRows: 300}) }, rows, 300},
		{"one row", "rows", 1, func() *exposure.Tally { return exposure.New(exposure.Query{MaxRows: 1}) }, rows, 1},
		{"combinations", "combinations", 7, func() *exposure.Tally {
			tally := exposure.New(exposure.Query{})
			tally.LimitCombinations(7)
			return tally
		}, callers, 7},
		{"combinations of a row", "combinations of rows", 65535, func() *exposure.Tally {
			tally := exposure.New(exposure.Query{MaxRows: 1})
			tally.LimitFurther(5)
			return tally
		}, callers, 6},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			tally, other := test.tally(), exposure.New(exposure.Query{})
			for n := range 2 * test.fit { // each twice: what is known takes no room
				if err := tally.Add(uint64(n), test.step(n%test.fit)); err != nil {
					t.Fatalf("entry %d: %v", n, err)
				}
			}
			if sum := tally.Summary(); sum.Values != uint64(2*test.fit) {
				t.Errorf("%d values, want %d", sum.Values, 2*test.fit)
			}
			if err := other.Add(1000, test.step(test.fit)); err != nil {
				t.Fatal(err)
			}
			for way, err := range map[string]error{"merge": tally.Merge(other), "add after it": tally.Add(0, test.step(0))} {
				var limit *exposure.LimitError
				if !errors.As(err, &limit) || !errors.Is(err, exposure.ErrLimit) {
					t.Fatalf("%s gives %v", way, err)
				}
				if limit.Limit != test.limit || limit.Max != test.max || !strings.Contains(err.Error(), fmt.Sprint(test.max)) {
					t.Errorf("%s gives %v, want %s %d", way, err, test.limit, test.max)
				}
			}
			if err := other.Merge(tally); !errors.Is(err, exposure.ErrLimit) {
				t.Errorf("an incomplete tally is merged: %v", err)
			}
			tally = test.tally()
			var err error
			for n := range test.fit + 1 {
				if err = tally.Add(uint64(n), test.step(n)); err != nil && n < test.fit {
					t.Fatalf("entry %d: %v", n, err)
				}
			}
			if !errors.Is(err, exposure.ErrLimit) {
				t.Errorf("add past the bound gives %v", err)
			}
		})
	}
}

// The bound holds over all parts of a scan together.
func TestScanBound(t *testing.T) {
	var list []*audit.Entry
	for n := range 100 {
		e := reveal()
		e.Items = e.Items[:1]
		e.Items[0].Subject = [16]byte{byte(n % 50)}
		list = append(list, e)
	}
	log := logOf(t, list)
	for max, want := range map[int]error{49: exposure.ErrLimit, 50: nil} {
		tally, err := exposure.ScanSmall(t.Context(), log, exposure.Query{MaxRows: max}, nil, 4)
		if !errors.Is(err, want) || (tally == nil) != (want != nil) {
			t.Errorf("at most %d rows of 50: %v", max, err)
		}
	}
}

// Entries may be overwritten after Add, their texts too.
func TestNothingOfAnEntryIsKept(t *testing.T) {
	asked := 0
	tally := exposure.New(exposure.Query{Match: func(p string, _ uint64) bool {
		asked++
		return p != "shipping 1"
	}})
	for i := range 6 {
		e := reveal()
		text := fmt.Appendf(nil, "shipping %d", i%3)
		e.Principal = unsafe.String(&text[0], len(text))
		if err := tally.Add(uint64(i), e); err != nil {
			t.Fatal(err)
		}
		clear(text)
		clear(e.Items)
	}
	rows := slices.Collect(tally.Rows())
	if len(rows) != 2 || !slices.Equal(rows[0].Principals, []string{"shipping 0", "shipping 2"}) || rows[0].Count != 4 {
		t.Errorf("rows %+v", rows)
	}
	if asked != 3 {
		t.Errorf("asked %d times for three callers", asked)
	}
}

// Subjects that begin alike, as no cipher makes them, are as right as others.
func TestManyRowsInOneShard(t *testing.T) {
	const subjects, fields = 1500, 3
	tally := exposure.New(exposure.Query{})
	for n := range 2 * subjects * fields {
		e, k := reveal(), n*7%(subjects*fields) // each place twice, not in order
		e.Items = e.Items[:1]
		e.Items[0].Subject = [16]byte{5, byte(k / fields >> 8), byte(k / fields)}
		e.Items[0].Field = uint32(k%fields) + 1
		if err := tally.Add(uint64(n), e); err != nil {
			t.Fatal(err)
		}
	}
	k := 0
	for r := range tally.Rows() {
		if want := [16]byte{5, byte(k / fields >> 8), byte(k / fields)}; r.Subject != want || r.Field != uint32(k%fields)+1 || r.Count != 2 {
			t.Fatalf("row %d is of subject %x, field %d, %d times", k, r.Subject, r.Field, r.Count)
		}
		k++
	}
	if s := tally.Summary(); k != subjects*fields || s.Subjects != subjects || s.Values != 2*subjects*fields {
		t.Errorf("%d rows, %d subjects, %d values", k, s.Subjects, s.Values)
	}
}

// Two tallies number combinations and rows each in its own order.
func TestMergeTranslatesNumbers(t *testing.T) {
	count := func(tally *exposure.Tally, principal string, subject byte) {
		e := reveal()
		e.Principal, e.Items = principal, e.Items[:1]
		e.Items[0].Subject = [16]byte{1, subject}
		if err := tally.Add(0, e); err != nil {
			t.Fatal(err)
		}
	}
	a, b := exposure.New(exposure.Query{}), exposure.New(exposure.Query{})
	count(a, "beta", 1)
	count(a, "gamma", 2)
	for _, principal := range []string{"alpha", "beta", "gamma"} {
		count(b, principal, 2)
	}
	count(b, "alpha", 1)
	count(b, "alpha", 3)
	count(b, "gamma", 3)
	if err := a.Merge(b); err != nil {
		t.Fatal(err)
	}
	want := [][]string{{"alpha", "beta"}, {"alpha", "beta", "gamma"}, {"alpha", "gamma"}}
	for i, r := range slices.Collect(a.Rows()) {
		if !slices.Equal(r.Principals, want[i]) {
			t.Errorf("row %d: %v, want %v", i, r.Principals, want[i])
		}
	}
}

func TestRowsCanStop(t *testing.T) {
	tally := exposure.New(exposure.Query{})
	if err := tally.Add(0, reveal()); err != nil { // rows in two shards
		t.Fatal(err)
	}
	for r := range tally.Rows() {
		if r.Subject[0] != 8 {
			t.Error("not the first row")
		}
		break
	}
}

// TestExcept: excepted subjects are counted apart, and only what would have
// counted otherwise.
func TestExcept(t *testing.T) {
	trap := [16]byte{7}
	e := &audit.Entry{Action: audit.ActionReveal, Principal: "p", Outcome: audit.Mixed, Time: time.Unix(10, 0), Items: []audit.Item{
		{Subject: trap, Field: 1, Outcome: audit.Allowed}, {Subject: [16]byte{8}, Field: 1, Outcome: audit.Allowed},
		{Subject: trap, Field: 2, Outcome: audit.Allowed}, {Subject: trap, Field: 1, Outcome: audit.Refused},
	}}
	tally := exposure.New(exposure.Query{Fields: []uint32{1}, Except: [][16]byte{trap}})
	other := exposure.New(exposure.Query{Fields: []uint32{1}, Except: [][16]byte{trap}})
	for i, to := range []*exposure.Tally{tally, other} {
		if err := to.Add(uint64(i), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := tally.Merge(other); err != nil {
		t.Fatal(err)
	}
	s := tally.Summary()
	if s.Values != 2 || s.Excepted != 2 || s.Rows != 1 || s.Subjects != 1 {
		t.Errorf("%d values, %d excepted, %d rows", s.Values, s.Excepted, s.Rows)
	}
}
