package csvimport_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/csvimport"
	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// vault stands for the vault: it refuses subjects whose id begins with "bad",
// and breaks when it has taken as many records as broken says.
type vault struct {
	imports  int
	canceled int
	taken    []string
	broken   int
}

type stream struct {
	vault  *vault
	sent   int64
	closed bool
	result cloakroom.ImportResult
}

var errBroken = errors.New("the stream broke")

func (v *vault) open(context.Context) (csvimport.Import, error) {
	v.imports++
	return &stream{vault: v}, nil
}

func (s *stream) Send(r cloakroom.RecordInput) error {
	if s.vault.broken > 0 && len(s.vault.taken) == s.vault.broken {
		return errBroken
	}
	s.vault.taken = append(s.vault.taken, r.SubjectID)
	if strings.HasPrefix(r.SubjectID, "bad") {
		s.result.Failed++
		s.result.Failures = append(s.result.Failures, cloakroom.ImportFailure{Index: s.sent, Err: &cloakroom.Error{
			Code: codes.InvalidArgument, Reason: "INVALID_VALUE", Field: "email", Rule: "email_syntax", Message: "not an e-mail address"}})
	} else {
		s.result.Created++
	}
	s.sent++
	return nil
}

func (s *stream) Close() (cloakroom.ImportResult, error) {
	s.closed = true
	return s.result, nil
}

func (s *stream) Cancel() {
	if !s.closed {
		s.vault.canceled++
	}
}

func transfer(t *testing.T, v *vault, file string) (csvimport.Counts, []csvimport.Failure, error) {
	t.Helper()
	rows, err := csvimport.NewReader(strings.NewReader(file), csvimport.Mapping{IDColumn: "id"})
	if err != nil {
		t.Fatal(err)
	}
	var all []csvimport.Failure
	var at int64
	counts, err := csvimport.Transfer{
		Open:   v.open,
		Report: func(f []csvimport.Failure) error { all = append(all, f...); return nil },
		Progress: func(bytes int64) {
			if bytes < at {
				t.Errorf("progress goes back from %d to %d", at, bytes)
			}
			at = bytes
		},
	}.Run(context.Background(), rows)
	if err == nil && counts.Created+counts.Failed > 0 && at != int64(len(file)) {
		t.Errorf("progress ended at %d of %d", at, len(file))
	}
	return counts, all, err
}

func TestTransferNamesEveryFailure(t *testing.T) {
	v := &vault{}
	counts, failures, err := transfer(t, v, "id,email\n1,a\nbad2,b\n3\nbad4,d\n,e\n6,f\n")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(csvimport.Counts{Created: 2, Failed: 4}, counts); diff != "" {
		t.Error(diff)
	}
	var got []string
	for _, f := range failures {
		got = append(got, fmt.Sprintf("%d %s", f.Row, f.Rule))
	}
	if diff := cmp.Diff([]string{"3 email_syntax", "4 column_count", "5 email_syntax", "6 required"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestTransferCutsLots(t *testing.T) {
	for _, tc := range []struct{ rows, imports int }{{0, 0}, {1, 1}, {9_999, 1}, {10_000, 1}, {10_001, 2}, {20_001, 3}} {
		v := &vault{}
		var file strings.Builder
		file.WriteString("id,email\n")
		for i := range tc.rows {
			fmt.Fprintf(&file, "bad%d,a\n", i)
		}
		counts, failures, err := transfer(t, v, file.String())
		if err != nil || v.imports != tc.imports || counts.Failed != int64(tc.rows) || len(failures) != tc.rows {
			t.Errorf("%d rows: %d imports, want %d; failed %d, named %d, error %v",
				tc.rows, v.imports, tc.imports, counts.Failed, len(failures), err)
		}
		for i, f := range failures {
			if f.Row != int64(i+2) {
				t.Fatalf("%d rows: failure %d is of row %d", tc.rows, i, f.Row)
			}
		}
	}
}

func TestTransferSaysWhichRowsAreInDoubt(t *testing.T) {
	v := &vault{broken: 10_005}
	var file strings.Builder
	file.WriteString("id,email\n")
	for i := range 10_100 {
		fmt.Fprintf(&file, "%d,a\n", i)
	}
	counts, _, err := transfer(t, v, file.String())
	var doubt *csvimport.InterruptedError
	if !errors.As(err, &doubt) || !errors.Is(err, errBroken) {
		t.Fatalf("error %v", err)
	}
	if doubt.FirstRow != 10_002 || doubt.LastRow != 10_007 {
		t.Errorf("rows %d to %d in doubt, want 10002 to 10007", doubt.FirstRow, doubt.LastRow)
	}
	if counts.Created != 10_000 {
		t.Errorf("created %d, want the 10000 of the finished lot", counts.Created)
	}
	if v.canceled != 1 {
		t.Errorf("%d streams canceled, want the broken one", v.canceled)
	}
}

func TestTally(t *testing.T) {
	var tally csvimport.Tally
	if len(tally.Causes()) != 0 {
		t.Error("a new tally has causes")
	}
	tally.Add([]csvimport.Failure{{Row: 2, Field: "b", Reason: "X"}, {Row: 3, Field: "a", Reason: "X"}})
	tally.Add([]csvimport.Failure{{Row: 4, Field: "c", Rule: "luhn", Reason: "Y"}, {Row: 5, Field: "c", Rule: "luhn", Reason: "Y"}})
	want := []csvimport.Cause{{Field: "c", Rule: "luhn", Reason: "Y"}, {Field: "a", Reason: "X"}, {Field: "b", Reason: "X"}}
	if diff := cmp.Diff(want, tally.Causes()); diff != "" {
		t.Error(diff)
	}
	if n := tally.Count(want[0]); n != 2 {
		t.Errorf("counted %d, want 2", n)
	}
}

func TestFailureFile(t *testing.T) {
	var out strings.Builder
	w := csvimport.NewFailureWriter(&out)
	for _, failures := range [][]csvimport.Failure{
		nil,
		{{Row: 3, Line: 4, Field: "email", Rule: "email_syntax", Reason: "INVALID_VALUE", Message: "no, not this"}},
		{{Row: 9, Line: 9, Reason: "RECORD_EXISTS", Message: "there is one"}},
	} {
		if err := w.Write(failures); err != nil {
			t.Fatal(err)
		}
	}
	want := "row,line,field,rule,reason,message\n" +
		"3,4,email,email_syntax,INVALID_VALUE,\"no, not this\"\n" +
		"9,9,,,RECORD_EXISTS,there is one\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
