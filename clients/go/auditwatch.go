package cloakroom

import (
	"context"
	"errors"
	"io"
	"iter"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// WatchAudit gives the entries that match as they become durable, in the order
// of the log, each once, until ctx ends, the loop is left, or the right is
// lost. The error that ends it is given once, with an empty entry.
//
// A watch that breaks, or of which nothing was heard for 90 seconds, is opened
// again where it broke, so that no entry is missed: as often as WithRetry says
// before the first sign of the vault, and without end after it, unless
// WithRetry switched retries off. OnReconnect and OnRecovery tell of it.
func (c *Client) WatchAudit(ctx context.Context, filter AuditFilter, options ...WatchOption) iter.Seq2[AuditEntry, error] {
	o := c.newCall()
	for _, option := range options {
		option.applyWatch(&o)
	}
	return func(yield func(AuditEntry, error) bool) {
		f, err := filter.message()
		if err != nil {
			yield(AuditEntry{}, err)
			return
		}
		w := watch{client: c, filter: f, from: o.from, yield: yield, recovered: o.recovered}
		err = c.rewatch(ctx, w.run, func(err error) {
			w.broken = true
			if o.reconnect != nil {
				o.reconnect(errorFrom(err))
			}
		})
		if err != nil && !w.left {
			yield(AuditEntry{}, err)
		}
	}
}

// watch holds how far a watch has come.
type watch struct {
	client *Client
	filter *cloakroomv1.AuditFilter
	from   *uint64 // nil as long as nothing is known
	yield  func(AuditEntry, error) bool
	heard  bool // something came over the stream
	left   bool // the loop was left
	broken bool // nothing came since it broke

	recovered func() // nil when nobody wants to know
}

// run opens a stream and gives its entries. It returns whether something came,
// and why the stream ended; nil when the loop was left.
func (w *watch) run(ctx context.Context) (bool, error) {
	w.heard = false
	err := w.stream(ctx)
	return w.heard, err
}

func (w *watch) stream(ctx context.Context) error {
	streamCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A peer that vanished sends nothing, not even an end. The vault sends
	// something every 30 seconds.
	silent := time.AfterFunc(w.client.settings.silence, cancel)
	defer silent.Stop()
	stream, err := w.client.audit.WatchEntries(streamCtx, cloakroomv1.WatchEntriesRequest_builder{
		Filter: w.filter, FromIndex: w.from,
	}.Build())
	for err == nil {
		var m *cloakroomv1.WatchEntriesResponse
		if m, err = stream.Recv(); err != nil {
			break
		}
		// The time that the caller takes with an entry is not the vault's.
		silent.Stop()
		w.hear()
		if err := w.take(m); err != nil || w.left {
			return err
		}
		silent.Reset(w.client.settings.silence)
	}
	switch {
	case errors.Is(err, io.EOF):
		return status.Error(codes.Unavailable, "the server ended the watch")
	case streamCtx.Err() != nil && ctx.Err() == nil:
		return status.Error(codes.Unavailable, "nothing was heard of the server")
	}
	return err
}

// hear notes that something came.
func (w *watch) hear() {
	w.heard = true
	if w.broken && w.recovered != nil {
		w.recovered()
	}
	w.broken = false
}

// take gives the entry of a message and remembers where to go on.
func (w *watch) take(m *cloakroomv1.WatchEntriesResponse) error {
	next := m.GetNextIndex()
	if w.from != nil && next < *w.from {
		return brokenContract("the server's watch went back in the log")
	}
	if m.HasEntry() {
		e := auditEntryFrom(m.GetEntry())
		if w.from != nil && e.Index < *w.from || e.Index >= next {
			return brokenContract("the server sent entries of the log out of order")
		}
		if !w.yield(e, nil) {
			w.left = true
			return nil
		}
	}
	w.from = &next
	return nil
}
