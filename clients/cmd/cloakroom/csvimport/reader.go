package csvimport

import (
	"bufio"
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

const (
	// maxValue is the longest value that the contract takes, in bytes.
	maxValue = 65536
	// maxRow keeps a row well below the size of a message that servers take.
	maxRow = 2 << 20
)

// Row is one row of the file after the header.
type Row struct {
	// Number is the row as a spreadsheet shows it; the header is row 1.
	Number int64
	// Line is the line of the file on which the row begins, from 1. A quoted
	// cell may span lines.
	Line int64
	// Record is what the row says; not set when Failure is.
	Record cloakroom.RecordInput
	// Failure says why the row cannot be sent.
	Failure *Failure
}

// Reader reads rows. It is for one goroutine at a time.
type Reader struct {
	csv    *csv.Reader
	width  int
	plan   resolved
	id     string
	number int64
}

// NewReader reads the header and checks the mapping against it. A *HeaderError
// lists every mistake.
func NewReader(r io.Reader, m Mapping) (*Reader, error) {
	buffered := bufio.NewReaderSize(r, 64<<10)
	if err := skipMark(buffered); err != nil {
		return nil, err
	}
	c := csv.NewReader(buffered)
	c.FieldsPerRecord = -1 // checked row by row, so that one bad row is one failure
	c.ReuseRecord = true
	header, err := c.Read()
	switch {
	case errors.Is(err, io.EOF):
		return nil, &HeaderError{[]string{"the file is empty"}}
	case err != nil && isParse(err):
		return nil, &HeaderError{[]string{"the header is not CSV: " + parseText(err)}}
	case err != nil:
		return nil, fmt.Errorf("read the header: %w", err)
	}
	names := make([]string, len(header))
	for i, name := range header {
		if !utf8.ValidString(name) {
			return nil, &HeaderError{[]string{fmt.Sprintf("the name of column %d is not UTF-8", i+1)}}
		}
		names[i] = strings.TrimSpace(name)
	}
	plan, err := m.resolve(names)
	if err != nil {
		return nil, err
	}
	return &Reader{csv: c, width: len(names), plan: plan, id: m.IDColumn, number: 1}, nil
}

// Plan returns where the columns go: the mappings given, then the columns that
// go to the field of their own name, in the order of the file.
func (r *Reader) Plan() []Source { return r.plan.sources }

// Offset returns how many bytes of the file were read, to show progress.
func (r *Reader) Offset() int64 { return r.csv.InputOffset() }

// Read returns the next row, or io.EOF after the last. A row that cannot be
// sent has a Failure; other errors come from reading the file.
func (r *Reader) Read() (Row, error) {
	cells, err := r.csv.Read()
	if err != nil && !isParse(err) {
		return Row{}, err // io.EOF among them
	}
	r.number++
	row := Row{Number: r.number}
	if err != nil {
		var parse *csv.ParseError
		errors.As(err, &parse)
		row.Line = int64(parse.StartLine)
		row.Failure = row.fail("", "csv_syntax", "the row is not CSV: "+parseText(err))
		return row, nil
	}
	line, _ := r.csv.FieldPos(0)
	row.Line = int64(line)
	if len(cells) != r.width {
		row.Failure = row.fail("", "column_count", fmt.Sprintf("the row has %d cells and the header %d", len(cells), r.width))
		return row, nil
	}
	row.Record, row.Failure = r.record(row, cells)
	return row, nil
}

func (r *Reader) record(row Row, cells []string) (cloakroom.RecordInput, *Failure) {
	none := cloakroom.RecordInput{}
	id := cells[r.plan.id]
	if strings.TrimSpace(id) == "" {
		return none, row.fail(r.id, "required", "the subject's id is empty")
	}
	if !utf8.ValidString(id) {
		return none, row.fail(r.id, "utf8", "the subject's id is not UTF-8")
	}
	total := 0
	fields := make(cloakroom.Fields, len(r.plan.sources))
	for i, source := range r.plan.sources {
		value, whole := join(cells, r.plan.columns[i])
		switch {
		case !whole:
			return none, row.fail(source.Field, "incomplete",
				"some of the columns "+strings.Join(source.Columns, ", ")+" are empty and others are not")
		case value == "":
			continue
		case !utf8.ValidString(value):
			return none, row.fail(source.Field, "utf8", "the value is not UTF-8")
		case len(value) > maxValue:
			return none, row.fail(source.Field, "too_long", fmt.Sprintf("the value is longer than %d bytes", maxValue))
		}
		total += len(value)
		fields[source.Field] = append(fields[source.Field], cloakroom.Text(value))
	}
	if total > maxRow {
		return none, row.fail("", "too_long", fmt.Sprintf("the values of the row are longer than %d bytes together", maxRow))
	}
	return cloakroom.RecordInput{SubjectID: id, Fields: fields}, nil
}

// join returns the value that the cells at the places make: empty when all are
// blank, and not whole when only some are.
func join(cells []string, places []int) (value string, whole bool) {
	blank := 0
	for _, place := range places {
		if strings.TrimSpace(cells[place]) == "" {
			blank++
		}
	}
	switch {
	case blank == len(places):
		return "", true
	case blank > 0:
		return "", false
	case len(places) == 1:
		return cells[places[0]], true
	}
	parts := make([]string, len(places))
	for i, place := range places {
		parts[i] = strings.TrimSpace(cells[place])
	}
	return strings.Join(parts, ","), true
}

// skipMark skips a UTF-8 byte order mark and refuses UTF-16.
func skipMark(r *bufio.Reader) error {
	start, err := r.Peek(3)
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("read the header: %w", err)
	}
	switch {
	case bytes.HasPrefix(start, []byte("\xEF\xBB\xBF")):
		_, err = r.Discard(3)
		return err
	case bytes.HasPrefix(start, []byte("\xFF\xFE")), bytes.HasPrefix(start, []byte("\xFE\xFF")):
		return &HeaderError{[]string{"the file is UTF-16; save it as UTF-8"}}
	}
	return nil
}

func isParse(err error) bool {
	var parse *csv.ParseError
	return errors.As(err, &parse)
}

// parseText says what is wrong with the CSV, without repeating any of it.
func parseText(err error) string {
	var parse *csv.ParseError
	errors.As(err, &parse)
	text := "it breaks the form of RFC 4180"
	switch {
	case errors.Is(err, csv.ErrBareQuote):
		text = "a quote stands in a cell that does not begin with one"
	case errors.Is(err, csv.ErrQuote):
		text = "a quoted cell is not closed, or goes on after its closing quote"
	}
	if parse.Line > parse.StartLine {
		text += fmt.Sprintf(" (lines %d to %d were taken as one row and left out)", parse.StartLine, parse.Line)
	}
	return text
}
