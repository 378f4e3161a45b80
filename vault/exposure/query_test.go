package exposure_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/exposure"
	gocmp "github.com/google/go-cmp/cmp"
)

func TestValidate(t *testing.T) {
	const secret = "spiffe://example.org/anna"
	tests := []struct {
		name string
		q    exposure.Query
		says string // empty: valid
	}{
		{"nothing asked", exposure.Query{}, ""},
		{"everything asked", exposure.Query{
			Principals: []string{strings.Repeat("x", audit.MaxPrincipalLen)}, Fields: []uint32{1}, KeyVersions: []uint16{0, 65535},
			From: start, To: start.Add(1), Match: func(string, uint64) bool { return true }, MaxRows: 1 << 30,
		}, ""},
		{"several fields", exposure.Query{Fields: []uint32{1, 2}}, ""},
		{"only from", exposure.Query{From: start}, ""},
		{"only to", exposure.Query{To: start}, ""},
		{"an empty principal", exposure.Query{Principals: []string{secret, ""}}, "principals: element 1"},
		{"a long principal", exposure.Query{Principals: []string{strings.Repeat(secret, 20)}}, "principals: element 0: 500 bytes"},
		{"field 0", exposure.Query{Fields: []uint32{3, 0}}, "fields: element 1"},
		{"versions of no field", exposure.Query{KeyVersions: []uint16{1}}, "key versions"},
		{"versions of two fields", exposure.Query{KeyVersions: []uint16{1}, Fields: []uint32{1, 2}}, "key versions"},
		{"an empty window", exposure.Query{From: start, To: start}, "window"},
		{"a window that ends before it begins", exposure.Query{From: start, To: start.Add(-1)}, "window"},
		{"a negative bound", exposure.Query{MaxRows: -1}, "max rows"},
		{"a bound past the highest", exposure.Query{MaxRows: 1<<30 + 1}, "max rows"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := test.q.Validate()
			if test.says == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if !errors.Is(err, exposure.ErrQuery) || !strings.Contains(err.Error(), test.says) {
				t.Fatalf("got %v, want ErrQuery that says %q", err, test.says)
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the error holds a name: %v", err)
			}
			tally := exposure.New(test.q)
			if err := tally.Add(0, reveal()); !errors.Is(err, exposure.ErrQuery) {
				t.Errorf("add gives %v", err)
			}
			if err := tally.Merge(exposure.New(exposure.Query{})); !errors.Is(err, exposure.ErrQuery) {
				t.Errorf("merge gives %v", err)
			}
			if tally, err := exposure.Scan(t.Context(), &memory{}, test.q, nil); !errors.Is(err, exposure.ErrQuery) || tally != nil {
				t.Errorf("scan gives %v", err)
			}
		})
	}
}

// reveal is an entry that counts, of three items of which the last was refused.
func reveal() *audit.Entry {
	return &audit.Entry{
		Time: start, Action: audit.ActionReveal, Principal: "shipping", Purpose: "delivery", View: "plain",
		PolicyVersion: 7, Outcome: audit.Mixed, Count: 3,
		Items: []audit.Item{
			{Subject: [16]byte{9}, Field: 3, Outcome: audit.Allowed, KeyVersion: 2},
			{Subject: [16]byte{8}, Field: 4, Item: 1, Outcome: audit.Allowed},
			{Subject: [16]byte{7}, Field: 3, Outcome: audit.Refused, Refusal: 12, KeyVersion: 2},
		},
	}
}

// Each test asks of reveal, changed, which of its items count.
func TestWhatCounts(t *testing.T) {
	role := func(name string, version uint64) func(string, uint64) bool {
		return func(p string, v uint64) bool { return p == name && v == version }
	}
	tests := []struct {
		name    string
		q       exposure.Query
		change  func(*audit.Entry)
		want    []byte // first bytes of the subjects
		unknown uint64
	}{
		{"nothing asked", exposure.Query{}, nil, []byte{8, 9}, 0},

		{"its principal", exposure.Query{Principals: []string{"billing", "shipping"}}, nil, []byte{8, 9}, 0},
		{"another principal", exposure.Query{Principals: []string{"billing"}}, nil, nil, 0},
		{"a principal that begins like it", exposure.Query{Principals: []string{"ship"}}, nil, nil, 0},

		{"one of its fields", exposure.Query{Fields: []uint32{3}}, nil, []byte{9}, 0},
		{"both of its fields", exposure.Query{Fields: []uint32{4, 3}}, nil, []byte{8, 9}, 0},
		{"another field", exposure.Query{Fields: []uint32{5}}, nil, nil, 0},

		{"its key version", exposure.Query{Fields: []uint32{3}, KeyVersions: []uint16{1, 2}}, nil, []byte{9}, 0},
		{"another key version", exposure.Query{Fields: []uint32{3}, KeyVersions: []uint16{1}}, nil, nil, 0},
		{"a version the log does not know", exposure.Query{Fields: []uint32{4}, KeyVersions: []uint16{1}}, nil, nil, 1},
		{"unknown versions, asked for", exposure.Query{Fields: []uint32{4}, KeyVersions: []uint16{1, 0}}, nil, []byte{8}, 0},
		{"only unknown versions", exposure.Query{Fields: []uint32{3}, KeyVersions: []uint16{0}}, nil, nil, 0},
		{"an unknown version of another principal", exposure.Query{Fields: []uint32{4}, KeyVersions: []uint16{1}, Match: role("billing", 7)}, nil, nil, 0},
		{"an unknown version, refused", exposure.Query{Fields: []uint32{4}, KeyVersions: []uint16{1}},
			func(e *audit.Entry) { e.Items[1].Outcome = audit.Refused }, nil, 0},

		{"from its very instant", exposure.Query{From: start}, nil, []byte{8, 9}, 0},
		{"from just after", exposure.Query{From: start.Add(1)}, nil, nil, 0},
		{"to its very instant", exposure.Query{To: start}, nil, nil, 0},
		{"to just after", exposure.Query{To: start.Add(1)}, nil, []byte{8, 9}, 0},
		{"a window in another zone", exposure.Query{From: start.In(time.FixedZone("", 3600)), To: start.Add(1).In(time.FixedZone("", -3600))}, nil, []byte{8, 9}, 0},
		{"a window no nanoseconds can tell", exposure.Query{From: time.Date(1, 1, 2, 0, 0, 0, 0, time.UTC), To: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, nil, []byte{8, 9}, 0},
		{"no time, which may be any", exposure.Query{From: start.Add(1)}, func(e *audit.Entry) { e.Time = time.Time{} }, []byte{8, 9}, 0},

		{"its role", exposure.Query{Match: role("shipping", 7)}, nil, []byte{8, 9}, 0},
		{"a role by another version of the policy", exposure.Query{Match: role("shipping", 6)}, nil, nil, 0},
		{"a role of another principal", exposure.Query{Match: role("billing", 7)}, nil, nil, 0},

		{"everything at once", exposure.Query{
			Principals: []string{"shipping"}, Fields: []uint32{3}, KeyVersions: []uint16{2},
			From: start, To: start.Add(1), Match: role("shipping", 7),
		}, nil, []byte{9}, 0},
		{"everything but the principal", exposure.Query{
			Principals: []string{"billing"}, Fields: []uint32{3}, KeyVersions: []uint16{2},
			From: start, To: start.Add(1), Match: role("shipping", 7),
		}, nil, nil, 0},
		{"everything but the field", exposure.Query{
			Principals: []string{"shipping"}, Fields: []uint32{5}, KeyVersions: []uint16{2},
			From: start, To: start.Add(1), Match: role("shipping", 7),
		}, nil, nil, 0},
		{"everything but the window", exposure.Query{
			Principals: []string{"shipping"}, Fields: []uint32{3}, KeyVersions: []uint16{2},
			From: start.Add(1), To: start.Add(2), Match: role("shipping", 7),
		}, nil, nil, 0},
		{"everything but the role", exposure.Query{
			Principals: []string{"shipping"}, Fields: []uint32{3}, KeyVersions: []uint16{2},
			From: start, To: start.Add(1), Match: role("shipping", 8),
		}, nil, nil, 0},

		{"all items refused", exposure.Query{}, func(e *audit.Entry) {
			for i := range e.Items {
				e.Items[i].Outcome = audit.Refused
			}
		}, nil, 0},
		{"a call refused as a whole", exposure.Query{}, func(e *audit.Entry) { e.Outcome, e.Items = audit.Refused, nil }, nil, 0},
		{"a masked view", exposure.Query{}, func(e *audit.Entry) { e.View = "masked" }, []byte{8, 9}, 0},
		{"a subject the log does not know", exposure.Query{}, func(e *audit.Entry) { e.Items[0].Subject = [16]byte{} }, []byte{0, 8}, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			e := reveal()
			if test.change != nil {
				test.change(e)
			}
			tally, err := exposure.Scan(t.Context(), logOf(t, []*audit.Entry{e}), test.q, nil)
			if err != nil {
				t.Fatal(err)
			}
			var got []byte
			for r := range tally.Rows() {
				got = append(got, r.Subject[0])
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("subjects %v, want %v", got, test.want)
			}
			sum := tally.Summary()
			if sum.VersionUnknown != test.unknown || sum.Values != uint64(len(test.want)) || (sum.Matching == 1) != (len(test.want) > 0) || sum.Entries != 1 {
				t.Errorf("the summary is %+v", sum)
			}
		})
	}
}

// Only a reveal shows a value, whatever else is allowed.
func TestOtherActionsAreLeftOut(t *testing.T) {
	tally := exposure.New(exposure.Query{})
	known := 0
	for n := range 256 {
		e := reveal()
		if e.Action = audit.Action(n); e.Action == audit.ActionReveal {
			continue
		}
		if e.Action.Known() {
			known++
		}
		if err := tally.Add(uint64(n), e); err != nil {
			t.Fatal(err)
		}
	}
	want := exposure.Summary{End: 256, Entries: 255}
	if d := gocmp.Diff(want, tally.Summary()); d != "" || known == 0 {
		t.Errorf("summary of %d known actions (-want +got):\n%s", known, d)
	}
}
