package breach_test

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/breach"
	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

func at(minute int) time.Time { return time.Date(2026, 11, 22, 6, minute, 0, 0, time.UTC) }

// people makes one row each for n persons.
func people(n int) []cloakroom.ExposureRow {
	rows := make([]cloakroom.ExposureRow, n)
	for i := range rows {
		rows[i] = cloakroom.ExposureRow{
			Subject: fmt.Sprintf("%032x", i), SubjectID: fmt.Sprintf("C%d", i), Field: "customers.email",
			FirstTime: at(1), LastTime: at(2), Reveals: 1, Views: []string{"plain"},
		}
	}
	return rows
}

func facts(rows []cloakroom.ExposureRow) breach.Facts {
	f := breach.Facts{
		Discovered: at(0), Made: at(30), Language: "en", Contact: "privacy@shop.example", FreezesKnown: true,
		Categories: map[string]string{"customers.email": "user.contact.email"},
	}
	seen := map[string]bool{}
	for _, r := range rows {
		seen[r.Subject] = true
		f.Summary.Reveals += r.Reveals
		f.Summary.FirstTime, f.Summary.LastTime = r.FirstTime, r.LastTime
	}
	f.Summary.Subjects = uint64(len(seen))
	return f
}

func all(rows []cloakroom.ExposureRow, err error) iter.Seq2[cloakroom.ExposureRow, error] {
	return func(yield func(cloakroom.ExposureRow, error) bool) {
		for _, r := range rows {
			if !yield(r, nil) {
				return
			}
		}
		if err != nil {
			yield(cloakroom.ExposureRow{}, err)
		}
	}
}

func read(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// write makes a pack in a new folder.
func write(t *testing.T, f breach.Facts, rows []cloakroom.ExposureRow) (string, breach.Written) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "above", "pack")
	w, err := breach.Write(dir, f, all(rows, nil))
	if err != nil {
		t.Fatal(err)
	}
	return dir, w
}

func TestOnlyTheOwnerReadsIt(t *testing.T) {
	dir, _ := write(t, facts(people(3)), people(3))
	n := 0
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		want := fs.FileMode(0o600)
		if entry.IsDir() {
			want = 0o700
		}
		if info.Mode().Perm() != want {
			t.Errorf("%s has the mode %v", path, info.Mode())
		}
		n++
		return nil
	})
	if err != nil || n != 9 {
		t.Errorf("%d files and folders, %v", n, err)
	}
}

func TestManyPersonsShareOneFile(t *testing.T) {
	for _, tc := range []struct {
		persons int
		shared  bool
	}{{1, false}, {500, false}, {501, true}, {12_000, true}} {
		t.Run(fmt.Sprint(tc.persons), func(t *testing.T) {
			rows := people(tc.persons)
			dir, w := write(t, facts(rows), rows)
			if w.Letters != uint64(tc.persons) {
				t.Errorf("%d letters", w.Letters)
			}
			_, err := os.Stat(filepath.Join(dir, "persons"))
			if tc.shared != errors.Is(err, fs.ErrNotExist) {
				t.Errorf("folder of persons: %v", err)
			}
			if tc.shared {
				text := read(t, dir, "letters.txt")
				if n := strings.Count(text, "\f"); n != tc.persons || !strings.HasPrefix(text, "\f") {
					t.Errorf("%d form feeds", n)
				}
			}
			lines, err := csv.NewReader(strings.NewReader(read(t, dir, "persons.csv"))).ReadAll()
			if err != nil || len(lines) != tc.persons+1 || lines[tc.persons][1] != fmt.Sprintf("C%d", tc.persons-1) {
				t.Errorf("%d lines, %v", len(lines), err)
			}
		})
	}
}

func TestSeveralRowsOfOnePerson(t *testing.T) {
	rows := people(2)
	more := rows[0]
	more.Field, more.FirstTime, more.LastTime, more.Reveals, more.Views = "orders.address", at(0), at(9), 4, []string{"masked", "plain"}
	rows = []cloakroom.ExposureRow{rows[0], more, rows[1]}
	rows[2].SubjectID = ""
	dir, w := write(t, facts(rows), rows)
	if w.Letters != 1 || w.Erased != 1 {
		t.Errorf("%+v", w)
	}
	want := "number,subject_id,handle,fields,first,last,reveals,views,letter\n" +
		"1,C0,00000000000000000000000000000000,customers.email orders.address,2026-11-22T06:00:00Z,2026-11-22T06:09:00Z,5,masked plain,persons/001.txt\n" +
		"2,,00000000000000000000000000000001,customers.email,2026-11-22T06:01:00Z,2026-11-22T06:02:00Z,1,plain,\n"
	if got := read(t, dir, "persons.csv"); got != want {
		t.Errorf("persons.csv is\n%s", got)
	}
	if text := read(t, dir, "authority.json"); !strings.Contains(text, `"persons": 2,`) || !strings.Contains(text, `"records": 3,`) ||
		!strings.Contains(text, `"values_revealed": 6,`) {
		t.Errorf("authority.json is\n%s", text)
	}
	if text := read(t, dir, "persons", "001.txt"); !strings.Contains(text, "- your address (in part, the rest hidden, in full)") {
		t.Errorf("the letter is\n%s", text)
	}
}

// Times that read the same are one time.
func TestLooksWithinAMinute(t *testing.T) {
	rows := people(1)
	rows[0].LastTime = rows[0].FirstTime.Add(time.Second)
	dir, _ := write(t, facts(rows), rows)
	letter := read(t, dir, "persons", "001.txt")
	if !strings.Contains(letter, "\nOn 22 November 2026, 06:01 UTC, data") || strings.Contains(letter, " to 22 November") {
		t.Errorf("the letter is\n%s", letter)
	}
	if text := read(t, dir, "authority.md"); !strings.Contains(text, "by the vault on 22 November 2026, 06:01 UTC.") {
		t.Errorf("authority.md is\n%s", text)
	}
}

func TestWhatIsNotKnownIsToBeFilledIn(t *testing.T) {
	f := facts(people(1))
	f.Contact, f.FreezesKnown, f.Categories, f.Summary.MissingEntries, f.Summary.VersionUnknown = "", false, nil, 77, 88
	dir, _ := write(t, f, people(1))
	text := read(t, dir, "authority.md")
	for _, want := range []string{
		"| email | customers.email | [FILL IN: category] |", "[FILL IN: what was frozen in the vault]",
		"[FILL IN: name and contact details of the data protection officer", "**77 older entries were removed", "**88 reveals are left out",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("authority.md lacks %q:\n%s", want, text)
		}
	}
	if letter := read(t, dir, "persons", "001.txt"); !strings.Contains(letter, "[FILL IN: name, address and telephone number of the data protection officer]") {
		t.Errorf("the letter is\n%s", letter)
	}
}

func TestDeadline(t *testing.T) {
	for _, tc := range []struct {
		name string
		made time.Time
		want string
	}{
		{"begun", at(0), "Time left (hours:minutes):     72:00"},
		{"under way", at(0).Add(71*time.Hour + 1*time.Minute + 30*time.Second), "Time left (hours:minutes):     0:58"},
		{"over", at(0).Add(100*time.Hour + 5*time.Minute), "Over since (hours:minutes):    28:05"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			f := facts(people(1))
			f.Made = tc.made
			dir, w := write(t, f, people(1))
			text := read(t, dir, "deadline.txt")
			if !strings.Contains(text, tc.want) || !w.Deadline.Equal(time.Date(2026, 11, 25, 6, 0, 0, 0, time.UTC)) {
				t.Errorf("deadline %v\n%s", w.Deadline, text)
			}
			if over := strings.Contains(text, "Notify now"); over != (tc.name == "over") {
				t.Errorf("the text is\n%s", text)
			}
		})
	}
}

// Text from outside drives neither a spreadsheet nor a table.
func TestTextFromOutside(t *testing.T) {
	rows := people(1)
	rows[0].SubjectID = "=cmd|' /C calc'!A0"
	f := facts(rows)
	f.Summary.Principals = []cloakroom.ExposureCount{{Name: "a|b\nc", Reveals: 1}}
	dir, _ := write(t, f, rows)
	if text := read(t, dir, "persons.csv"); !strings.Contains(text, ",'=cmd") {
		t.Errorf("persons.csv is\n%s", text)
	}
	if text := read(t, dir, "authority.md"); !strings.Contains(text, `| shown to | a\|b c | 1 |`) {
		t.Errorf("authority.md is\n%s", text)
	}
}

// A pack is whole or not there.
func TestNothingIsLeftOfAFailure(t *testing.T) {
	broken := errors.New("the stream broke")
	for _, tc := range []struct {
		name string
		rows iter.Seq2[cloakroom.ExposureRow, error]
		want error
	}{
		{"a broken stream", all(people(2), broken), broken},
		{"a person missing", all(people(2), nil), breach.ErrRows},
		{"a person too many", all(people(4), nil), breach.ErrRows},
		{"a row missing", func() iter.Seq2[cloakroom.ExposureRow, error] {
			rows := people(3)
			rows[1].Reveals = 0
			return all(rows, nil)
		}(), breach.ErrRows},
	} {
		t.Run(tc.name, func(t *testing.T) {
			above := t.TempDir()
			if _, err := breach.Write(filepath.Join(above, "pack"), facts(people(3)), tc.rows); !errors.Is(err, tc.want) {
				t.Errorf("%v", err)
			}
			left, err := os.ReadDir(above)
			if err != nil || len(left) != 0 {
				t.Errorf("%d things are left, %v", len(left), err)
			}
		})
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	if _, err := breach.Write(dir, facts(people(1)), all(people(1), nil)); err != nil {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err := breach.Write(dir, facts(people(1)), all(people(1), nil)); !errors.Is(err, breach.ErrFolder) {
		t.Errorf("a folder with files: %v", err)
	}
	if err := breach.CheckFolder(filepath.Join(dir, "deadline.txt")); err == nil {
		t.Error("a file is taken for a folder")
	}
}

// Every language has every text, and every template can be filled.
func TestLanguages(t *testing.T) {
	if err := breach.CheckLanguage("tlh"); !errors.Is(err, breach.ErrLanguage) || !strings.Contains(err.Error(), "en") {
		t.Errorf("%v", err)
	}
	for _, name := range breach.Languages() {
		f := facts(people(1))
		f.Language = name
		f.Freezes = []cloakroom.ActiveFreeze{{ID: 1, Kind: "vault", Time: at(1)}}
		f.Query = cloakroom.ExposureQuery{Principals: []string{"p"}, Roles: []string{"r"}, Fields: []string{"c.f"}, KeyVersions: []uint32{1, 2}, Since: at(0), Until: at(9), Reason: "T"}
		dir, _ := write(t, f, people(1))
		for _, file := range []string{"authority.md", "deadline.txt", "persons/001.txt"} {
			if text := read(t, dir, file); strings.Contains(text, "<no value>") || len(text) < 100 {
				t.Errorf("%s of %s is\n%s", file, name, text)
			}
		}
		if text := read(t, dir, "authority.md"); !strings.Contains(text, "1, 2") || !strings.Contains(text, "| vault |") {
			t.Errorf("authority.md of %s is\n%s", name, text)
		}
	}
}

func BenchmarkWrite(b *testing.B) {
	rows := people(10_000)
	f, n := facts(rows), 0
	dir := b.TempDir()
	b.ReportAllocs()
	for b.Loop() {
		n++
		if _, err := breach.Write(filepath.Join(dir, fmt.Sprint(n)), f, all(rows, nil)); err != nil {
			b.Fatal(err)
		}
	}
}
