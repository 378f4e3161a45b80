package cloakroom

import (
	"context"
	"errors"
	"io"
	"iter"
	"math"

	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// AuditPage is a part of the answer to a question about the log.
type AuditPage struct {
	// Entries are those of the page; there may be none, though others follow.
	Entries []AuditEntry
	// Next fetches the next page; empty when this is the last.
	Next string
	// FirstIndex is the first entry that the log still keeps: older ones were
	// removed by its retention.
	FirstIndex uint64
	// LogSize is the number of entries ever written.
	LogSize uint64
}

// EncodedEntry is an entry as it is encoded in the log. Its leaf in the log's
// tree is tlog.RecordHash of Data.
type EncodedEntry struct {
	// Index is its place in the log.
	Index uint64
	// Data is the encoded entry.
	Data []byte
}

// AuditPage returns one page of the entries that match; page is the Next of the
// page before, asked for with the same filter and order, or empty.
func (c *Client) AuditPage(ctx context.Context, filter AuditFilter, page string, options ...AuditOption) (AuditPage, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyAudit(&o)
	}
	f, err := filter.message()
	if err != nil {
		return AuditPage{}, err
	}
	answer, err := invoke(ctx, c, idempotent, c.audit.ListEntries, cloakroomv1.ListEntriesRequest_builder{
		Filter: f, PageSize: int32(min(o.pageSize, math.MaxInt32)), PageToken: page, NewestFirst: o.newest,
	}.Build())
	if err != nil {
		return AuditPage{}, err
	}
	p := AuditPage{Next: answer.GetNextPageToken(), FirstIndex: answer.GetFirstIndex(), LogSize: answer.GetLogSize()}
	for _, m := range answer.GetEntries() {
		p.Entries = append(p.Entries, auditEntryFrom(m))
	}
	return p, nil
}

// AuditEntries gives the entries that match, in the order of the log or, with
// NewestFirst, from its end, fetching page after page. An error ends it: it is
// given once, with an empty entry.
func (c *Client) AuditEntries(ctx context.Context, filter AuditFilter, options ...AuditOption) iter.Seq2[AuditEntry, error] {
	return func(yield func(AuditEntry, error) bool) {
		for next, more := "", true; more; more = next != "" {
			page, err := c.AuditPage(ctx, filter, next, options...)
			if err != nil {
				yield(AuditEntry{}, err)
				return
			}
			for _, e := range page.Entries {
				if !yield(e, nil) {
					return
				}
			}
			next = page.Next
		}
	}
}

// ExportAudit gives the encoded entries from one index to before another, 0 for
// up to the last checkpoint, in order and without gaps. The first may be later
// than asked for, when the log's retention has removed older ones. A stream
// that breaks is opened again where it broke, as WithRetry says. An error ends
// it: it is given once, with an empty entry.
func (c *Client) ExportAudit(ctx context.Context, from, to uint64) iter.Seq2[EncodedEntry, error] {
	return func(yield func(EncodedEntry, error) bool) {
		x := exporter{next: from, to: to, first: true, yield: yield}
		for attempt := 1; ; attempt++ {
			before := x.next
			err := x.run(ctx, c)
			if err == nil || x.left {
				return
			}
			if x.next != before {
				attempt = 1
			}
			delay, may := c.settings.delay(attempt, err)
			if !may || c.settings.wait(ctx, delay) != nil {
				yield(EncodedEntry{}, errorFrom(err))
				return
			}
		}
	}
}

// exporter holds how far an export has come.
type exporter struct {
	next, to uint64
	first    bool // no entry has come yet
	left     bool // the loop was left
	yield    func(EncodedEntry, error) bool
}

// run opens a stream and gives its entries. It returns nil at its end.
func (x *exporter) run(ctx context.Context, c *Client) error {
	if x.to > 0 && x.next >= x.to {
		return nil // the stream broke behind the last entry
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := c.audit.ExportEntries(ctx, cloakroomv1.ExportEntriesRequest_builder{FromIndex: x.next, ToIndex: x.to}.Build())
	if err != nil {
		return err
	}
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := x.take(m); err != nil || x.left {
			return err
		}
	}
}

// take gives the entries of a message.
func (x *exporter) take(m *cloakroomv1.ExportEntriesResponse) error {
	if len(m.GetEntries()) == 0 {
		return nil
	}
	switch at := m.GetFirstIndex(); {
	case at < x.next, at > x.next && !x.first:
		return brokenContract("the server sent entries of the log out of order")
	case x.to > 0 && (at >= x.to || uint64(len(m.GetEntries())) > x.to-at):
		return brokenContract("the server sent entries of the log that were not asked for")
	default:
		x.next, x.first = at, false
	}
	for _, data := range m.GetEntries() {
		e := EncodedEntry{Index: x.next, Data: data}
		x.next++
		if !x.yield(e, nil) {
			x.left = true
			return nil
		}
	}
	return nil
}

// contextError is the error of a context that has ended, as an *Error.
func contextError(ctx context.Context) error {
	return errorFrom(status.FromContextError(ctx.Err()).Err())
}
