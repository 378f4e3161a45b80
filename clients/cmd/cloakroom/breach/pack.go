package breach

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// maxFiles is the number of persons up to which each has a file.
const maxFiles = 500

// Written says what Write wrote.
type Written struct {
	// Letters is the number of letters.
	Letters uint64
	// Erased is the number of persons who were erased since: nobody knows how to
	// write to them.
	Erased uint64
	// Deadline is when the authority must be notified.
	Deadline time.Time
}

// CheckFolder returns ErrFolder when something is in the folder, or is no
// folder.
func CheckFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case len(entries) > 0:
		return ErrFolder
	}
	return nil
}

// Write makes the folder from the facts and the rows, which must come by person
// and add up to the summary (ErrRows otherwise). It is written beside its place
// and renamed, so that it is whole or not there.
func Write(dir string, f Facts, rows iter.Seq2[cloakroom.ExposureRow, error]) (Written, error) {
	l, err := load(f.Language)
	if err != nil {
		return Written{}, err
	}
	if err := CheckFolder(dir); err != nil {
		return Written{}, err
	}
	dir = filepath.Clean(dir)
	if err := os.MkdirAll(filepath.Dir(dir), 0o700); err != nil {
		return Written{}, err
	}
	temporary, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+"-*") // of mode 0700
	if err != nil {
		return Written{}, err
	}
	defer os.RemoveAll(temporary) //nolint:errcheck // once renamed, there is nothing to remove
	p := &pack{dir: temporary, facts: &f, language: l, tally: tally{fields: map[string]fieldTally{}}}
	if err := p.write(rows); err != nil {
		return Written{}, err
	}
	// An empty folder in its place is replaced.
	if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return Written{}, err
	}
	if err := os.Rename(temporary, dir); err != nil {
		return Written{}, err
	}
	return Written{p.tally.persons - p.tally.erased, p.tally.erased, f.Deadline()}, nil
}

// pack is a folder under way.
type pack struct {
	dir      string
	facts    *Facts
	language *language
	tally    tally
	list     *csv.Writer
	letters  io.Writer // all letters; nil when each has a file
}

func (p *pack) write(rows iter.Seq2[cloakroom.ExposureRow, error]) error {
	single := p.facts.Summary.Subjects <= maxFiles
	err := p.file("persons.csv", func(w io.Writer) error {
		p.list = csv.NewWriter(w)
		if err := p.list.Write([]string{"number", "subject_id", "handle", "fields", "first", "last", "reveals", "views", "letter"}); err != nil {
			return err
		}
		var err error
		if single {
			if err = os.Mkdir(filepath.Join(p.dir, "persons"), 0o700); err == nil {
				err = p.persons(rows)
			}
		} else {
			err = p.file("letters.txt", func(letters io.Writer) error {
				p.letters = letters
				return p.persons(rows)
			})
		}
		p.list.Flush()
		return errors.Join(err, p.list.Error())
	})
	if err != nil {
		return err
	}
	if s := p.facts.Summary; p.tally.persons != s.Subjects || p.tally.reveals != s.Reveals {
		return fmt.Errorf("%w: %d persons and %d reveals came, of %d and %d", ErrRows, p.tally.persons, p.tally.reveals, s.Subjects, s.Reveals)
	}
	facts := authority(p.facts, p.language, &p.tally)
	return errors.Join(
		p.file("authority.json", func(w io.Writer) error { return writeAuthorityJSON(w, &facts) }),
		p.file("authority.md", func(w io.Writer) error { return p.language.templates.ExecuteTemplate(w, "authority.tmpl", facts) }),
		p.file("deadline.txt", func(w io.Writer) error { return writeDeadline(w, p.facts, p.language) }),
	)
}

// persons gathers the rows of each person and writes them.
func (p *pack) persons(rows iter.Seq2[cloakroom.ExposureRow, error]) error {
	var one person
	for row, err := range rows {
		if err != nil {
			return err
		}
		if len(one.rows) > 0 && one.handle != row.Subject {
			if err := p.person(&one); err != nil {
				return err
			}
			one = person{number: one.number, rows: one.rows[:0]}
		}
		if len(one.rows) == 0 {
			one.number, one.id, one.handle = one.number+1, row.SubjectID, row.Subject
		}
		one.rows = append(one.rows, row)
	}
	if len(one.rows) == 0 {
		return nil
	}
	return p.person(&one)
}

// person writes the line and the letter of a person.
func (p *pack) person(one *person) error {
	p.tally.add(one)
	letter := ""
	switch {
	case one.id == "":
	case p.letters != nil:
		letter = "letters.txt"
		if _, err := io.WriteString(p.letters, "\f"); err != nil {
			return err
		}
		if err := writeLetter(p.letters, p.facts, p.language, one); err != nil {
			return err
		}
	default:
		letter = fmt.Sprintf("persons/%03d.txt", one.number)
		if err := p.file(letter, func(w io.Writer) error { return writeLetter(w, p.facts, p.language, one) }); err != nil {
			return err
		}
	}
	return p.list.Write([]string{
		strconv.FormatUint(one.number, 10), spreadsheetSafe(one.id), one.handle, strings.Join(one.fields(), " "),
		one.first().UTC().Format(time.RFC3339), one.last().UTC().Format(time.RFC3339), strconv.FormatUint(one.reveals(), 10),
		strings.Join(one.views(), " "), letter,
	})
}

// file makes a file of the folder.
func (p *pack) file(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(filepath.Join(p.dir, filepath.FromSlash(name)), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(file)
	err = write(w)
	if err == nil {
		err = w.Flush()
	}
	if closing := file.Close(); err == nil {
		err = closing
	}
	return err
}

// spreadsheetSafe puts an apostrophe before text that a spreadsheet would take
// for a formula: ids of persons come from outside.
func spreadsheetSafe(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

// hoursAndMinutes is a time left, such as "70:05".
func hoursAndMinutes(d time.Duration) string {
	return fmt.Sprintf("%d:%02d", int(d.Hours()), int(d.Minutes())%60)
}
