package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cloakroom-vault/cloakroom/clients/cmd/cloakroom/csvimport"
	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// importedJSON is the result of import.
type importedJSON struct {
	Collection string `json:"collection"`
	Created    int64  `json:"created"`
	Updated    int64  `json:"updated"`
	Failed     int64  `json:"failed"`
	// ErrorsFile is empty when no row failed.
	ErrorsFile string `json:"errors_file"`
}

// planJSON is the result of import --dry-run.
type planJSON struct {
	IDColumn string       `json:"id_column"`
	Mappings []sourceJSON `json:"mappings"`
	Skipped  []string     `json:"skipped"`
}

type sourceJSON struct {
	Columns []string `json:"columns"`
	Field   string   `json:"field"`
}

// importFlags are the flags of import.
type importFlags struct {
	id     string
	maps   []string
	skip   []string
	upsert bool
	errors string
	dryRun bool
}

func (a *app) importCommand() *cobra.Command {
	var flags importFlags
	cmd := &cobra.Command{
		Use:   "import COLLECTION FILE.csv --id-column COLUMN",
		Short: "Store the rows of a CSV file as records",
		Long: `Store the rows of a CSV file as records.

The file is UTF-8 with commas and a header; - is standard input. Each column goes
to the field of its own name, unless --map or --skip says otherwise. Blank cells
are no values.

A row that cannot be stored does not stop the others: it goes into the errors
file with its row (as a spreadsheet shows it: the header is row 1), line, field,
rule, reason and message, never with a value or the subject's id. The exit code
is then 4.

When the connection breaks, the message says which rows may be stored or not.`,
		Example: `  cloakroom import customers customers.csv --id-column customer_id \
      --map latitude+longitude=location --skip lifetime_value_eur`,
		Args: arguments("COLLECTION", "FILE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.importFile(cmd, args[0], args[1], flags)
		},
	}
	f := cmd.Flags()
	f.StringVar(&flags.id, "id-column", "", "the `column` with the subject's id; required")
	f.StringArrayVar(&flags.maps, "map", nil, "send a column elsewhere, as `column=field`, or join columns by a comma, as column+column=field")
	f.StringSliceVar(&flags.skip, "skip", nil, "leave `columns` out")
	f.BoolVar(&flags.upsert, "upsert", false, "change records that exist; fields without a value in the row stay")
	f.StringVar(&flags.errors, "errors", "", "the errors `file` (default FILE.errors.csv); overwritten, and removed if no row fails")
	f.BoolVar(&flags.dryRun, "dry-run", false, "check the header and show where columns go; store nothing")
	return cmd
}

func (a *app) importFile(cmd *cobra.Command, collection, name string, flags importFlags) error {
	mapping := csvimport.Mapping{IDColumn: flags.id, Skip: flags.skip}
	if flags.id == "" {
		return wrongUse(cmd, "--id-column is required: it names the column with the subject's id")
	}
	for _, text := range flags.maps {
		source, err := csvimport.ParseSource(text)
		if err != nil {
			return wrongUse(cmd, "--map: %v", err)
		}
		mapping.Sources = append(mapping.Sources, source)
	}
	if flags.errors == "" {
		if name == "-" && !flags.dryRun {
			return wrongUse(cmd, "--errors is required when the file is standard input")
		}
		flags.errors = name + ".errors.csv"
	}
	in, size, err := a.openInput(name)
	if err != nil {
		return wrongUse(cmd, "FILE: %v", err)
	}
	defer func() { _ = in.Close() }() // it is only read
	if sameFile(name, flags.errors) {
		return wrongUse(cmd, "--errors is the file that is imported")
	}
	rows, err := csvimport.NewReader(in, mapping)
	if err != nil {
		return err
	}
	if flags.dryRun {
		return a.printPlan(mapping, rows.Plan())
	}
	return a.withClient(cmd, func(client *cloakroom.Client) error {
		return a.carry(cmd, client, collection, rows, size, flags)
	})
}

// carry sends the rows and writes the errors file.
func (a *app) carry(cmd *cobra.Command, client *cloakroom.Client, collection string, rows *csvimport.Reader, size int64, flags importFlags) error {
	// Made before anything is sent, so that no failure is lost for want of a
	// place to write it.
	list, err := os.OpenFile(flags.errors, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return wrongUse(cmd, "--errors: %v", err)
	}
	failures := csvimport.NewFailureWriter(list)
	var options []cloakroom.ImportOption
	if flags.upsert {
		options = append(options, cloakroom.Upsert())
	}
	var tally csvimport.Tally
	progress, done := a.progress("importing", size, true)
	counts, err := csvimport.Transfer{
		Open: func(ctx context.Context) (csvimport.Import, error) {
			return client.OpenImport(ctx, collection, options...)
		},
		Report: func(f []csvimport.Failure) error {
			tally.Add(f)
			return failures.Write(f)
		},
		Progress: progress,
	}.Run(cmd.Context(), rows)
	done()
	if closing := closeList(list, counts.Failed == 0); err == nil && closing != nil {
		err = fmt.Errorf("the errors file: %w", closing)
	}
	result := importedJSON{collection, counts.Created, counts.Updated, counts.Failed, ""}
	if counts.Failed > 0 {
		result.ErrorsFile = flags.errors
	}
	if err != nil {
		fmt.Fprintf(a.Stderr, "before the error: %d created, %d updated, %d failed\n", counts.Created, counts.Updated, counts.Failed)
		return err
	}
	err = a.print(result, func(t *tableWriter) {
		t.row("CREATED", "UPDATED", "FAILED")
		t.row(strconv.FormatInt(counts.Created, 10), strconv.FormatInt(counts.Updated, 10), strconv.FormatInt(counts.Failed, 10))
	})
	if err == nil && counts.Failed > 0 {
		a.explain(&tally)
		err = &partialError{fmt.Sprintf("%d rows were not stored; %s lists them", counts.Failed, flags.errors)}
	}
	return err
}

// explain writes why rows failed, the ten most frequent causes, to standard
// error.
func (a *app) explain(tally *csvimport.Tally) {
	t := &tableWriter{w: tabwriter.NewWriter(a.Stderr, 0, 8, 2, ' ', 0)}
	t.row("ROWS", "REASON", "FIELD", "RULE")
	causes := tally.Causes()
	for _, c := range causes[:min(len(causes), 10)] {
		t.row(strconv.FormatInt(tally.Count(c), 10), c.Reason, c.Field, c.Rule)
	}
	_ = t.w.Flush() // the errors file has it all
	if slices.ContainsFunc(causes, func(c csvimport.Cause) bool { return c.Reason == "UNKNOWN_FIELD" }) {
		fmt.Fprintln(a.Stderr, "hint: columns that the collection has no field for need --skip or --map")
	}
}

// closeList closes the errors file, and removes it when it is empty and a file
// (not, say, a terminal).
func closeList(list *os.File, empty bool) error {
	info, err := list.Stat()
	if err = errors.Join(err, list.Close()); err != nil || !empty || !info.Mode().IsRegular() {
		return err
	}
	return os.Remove(list.Name())
}

// openInput opens the file and says how long it is, -1 when that is not known.
func (a *app) openInput(name string) (io.ReadCloser, int64, error) {
	if name == "-" {
		return io.NopCloser(a.Stdin), -1, nil
	}
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		err = errors.New("it is a directory")
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	if !info.Mode().IsRegular() {
		return file, -1, nil
	}
	return file, info.Size(), nil
}

// sameFile says whether both names lead to one file.
func sameFile(a, b string) bool {
	first, err := os.Stat(a)
	if err != nil {
		return false
	}
	second, err := os.Stat(b)
	return err == nil && os.SameFile(first, second)
}

func (a *app) printPlan(mapping csvimport.Mapping, plan []csvimport.Source) error {
	out := planJSON{IDColumn: mapping.IDColumn, Skipped: append([]string{}, mapping.Skip...)}
	for _, source := range plan {
		out.Mappings = append(out.Mappings, sourceJSON(source))
	}
	return a.print(out, func(t *tableWriter) {
		t.row("COLUMN", "FIELD")
		t.row(mapping.IDColumn, "(subject id)")
		for _, source := range plan {
			t.row(strings.Join(source.Columns, "+"), source.Field)
		}
		for _, column := range mapping.Skip {
			t.row(column, "(skipped)")
		}
	})
}
