package csvimport_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/csvimport"
)

func TestParseSource(t *testing.T) {
	for _, tc := range []struct {
		text string
		want csvimport.Source
		bad  bool
	}{
		{text: "card_pan=card", want: csvimport.Source{Columns: []string{"card_pan"}, Field: "card"}},
		{text: "latitude + longitude = location", want: csvimport.Source{Columns: []string{"latitude", "longitude"}, Field: "location"}},
		{text: "a=b=c", want: csvimport.Source{Columns: []string{"a"}, Field: "b=c"}},
		{text: "card_pan", bad: true},
		{text: "=card", bad: true},
		{text: "card_pan=", bad: true},
		{text: "a+=b", bad: true},
		{text: "", bad: true},
	} {
		got, err := csvimport.ParseSource(tc.text)
		if (err != nil) != tc.bad {
			t.Errorf("ParseSource(%q): error %v", tc.text, err)
		} else if diff := cmp.Diff(tc.want, got); !tc.bad && diff != "" {
			t.Errorf("ParseSource(%q): %s", tc.text, diff)
		}
	}
}

func TestHeader(t *testing.T) {
	source := func(text string) csvimport.Source {
		s, err := csvimport.ParseSource(text)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	for _, tc := range []struct {
		name    string
		header  string
		mapping csvimport.Mapping
		plan    string   // fields, when the header is good
		wrong   []string // mistakes, when it is not
	}{
		{
			name: "columns go to fields of their names", header: "id,email,phone",
			mapping: csvimport.Mapping{IDColumn: "id"}, plan: "email=email phone=phone",
		},
		{
			name: "byte order mark and blanks", header: "\xEF\xBB\xBFid, email ",
			mapping: csvimport.Mapping{IDColumn: "id"}, plan: "email=email",
		},
		{
			name: "mapped, joined and skipped", header: "id,lat,lon,pan,note",
			mapping: csvimport.Mapping{IDColumn: "id", Sources: []csvimport.Source{source("pan=card"), source("lat+lon=location")}, Skip: []string{"note"}},
			plan:    "pan=card lat+lon=location",
		},
		{
			name: "the id may be a field too", header: "id,email",
			mapping: csvimport.Mapping{IDColumn: "id", Sources: []csvimport.Source{source("id=number")}}, plan: "id=number email=email",
		},
		{
			name: "two columns for a field of several values", header: "id,home,work",
			mapping: csvimport.Mapping{IDColumn: "id", Sources: []csvimport.Source{source("work=phone"), source("home=phone")}},
			plan:    "work=phone home=phone",
		},
		{name: "empty file", mapping: csvimport.Mapping{IDColumn: "id"}, wrong: []string{"the file is empty"}},
		{name: "UTF-16", header: "\xFF\xFEi\x00d\x00", mapping: csvimport.Mapping{IDColumn: "id"}, wrong: []string{"UTF-16"}},
		{name: "not UTF-8", header: "id,caf\xe9", mapping: csvimport.Mapping{IDColumn: "id"}, wrong: []string{"column 2 is not UTF-8"}},
		{name: "not CSV", header: "id,\"email\"x", mapping: csvimport.Mapping{IDColumn: "id"}, wrong: []string{"not CSV"}},
		{name: "semicolons", header: "id;email", mapping: csvimport.Mapping{IDColumn: "id"}, wrong: []string{"separator must be a comma"}},
		{name: "only the id", header: "id", mapping: csvimport.Mapping{IDColumn: "id"}, wrong: []string{"no column is left"}},
		{
			name: "all mistakes at once", header: "id,email,email,,pan",
			mapping: csvimport.Mapping{IDColumn: "id", Sources: []csvimport.Source{source("card=card"), source("pan=email"), source("id+pan=both")}, Skip: []string{"gone", "pan"}},
			wrong: []string{
				`columns 2 and 3 are both named "email"`, "column 4 has no name", `no column "gone"`, `no column "card"`,
				`column "pan" is skipped, and it is mapped to field "email"`, `column "email" is neither mapped nor skipped`,
			},
		},
		{
			name: "the id cannot be skipped", header: "id,email",
			mapping: csvimport.Mapping{IDColumn: "id", Skip: []string{"id"}}, wrong: []string{"holds the subject's id, and it is skipped"},
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r, err := csvimport.NewReader(strings.NewReader(tc.header), tc.mapping)
			if tc.wrong == nil {
				if err != nil {
					t.Fatal(err)
				}
				var plan []string
				for _, s := range r.Plan() {
					plan = append(plan, s.String())
				}
				if got := strings.Join(plan, " "); got != tc.plan {
					t.Fatalf("plan %q, want %q", got, tc.plan)
				}
				return
			}
			var wrong *csvimport.HeaderError
			if !errors.As(err, &wrong) {
				t.Fatalf("error %v, want a HeaderError", err)
			}
			for _, want := range tc.wrong {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q does not say %q", err, want)
				}
			}
		})
	}
}

func TestHeaderErrorOfFileWithoutHeader(t *testing.T) {
	_, err := csvimport.NewReader(strings.NewReader("C1,ada@example.org,ada@example.org\n"), csvimport.Mapping{IDColumn: "id"})
	if err == nil || strings.Contains(err.Error(), "ada") || strings.Contains(err.Error(), "C1") {
		t.Fatalf("error %v: must refuse and not repeat the row", err)
	}
}
