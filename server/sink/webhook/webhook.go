package webhook

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/cloakroom-vault/cloakroom/server/sink"
	"github.com/cloakroom-vault/cloakroom/server/sink/httppost"
)

const (
	timeout = 10 * time.Second // of one event
	// refused is the pause after an answer that will hardly change by itself.
	refused = 5 * time.Minute
)

// Options of New.
type Options struct {
	// URL is where events go: https, or http to this machine.
	URL string
	// SecretFile is the path of the secrets; see the package comment.
	SecretFile string
	// CA is a file of authorities in PEM; the system's if empty.
	CA string
	// Now gives the time of an attempt; time.Now if nil.
	Now func() time.Time
}

// Target posts events. A follower should give it one entry at a time
// (MaxEntries 1), so that an event that was taken is not sent again with one
// that was not.
type Target struct {
	o      Options
	client *httppost.Client
}

var _ sink.Target = (*Target)(nil)

// New makes a target. It reads the secrets once, to find mistakes early:
// ErrSecret and the errors of packages httppost and secretfile.
func New(o Options) (*Target, error) {
	if err := CheckSecret(o.SecretFile); err != nil {
		return nil, err
	}
	client, err := httppost.New(o.URL, o.CA, timeout)
	if err != nil {
		return nil, fmt.Errorf("webhook: %w", err)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return &Target{o: o, client: client}, nil
}

// Deliver implements sink.Target.
func (t *Target) Deliver(ctx context.Context, batch []sink.Entry) error {
	secrets, err := readSecrets(t.o.SecretFile)
	if err != nil {
		return err
	}
	defer secrets.wipe()
	for _, e := range batch {
		if err := t.post(ctx, secrets, e); err != nil {
			return err
		}
	}
	return nil
}

// event is the body of a request.
type event struct {
	Type      string          `json:"type"`
	Timestamp time.Time       `json:"timestamp"`
	Index     uint64          `json:"index"`
	Data      json.RawMessage `json:"data"`
}

func (t *Target) post(ctx context.Context, s secrets, e sink.Entry) error {
	body, err := json.Marshal(event{"cloakroom." + e.E.Action.String(), e.E.Time, e.Index, e.JSON})
	if err != nil {
		return fmt.Errorf("webhook: entry %d is not JSON", e.Index) // the cause may quote it
	}
	id, now := hex.EncodeToString(e.E.ID[:]), t.o.Now().Unix()
	answer, err := t.client.Post(ctx, http.Header{
		"Content-Type": {"application/json"},
		// Names of this form are canonical for HTTP/1 and lower-cased by HTTP/2.
		"Webhook-Id":        {id},
		"Webhook-Timestamp": {strconv.FormatInt(now, 10)},
		"Webhook-Signature": {s.sign(id, now, body)},
	}, body)
	if err != nil {
		return fmt.Errorf("webhook: %w", err)
	}
	switch {
	case answer.OK():
		return nil
	case answer.Status < http.StatusInternalServerError && answer.Status != http.StatusTooManyRequests && answer.Status != http.StatusRequestTimeout:
		return fmt.Errorf("webhook: %w", t.client.Refused(answer, refused))
	}
	return fmt.Errorf("webhook: %w", t.client.Refused(answer, 0))
}

// Close implements sink.Target.
func (t *Target) Close() error {
	t.client.Close()
	return nil
}
