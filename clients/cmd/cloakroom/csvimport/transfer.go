package csvimport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
)

// lotRows is how many rows go over one stream. The vault names at most 10,000
// failures at the end of a stream, so that no failure of a lot is left unnamed.
const lotRows = 10_000

// Import is one stream of records to the vault; *cloakroom.Importer is one.
type Import interface {
	// Send adds a record. An error ends the import.
	Send(cloakroom.RecordInput) error
	// Close ends the import and returns its counts.
	Close() (cloakroom.ImportResult, error)
	// Cancel ends the import without an answer; nothing after Close.
	Cancel()
}

// Transfer carries rows to the vault.
type Transfer struct {
	// Open starts an import. Required.
	Open func(context.Context) (Import, error)
	// Report takes the failures of each lot, in the order of the rows. Required.
	Report func([]Failure) error
	// Progress is called after each row with how many bytes of the file were
	// read. Optional.
	Progress func(bytes int64)
}

// Counts says what became of the rows.
type Counts struct {
	// Created and Updated count records, Failed rows; their sum is the number of
	// rows.
	Created, Updated, Failed int64
}

// InterruptedError says that a stream broke, so that what became of some rows is
// not known.
type InterruptedError struct {
	// FirstRow and LastRow are the rows that may be stored or not; rows before
	// are done, rows after were not sent.
	FirstRow, LastRow int64
	// Err is the cause.
	Err error
}

// Error implements error.
func (e *InterruptedError) Error() string {
	return fmt.Sprintf("the import broke off; rows %d to %d may be stored or not: %v", e.FirstRow, e.LastRow, e.Err)
}

// Unwrap returns the cause.
func (e *InterruptedError) Unwrap() error { return e.Err }

// position is where a record that was sent stands in the file.
type position struct{ number, line int64 }

// Run carries all rows, in lots. It returns the counts of the finished lots also
// when it fails.
func (t Transfer) Run(ctx context.Context, rows *Reader) (Counts, error) {
	var total Counts
	for {
		counts, more, err := t.lot(ctx, rows)
		total.Created += counts.Created
		total.Updated += counts.Updated
		total.Failed += counts.Failed
		if err != nil || !more {
			return total, err
		}
	}
}

// lot carries up to lotRows rows and says whether there may be more.
func (t Transfer) lot(ctx context.Context, rows *Reader) (counts Counts, more bool, err error) {
	var (
		stream   Import
		sent     []position
		failures []Failure
	)
	for n := 0; n < lotRows; n++ {
		row, err := rows.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		more = n == lotRows-1
		if err == nil && row.Failure == nil && stream == nil {
			// Opened with the first good row: a lot without any sends nothing.
			if stream, err = t.Open(ctx); err == nil {
				defer stream.Cancel()
			}
		}
		if err == nil && row.Failure == nil {
			sent = append(sent, position{row.Number, row.Line})
			err = stream.Send(row.Record)
		}
		if err != nil {
			return Counts{}, false, interrupted(sent, err)
		}
		if row.Failure != nil {
			failures = append(failures, *row.Failure)
		}
		if t.Progress != nil {
			t.Progress(rows.Offset())
		}
	}
	counts.Failed = int64(len(failures))
	if stream != nil {
		result, err := stream.Close()
		if err != nil {
			return Counts{}, false, interrupted(sent, err)
		}
		counts.Created, counts.Updated = result.Created, result.Updated
		counts.Failed += result.Failed
		for _, f := range result.Failures {
			if f.Index < 0 || f.Index >= int64(len(sent)) {
				return counts, false, errors.New("the vault names a failed record that was not sent")
			}
			at := sent[f.Index]
			failures = append(failures, refused(at.number, at.line, f.Err))
		}
	}
	slices.SortStableFunc(failures, func(a, b Failure) int { return cmp.Compare(a.Row, b.Row) })
	if err := t.Report(failures); err != nil {
		return counts, false, fmt.Errorf("write the list of failures: %w", err)
	}
	return counts, more, nil
}

// interrupted says which rows are in doubt, if any were sent.
func interrupted(sent []position, err error) error {
	if len(sent) == 0 {
		return err
	}
	return &InterruptedError{FirstRow: sent[0].number, LastRow: sent[len(sent)-1].number, Err: err}
}
