package otlp

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	collector "go.opentelemetry.io/proto/slim/otlp/collector/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
)

const (
	timeout = 20 * time.Second // of one request
	// refused is the pause after an answer that will hardly change by itself.
	refused = time.Minute
	// defaultPath is where collectors take logs.
	defaultPath = "/v1/logs"
)

// Options of New.
type Options struct {
	// Endpoint is the collector's URL: https, or http to this machine. Without a
	// path it gets /v1/logs; one with a path is used as it is.
	Endpoint string
	// HeadersFile is the path of headers to send, or empty; see the package
	// comment.
	HeadersFile string
	// CA is a file of authorities in PEM; the system's if empty.
	CA string
	// Logger receives one warning when the collector rejects records. Required.
	Logger *slog.Logger
	// Now gives the time of an attempt; time.Now if nil.
	Now func() time.Time
}

// Target sends batches to a collector.
type Target struct {
	o        Options
	client   *httppost.Client
	rejected atomic.Uint64
}

var _ sink.Target = (*Target)(nil)

// New makes a target. It reads the headers once, to find mistakes early:
// ErrHeaders and the errors of packages httppost and secretfile.
func New(o Options) (*Target, error) {
	u, err := httppost.ParseURL(o.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = defaultPath
	}
	if err := CheckHeaders(o.HeadersFile); err != nil {
		return nil, err
	}
	client, err := httppost.New(u.String(), o.CA, timeout)
	if err != nil {
		return nil, fmt.Errorf("otlp: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Target{o: o, client: client}, nil
}

// Rejected returns how many records the collector took without keeping them.
func (t *Target) Rejected() uint64 { return t.rejected.Load() }

// Deliver implements sink.Target.
func (t *Target) Deliver(ctx context.Context, batch []sink.Entry) error {
	header, err := readHeaders(t.o.HeadersFile)
	if err != nil {
		return err
	}
	header.Set("Content-Type", "application/x-protobuf")
	header.Set("Content-Encoding", "gzip")
	return t.send(ctx, header, batch)
}

// send sends a batch, in halves when it is too large for the other side. A
// half that was taken before the other failed comes again with it.
func (t *Target) send(ctx context.Context, header http.Header, batch []sink.Entry) error {
	body, err := encode(batch, t.o.Now())
	if err != nil {
		return err
	}
	answer, err := t.client.Post(ctx, header, body)
	if err != nil {
		return fmt.Errorf("otlp: %w", err)
	}
	switch {
	case answer.OK():
		t.note(answer)
		return nil
	case answer.Status == http.StatusRequestEntityTooLarge && len(batch) > 1:
		half := len(batch) / 2
		if err := t.send(ctx, header, batch[:half]); err != nil {
			return err
		}
		return t.send(ctx, header, batch[half:])
	case answer.Status == http.StatusTooManyRequests, answer.Status == http.StatusBadGateway,
		answer.Status == http.StatusServiceUnavailable, answer.Status == http.StatusGatewayTimeout:
		return fmt.Errorf("otlp: %w", t.client.Refused(answer, 0))
	}
	return fmt.Errorf("otlp: %w", t.client.Refused(answer, refused))
}

// note counts what a collector rejects of a batch that it took. An answer that
// cannot be read is a success all the same: its status said so.
func (t *Target) note(a httppost.Answer) {
	var response collector.ExportLogsServiceResponse
	if err := proto.Unmarshal(a.Body, &response); err != nil {
		return
	}
	if n := response.GetPartialSuccess().GetRejectedLogRecords(); n > 0 {
		if total := t.rejected.Add(uint64(n)); total == uint64(n) {
			t.o.Logger.Warn("the collector rejects entries of the audit log; they are counted and not sent again", "rejected", n)
		}
	}
}

func encode(batch []sink.Entry, now time.Time) ([]byte, error) {
	message, err := proto.Marshal(request(batch, uint64(now.UnixNano())))
	if err != nil {
		return nil, fmt.Errorf("otlp: the entries from %d on cannot be encoded", batch[0].Index) // the cause may quote one
	}
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write(message); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// Close implements sink.Target.
func (t *Target) Close() error {
	t.client.Close()
	return nil
}
