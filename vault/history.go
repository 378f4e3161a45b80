package vault

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/audit/tree"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// history is what the vault knows of its own log: the log to read, and the
// index built behind it. A log that cannot be read has none.
type history struct {
	log   audit.Reader
	index *index.Index // nil: everything is scanned
	proof prover       // nil: not published

	tallying chan struct{} // holds one value while an exposure is worked out
	watches  watches
}

// prover is a published log; *audit.FileLog is one.
type prover interface {
	Published() (*tree.Checkpoint, error)
	Proofs() (*tree.Reader, error)
}

// openHistory begins to follow the log.
func (v *Vault) openHistory(ctx context.Context, o Options) error {
	log, ok := o.Log.(audit.Reader)
	if !ok {
		return nil
	}
	v.history.log, v.history.tallying = log, make(chan struct{}, 1)
	v.history.proof, _ = o.Log.(prover)
	if o.Index == nil {
		return nil
	}
	var err error
	v.history.index, err = index.Open(ctx, index.Options{Log: log, Store: o.Index, LotEntries: o.IndexLot, Logger: o.Logger})
	if err != nil {
		return fmt.Errorf("open the index of the audit log: %w", err)
	}
	return nil
}

func (h *history) close() {
	if h.index != nil {
		_ = h.index.Close() // what is lost is built again
	}
}

// covered returns the entries below which the index knows everything.
func (h *history) covered() uint64 {
	if h.index == nil {
		return 0
	}
	return h.index.Covered()
}

// IndexCovered returns how many entries of the audit log the index covers, and
// how many there are, for metrics.
func (v *Vault) IndexCovered() (covered, size uint64) {
	if v.history.log == nil {
		return 0, 0
	}
	return v.history.covered(), v.history.log.Size()
}

// read calls fn for the entries of [from, to) that the log keeps.
func (h *history) read(ctx context.Context, from, to uint64, fn func(index uint64, raw []byte) error) error {
	if from >= to {
		return nil
	}
	err := h.log.Read(from, func(i uint64, raw []byte) error {
		switch {
		case i >= to:
			return errEnough
		case i%1024 == 0 && ctx.Err() != nil:
			return ctx.Err()
		}
		return fn(i, raw)
	})
	if errors.Is(err, errEnough) {
		return nil
	}
	return err
}

// errEnough ends a walk through the log that has what it wants.
var errEnough = errors.New("enough")

// HistoryEntry is an entry of the audit log and its place in it.
type HistoryEntry struct {
	Index uint64
	Entry *audit.Entry
}

// FieldName returns the name of a field as "collection.field", that of a
// dropped one too; "" for a number that was never given out.
func (v *Vault) FieldName(number uint32) string {
	return v.state.Load().registry.FieldName(policy.FieldID(number))
}

// beginHistory decides whether the caller may do what the action stands for
// with the log.
func (v *Vault) beginHistory(ctx context.Context, c Caller, a policy.Action) (*state, *Error, error) {
	st, err := v.reload(ctx) // not on a hot path, and the only read of the control row here
	if err != nil {
		return nil, nil, failure(err)
	}
	refused := st.may(st.policy.Principal(c.Principal), a)
	if refused == nil && v.history.log == nil {
		return nil, nil, &Error{Reason: AuditUnavailable, Detail: "this vault's audit log cannot be read"}
	}
	return st, refused, nil
}

// recheckEvery is how many entries are handed out on one decision of the
// caller's right: a freeze or another policy binds an answer that is under way.
const recheckEvery = 512

// stillMay decides again for an answer that is under way. A refusal is in the
// log when it is returned.
func (v *Vault) stillMay(ctx context.Context, c Caller, a policy.Action, object string) error {
	st, refused, err := v.beginHistory(ctx, c, a)
	if err != nil {
		return err
	}
	if refused == nil {
		return nil
	}
	e := audit.Entry{Action: audit.ActionAuditRead, Object: object}
	if a == policy.ActionExposure {
		e.Action = audit.ActionExposure
	}
	return v.refused(ctx, c, st, refused, e)
}

// enterHistory makes the entry of a look at the log durable.
func (v *Vault) enterHistory(ctx context.Context, c Caller, st *state, e audit.Entry) error {
	e.Request, e.Principal = c.Request, c.Principal
	e.PolicyVersion, e.Outcome = st.policy.Version(), audit.Allowed
	return waitFor(ctx, v.log.Append(&e))
}

// objectText joins words into an entry's Object, cut to what it may hold.
func objectText(words ...string) string {
	text := strings.Join(words, " ")
	if len(text) <= audit.MaxObjectLen {
		return text
	}
	text = text[:audit.MaxObjectLen]
	for !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}
