package cloakroom

import (
	"context"
	"errors"
	"io"
	"iter"

	"google.golang.org/grpc"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// ImportResult is the answer at the end of an import.
type ImportResult struct {
	// Created, Updated and Failed count records; their sum is how many were sent.
	Created, Updated, Failed int64
	// Failures are the first 10,000 records that were not stored, in order.
	Failures []ImportFailure
}

// ImportFailure is one record that was not stored.
type ImportFailure struct {
	// Index is the position of the record among those sent, from 0.
	Index int64
	// Err says why (an *Error).
	Err error
}

// Import stores any number of records, each on its own. It is not sent again
// when it fails: the vault may then have stored any of the records. Importing
// the same records again with Upsert is safe.
func (c *Client) Import(ctx context.Context, collection string, records iter.Seq[RecordInput], options ...ImportOption) (ImportResult, error) {
	w, err := c.OpenImport(ctx, collection, options...)
	if err != nil {
		return ImportResult{}, err
	}
	defer w.Cancel()
	for record := range records {
		if err := w.Send(record); err != nil {
			return ImportResult{}, err
		}
	}
	return w.Close()
}

// Importer is an import under way. It is for one goroutine at a time. End it
// with Close or Cancel; Cancel after Close does nothing.
type Importer struct {
	stream     grpc.ClientStreamingClient[cloakroomv1.ImportRecordsRequest, cloakroomv1.ImportRecordsResponse]
	cancel     context.CancelFunc
	collection string
	upsert     bool

	batch    []*cloakroomv1.RecordInput
	size     int
	subjects map[string]struct{} // of batch: none may stand twice in a message
	err      error               // why the import has ended
}

// errImportEnded is what a closed importer answers.
var errImportEnded = errors.New("the import has ended")

// OpenImport starts an import whose records come one by one.
func (c *Client) OpenImport(ctx context.Context, collection string, options ...ImportOption) (*Importer, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyImport(&o)
	}
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.records.ImportRecords(ctx)
	if err != nil {
		cancel()
		return nil, errorFrom(err)
	}
	return &Importer{
		stream: stream, cancel: cancel, collection: collection, upsert: o.upsert,
		subjects: make(map[string]struct{}),
	}, nil
}

// Send adds a record. Records are collected and sent in messages of at most
// 1,000 records and about 1 MiB. A record with text that is not UTF-8 is refused
// (ErrInvalidValue or ErrInvalidArgument), is not counted, and the import goes on;
// any other error ends it.
func (w *Importer) Send(record RecordInput) error {
	if w.err != nil {
		return w.err
	}
	if err := record.check(); err != nil {
		return err
	}
	size := record.size()
	_, twice := w.subjects[record.SubjectID]
	if twice || len(w.batch) == maxItems || len(w.batch) > 0 && w.size+size > maxMessage {
		if err := w.flush(); err != nil {
			return err
		}
	}
	w.batch = append(w.batch, record.message())
	w.subjects[record.SubjectID] = struct{}{}
	w.size += size
	return nil
}

// flush sends what was collected.
func (w *Importer) flush() error {
	err := w.stream.Send(cloakroomv1.ImportRecordsRequest_builder{
		Collection: w.collection, Records: w.batch, Upsert: w.upsert,
	}.Build())
	w.batch, w.size = nil, 0
	clear(w.subjects)
	if err == nil {
		return nil
	}
	if errors.Is(err, io.EOF) {
		// The server ended the stream; the cause is in its answer.
		_, err = w.stream.CloseAndRecv()
		if err == nil {
			err = brokenContract("the server ended the import early")
		}
	}
	return w.end(errorFrom(err))
}

// Close sends the rest and returns the counts.
func (w *Importer) Close() (ImportResult, error) {
	if w.err != nil {
		return ImportResult{}, w.err
	}
	if len(w.batch) > 0 {
		if err := w.flush(); err != nil {
			return ImportResult{}, err
		}
	}
	answer, err := w.stream.CloseAndRecv()
	if err != nil {
		return ImportResult{}, w.end(errorFrom(err))
	}
	_ = w.end(errImportEnded)
	result := ImportResult{Created: answer.GetCreated(), Updated: answer.GetUpdated(), Failed: answer.GetFailed()}
	for _, f := range answer.GetFailures() {
		result.Failures = append(result.Failures, ImportFailure{Index: f.GetIndex(), Err: itemError(f.GetError())})
	}
	return result, nil
}

// Cancel ends the import without an answer: what was sent may be stored.
func (w *Importer) Cancel() {
	if w.err == nil {
		_ = w.end(errImportEnded)
	}
}

// end remembers why the import has ended and frees the stream.
func (w *Importer) end(err error) error {
	w.err = err
	w.cancel()
	return err
}
