package cloakroom

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// ExposureQuery says which reveals to count. Criteria that are given must all
// hold; of a list, of at most 100, one must match.
type ExposureQuery struct {
	// Principals are exact, each known to the policy or to the log: another is
	// ErrInvalidArgument, so that a mistyped one is no all-clear.
	Principals []string
	// Roles: reveals by whoever held one of them when it was decided. Each is the
	// name of a role now or once.
	Roles []string
	// Fields are "collection.field".
	Fields []string
	// KeyVersions are versions of the key of a field, which must be the only one.
	KeyVersions []uint32
	// Since is the first time that counts; zero for no limit.
	Since time.Time
	// Until is the first time past the last that counts; zero for no limit.
	Until time.Time
	// Reason is a code or ticket for the audit log, as for Freeze.
	Reason string
}

// ExposureSummary is what the rows add up to.
type ExposureSummary struct {
	// AsOf is when the log was read.
	AsOf time.Time
	// FirstIndex and EndIndex are the part of the log that was looked at: from
	// the one entry to before the other.
	FirstIndex, EndIndex uint64
	// MissingEntries were removed by the log's retention: when the window reaches
	// further back, what they held is missing.
	MissingEntries uint64
	// Entries is the number of entries with at least one reveal that counts.
	Entries uint64
	// Subjects is the number of persons.
	Subjects uint64
	// Reveals is the number of values, each as often as it was revealed.
	Reveals uint64
	// FirstTime and LastTime are those of the first and the last reveal; zero
	// when there is none.
	FirstTime, LastTime time.Time
	// Principals, Fields, Purposes and Views say how often by each.
	Principals, Fields, Purposes, Views []ExposureCount
	// VersionUnknown is, with key versions asked for, the number of reveals that
	// were left out because the log does not know the version.
	VersionUnknown uint64
	// HoneyReveals is the number of reveals of honey records, which are nobody's:
	// they are not counted above and have no rows.
	HoneyReveals uint64
}

// ExposureCount is a name and how many reveals.
type ExposureCount struct {
	Name    string
	Reveals uint64
}

// ExposureRow is one person and field.
type ExposureRow struct {
	// Subject is the person's handle, as in the audit log.
	Subject string
	// SubjectID is the caller's own id of the person; empty when the person was
	// erased since.
	SubjectID string
	// Field is "collection.field".
	Field string
	// FirstTime and LastTime are when it was revealed first and last.
	FirstTime, LastTime time.Time
	// Reveals is how often.
	Reveals uint64
	// Views, Principals and Purposes are in which views, by whom, and for what.
	Views, Principals, Purposes []string
}

// Exposure is the answer to an ExposureQuery: an upper bound of what was seen,
// by the log of the node that was called. End it with Close.
type Exposure struct {
	// Summary is what all rows add up to.
	Summary ExposureSummary

	stream grpc.ServerStreamingClient[cloakroomv1.ExposureResponse]
	cancel context.CancelFunc
	rows   []*cloakroomv1.ExposureRow // of the first message
}

// Exposure asks which persons and fields were revealed. It returns when the
// vault has the summary; the rows are read by Rows. The question is sent again
// as long as nothing was answered, as WithRetry says; a stream that breaks later
// is not opened again.
func (c *Client) Exposure(ctx context.Context, query ExposureQuery) (*Exposure, error) {
	request := cloakroomv1.ExposureRequest_builder{
		Principals: query.Principals, Roles: query.Roles, Fields: query.Fields, KeyVersions: query.KeyVersions,
		Since: timestamp(query.Since), Until: timestamp(query.Until), Reason: query.Reason,
	}.Build()
	for attempt := 1; ; attempt++ {
		e, err := c.openExposure(ctx, request)
		if err == nil {
			return e, nil
		}
		delay, may := c.settings.delay(attempt, err)
		if !may || c.settings.wait(ctx, delay) != nil {
			return nil, errorFrom(err)
		}
	}
}

// openExposure opens a stream and reads its first message.
func (c *Client) openExposure(ctx context.Context, request *cloakroomv1.ExposureRequest) (*Exposure, error) {
	ctx, cancel := context.WithCancel(ctx)
	stream, err := c.incidents.Exposure(ctx, request)
	var m *cloakroomv1.ExposureResponse
	if err == nil {
		m, err = stream.Recv()
	}
	if errors.Is(err, io.EOF) || err == nil && !m.HasSummary() {
		err = brokenContract("the server answered no summary")
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &Exposure{Summary: summaryFrom(m.GetSummary()), stream: stream, cancel: cancel, rows: m.GetRows()}, nil
}

// Rows gives the rows, by person and field, as they come. It can be used once.
// An error ends it: it is given once, with an empty row.
func (e *Exposure) Rows() iter.Seq2[ExposureRow, error] {
	return func(yield func(ExposureRow, error) bool) {
		for {
			for _, m := range e.rows {
				if !yield(exposureRowFrom(m), nil) {
					return
				}
			}
			m, err := e.stream.Recv()
			if errors.Is(err, io.EOF) {
				e.rows = nil
				return
			}
			if err != nil {
				yield(ExposureRow{}, errorFrom(err))
				return
			}
			e.rows = m.GetRows()
		}
	}
}

// Close ends the stream and frees what it holds.
func (e *Exposure) Close() { e.cancel() }

func summaryFrom(m *cloakroomv1.ExposureSummary) ExposureSummary {
	return ExposureSummary{
		AsOf: timeFrom(m.GetAsOf()), FirstIndex: m.GetFirstIndex(), EndIndex: m.GetEndIndex(),
		MissingEntries: m.GetMissingEntries(), Entries: m.GetEntries(), Subjects: m.GetSubjects(), Reveals: m.GetReveals(),
		FirstTime: timeFrom(m.GetFirstTime()), LastTime: timeFrom(m.GetLastTime()),
		Principals: countsFrom(m.GetPrincipals()), Fields: countsFrom(m.GetFields()),
		Purposes: countsFrom(m.GetPurposes()), Views: countsFrom(m.GetViews()),
		VersionUnknown: m.GetVersionUnknown(), HoneyReveals: m.GetHoneyReveals(),
	}
}

func countsFrom(list []*cloakroomv1.ExposureCount) []ExposureCount {
	counts := make([]ExposureCount, len(list))
	for i, m := range list {
		counts[i] = ExposureCount{Name: m.GetName(), Reveals: m.GetReveals()}
	}
	return counts
}

func exposureRowFrom(m *cloakroomv1.ExposureRow) ExposureRow {
	return ExposureRow{
		Subject: m.GetSubject(), SubjectID: m.GetSubjectId(), Field: m.GetField(),
		FirstTime: timeFrom(m.GetFirstTime()), LastTime: timeFrom(m.GetLastTime()), Reveals: m.GetReveals(),
		Views: m.GetViews(), Principals: m.GetPrincipals(), Purposes: m.GetPurposes(),
	}
}
