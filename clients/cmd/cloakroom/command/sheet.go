package command

import (
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

// formatFlag is --output of a command that knows other forms than the rest.
type formatFlag struct {
	forms []string // the first is the default
	chose string
}

func (f *formatFlag) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.chose, "output", "o", f.forms[0], f.list())
	forms := f.forms
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(forms, cobra.ShellCompDirectiveNoFileComp)) // fails only for a flag that is not there
}

func (f *formatFlag) check(cmd *cobra.Command) error {
	if !slices.Contains(f.forms, f.chose) {
		return wrongUse(cmd, "--output is %s", f.list())
	}
	return nil
}

func (f *formatFlag) list() string {
	last := len(f.forms) - 1
	return strings.Join(f.forms[:last], ", ") + " or " + f.forms[last]
}

// sheet writes rows of unknown number as they come: a table in blocks that are
// aligned each on its own, CSV, or the elements of a list in a JSON object.
type sheet struct {
	w     io.Writer
	form  string
	table *tableWriter
	csv   *csv.Writer
	rows  int
	begun bool
}

// tableBlock is how many rows of a table are aligned together.
const tableBlock = 1000

func newSheet(w io.Writer, form string) *sheet {
	return &sheet{w: w, form: form, csv: csv.NewWriter(w), table: &tableWriter{w: tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)}}
}

// begin writes the heading of a table or CSV, or opens the JSON object with the
// members of head, a struct, and the list of that name.
func (s *sheet) begin(columns []string, head any, list string) error {
	s.begun = true
	switch s.form {
	case "csv":
		return s.csv.Write(columns)
	case "json":
		members, err := json.MarshalIndent(head, "", "  ")
		if err != nil {
			return err
		}
		open := strings.TrimSuffix(strings.TrimSuffix(string(members), "}"), "\n")
		if open != "{" {
			open += ","
		}
		_, err = fmt.Fprintf(s.w, "%s\n  %q: [", open, list)
		return err
	}
	s.table.row(slices.Clone(columns)...)
	return nil
}

// row writes one row: cells for a table or CSV, or the object for JSON.
func (s *sheet) row(cells func() []string, object func() any) error {
	s.rows++
	switch s.form {
	case "csv":
		list := cells()
		for i := range list {
			list[i] = spreadsheetSafe(list[i])
		}
		err := s.csv.Write(list)
		if s.rows%tableBlock == 0 {
			s.csv.Flush()
		}
		return err
	case "json":
		text, err := compactJSON(object())
		if err != nil {
			return err
		}
		comma := ""
		if s.rows > 1 {
			comma = ","
		}
		_, err = fmt.Fprintf(s.w, "%s\n    %s", comma, text)
		return err
	}
	s.table.row(cells()...)
	if s.rows%tableBlock == 0 {
		return s.table.w.Flush()
	}
	return nil
}

// end closes what begin opened; tail has more members of the object.
func (s *sheet) end(tail any) error {
	switch s.form {
	case "csv":
		s.csv.Flush()
		return s.csv.Error()
	case "json":
		members, err := json.MarshalIndent(tail, "", "  ")
		if err != nil {
			return err
		}
		rest := strings.TrimPrefix(string(members), "{")
		if rest != "}" {
			rest = "," + rest
		} else {
			rest = "\n}"
		}
		gap := ""
		if s.rows > 0 {
			gap = "\n  "
		}
		_, err = fmt.Fprintf(s.w, "%s]%s\n", gap, rest)
		return err
	}
	return s.table.w.Flush()
}

// compactJSON is an object on one line.
func compactJSON(object any) (string, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(object)
	return strings.TrimSuffix(b.String(), "\n"), err
}

// spreadsheetSafe puts an apostrophe before text that a spreadsheet would take
// for a formula: ids of persons come from outside.
func spreadsheetSafe(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}
