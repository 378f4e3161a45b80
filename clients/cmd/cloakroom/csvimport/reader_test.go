package csvimport_test

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/csvimport"
	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// show writes rows in a form that a test can compare.
func show(t *testing.T, r *csvimport.Reader) []string {
	t.Helper()
	var out []string
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return out
		}
		if err != nil {
			t.Fatal(err)
		}
		at := fmt.Sprintf("%d/%d ", row.Number, row.Line)
		if f := row.Failure; f != nil {
			if f.Row != row.Number || f.Line != row.Line {
				t.Errorf("failure at %d/%d of row %d/%d", f.Row, f.Line, row.Number, row.Line)
			}
			out = append(out, at+"! "+f.Field+" "+f.Rule+" "+f.Reason)
			continue
		}
		line := at + row.Record.SubjectID
		for _, s := range r.Plan() {
			for _, v := range row.Record.Fields[s.Field] {
				line += " " + s.Field + "=" + v.ExposeText()
			}
		}
		out = append(out, line)
	}
}

func TestRows(t *testing.T) {
	location, _ := csvimport.ParseSource("lat+lon=location")
	mapping := csvimport.Mapping{IDColumn: "id", Sources: []csvimport.Source{location}}
	long := strings.Repeat("x", 65536)
	for _, tc := range []struct {
		name string
		rows string
		want []string
	}{
		{"plain", "1,a,1.5,2.5\n2,b,3,4", []string{"2/2 1 location=1.5,2.5 email=a", "3/3 2 location=3,4 email=b"}},
		{"CRLF", "1,a,1,2\r\n2,b,3,4\r\n", []string{"2/2 1 location=1,2 email=a", "3/3 2 location=3,4 email=b"}},
		{"blank cells are absent", "1,,,\n2, \t, , \n", []string{"2/2 1", "3/3 2"}},
		{"padding of a value stays", "1, a ,1,2\n", []string{"2/2 1 location=1,2 email= a "}},
		{"padding of joined columns goes", "1,a, 1 , 2 \n", []string{"2/2 1 location=1,2 email=a"}},
		{"half of a pair", "1,a,1,\n2,b,,\n", []string{"2/2 ! location incomplete INVALID_VALUE", "3/3 2 email=b"}},
		{"ragged rows", "1,a,1\n2,b,1,2\n3,c,1,2,3\n", []string{
			"2/2 ! column_count INVALID_REQUEST", "3/3 2 location=1,2 email=b", "4/4 ! column_count INVALID_REQUEST"}},
		{"blank lines do not count", "1,a,1,2\n\n\n2,b,1,2\n", []string{"2/2 1 location=1,2 email=a", "3/5 2 location=1,2 email=b"}},
		{"a cell of two lines", "1,\"a\nb\",1,2\n2,c,1,2\n", []string{"2/2 1 location=1,2 email=a\nb", "3/4 2 location=1,2 email=c"}},
		{"quotes inside", "1,\"a \"\"b\"\", c\",1,2\n", []string{"2/2 1 location=1,2 email=a \"b\", c"}},
		{"a bare quote", "1,a\"b,1,2\n2,c,1,2\n", []string{"2/2 ! csv_syntax INVALID_REQUEST", "3/3 2 location=1,2 email=c"}},
		{"an open quote", "1,a,1,2\n2,\"b,1,2\n3,c,1,2\n", []string{"2/2 1 location=1,2 email=a", "3/3 ! csv_syntax INVALID_REQUEST"}},
		{"no id", ",a,1,2\n  ,b,1,2\n", []string{"2/2 ! id required INVALID_REQUEST", "3/3 ! id required INVALID_REQUEST"}},
		{"id is opaque", " 1 ,a,,\n", []string{"2/2  1  email=a"}},
		{"not UTF-8", "1,caf\xe9,1,2\n\xff,a,1,2\n", []string{"2/2 ! email utf8 INVALID_VALUE", "3/3 ! id utf8 INVALID_VALUE"}},
		{"longest value", "1," + long + ",,\n", []string{"2/2 1 email=" + long}},
		{"too long a value", "1," + long + "x,,\n", []string{"2/2 ! email too_long INVALID_VALUE"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := csvimport.NewReader(strings.NewReader("id,email,lat,lon\n"+tc.rows), mapping)
			if err != nil {
				t.Fatal(err)
			}
			got := show(t, r)
			for i := range got {
				got[i] = strings.ReplaceAll(got[i], "!  ", "! ")
			}
			if fmt.Sprint(got) != fmt.Sprint(tc.want) {
				t.Errorf("got  %.300q\nwant %.300q", got, tc.want)
			}
		})
	}
}

func TestReadErrorIsNotARow(t *testing.T) {
	fault := errors.New("the disk is gone")
	in := io.MultiReader(strings.NewReader("id,email\n1,a\n"), iotest.ErrReader(fault))
	r, err := csvimport.NewReader(in, csvimport.Mapping{IDColumn: "id"})
	for err == nil {
		_, err = r.Read()
	}
	if !errors.Is(err, fault) {
		t.Fatalf("error %v, want the one of the file", err)
	}
}

// The files of the demo are what real exports look like: all their rows must
// come through, whatever the vault says of the values.
func TestDemoFiles(t *testing.T) {
	location, _ := csvimport.ParseSource("latitude+longitude=location")
	for name, want := range map[string]int{"customers.csv": 2000, "customers_dirty.csv": 500} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Open("../../../../server/demo/data/" + name)
			if err != nil {
				t.Fatal(err)
			}
			defer f.Close()
			r, err := csvimport.NewReader(f, csvimport.Mapping{IDColumn: "customer_id", Sources: []csvimport.Source{location}})
			if err != nil {
				t.Fatal(err)
			}
			if len(r.Plan()) != 20 {
				t.Errorf("%d fields, want 20", len(r.Plan()))
			}
			var first cloakroom.RecordInput
			rows := 0
			for {
				row, err := r.Read()
				if errors.Is(err, io.EOF) {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if row.Failure != nil {
					t.Errorf("row %d: %+v", row.Number, *row.Failure)
				}
				if rows == 0 {
					first = row.Record
				}
				if wantID := fmt.Sprintf("C%07d", rows+1); row.Record.SubjectID != wantID {
					t.Fatalf("row %d: subject %q, want %q", row.Number, row.Record.SubjectID, wantID)
				}
				rows++
			}
			if rows != want {
				t.Errorf("%d rows, want %d", rows, want)
			}
			if name == "customers.csv" && first.Fields["location"][0].ExposeText() != "-73.5454,-71.6475" {
				t.Error("the location of the first row is wrong")
			}
		})
	}
}

// No failure repeats what stands in the cells, whatever stands there.
func FuzzRows(f *testing.F) {
	f.Add("1,ada@example.org,1,2\n")
	f.Add("1,\"ada@example.org,1\n2,x\"y,1,2\n")
	f.Add("\xff,a,,1\n,,,\n")
	location, _ := csvimport.ParseSource("lat+lon=location")
	f.Fuzz(func(t *testing.T, rows string) {
		r, err := csvimport.NewReader(strings.NewReader("id,email,lat,lon\n"+rows),
			csvimport.Mapping{IDColumn: "id", Sources: []csvimport.Source{location}})
		if err != nil {
			t.Fatal(err)
		}
		for last := int64(1); ; last++ {
			row, err := r.Read()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if row.Number != last+1 {
				t.Fatalf("row %d after row %d", row.Number, last)
			}
			if (row.Failure == nil) == (row.Record.SubjectID == "") {
				t.Fatalf("row %d has both or none of a record and a failure", row.Number)
			}
			if row.Failure != nil {
				for _, cell := range strings.FieldsFunc(rows, func(r rune) bool { return strings.ContainsRune(",\"\r\n", r) }) {
					if len(cell) > 6 && strings.Contains(row.Failure.Message, cell) && !strings.Contains(fixedTexts, cell) {
						t.Fatalf("row %d: the message repeats a cell", row.Number)
					}
				}
			}
		}
	})
}

// fixedTexts are the words that failures may hold.
const fixedTexts = "the row is not CSV: a quote stands in a cell that does not begin with one " +
	"a quoted cell is not closed, or goes on after its closing quote it breaks the form of RFC 4180 " +
	"(lines 2 to 3 were taken as one row and left out) the row has 3 cells and the header 4 " +
	"the subject's id is empty the subject's id is not UTF-8 the value is not UTF-8 " +
	"the value is longer than 65536 bytes some of the columns lat, lon are empty and others are not"

func BenchmarkRead(b *testing.B) {
	text, err := os.ReadFile("../../../../server/demo/data/customers.csv")
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		r, err := csvimport.NewReader(strings.NewReader(string(text)), csvimport.Mapping{IDColumn: "customer_id"})
		for err == nil {
			_, err = r.Read()
		}
		if !errors.Is(err, io.EOF) {
			b.Fatal(err)
		}
	}
}
