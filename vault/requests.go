package vault

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// RequestMemory is how long a write with a request id is remembered. It is
// forgotten sooner when the lookup key was rotated and every person is found
// under the new version.
const RequestMemory = 24 * time.Hour

// remembered is one item of a write with a request id.
type remembered struct {
	requestHash
	older []requestHash // under older versions of the lookup key that are asked
	row   []byte        // the row under key, if there is one
	was   *rows.Request // what an earlier call with this id did
}

// requestHash is the keyed hashes of an item of a write, which are keyed since
// they cover values.
type requestHash struct {
	key    rows.Hash
	digest [16]byte
}

func (f *finder) request(version uint16, id, input []byte) (h requestHash, err error) {
	if h.key, err = f.hash(version, requestLabel, id); err != nil {
		return h, err
	}
	digest, err := f.hash(version, requestDigestLabel, append(id, input...))
	h.digest = digest
	return h, err
}

// remember prepares idempotency for item i of a call; nil without a request id.
func (v *Vault) remember(c Caller, method, requestID string, i int, input []byte) (*remembered, error) {
	if requestID == "" {
		return nil, nil
	}
	var id []byte
	for _, s := range []string{c.Principal, method, requestID} {
		id = binary.BigEndian.AppendUint32(id, uint32(len(s)))
		id = append(id, s...)
	}
	id = binary.BigEndian.AppendUint32(id, uint32(i))
	f, err := v.finder(v.ring.Snapshot())
	if err != nil {
		return nil, err
	}
	r := new(remembered)
	if r.requestHash, err = f.request(f.primary(), id, input); err != nil {
		return nil, err
	}
	for _, version := range f.older() {
		older, err := f.request(version, id, input)
		if err != nil {
			return nil, err
		}
		r.older = append(r.older, older)
	}
	return r, nil
}

// checkRequestID checks the form of a request id.
func checkRequestID(id string) *Error {
	if len(id) > MaxRequestID {
		return refuse(InvalidRequest, "request_id", fmt.Sprintf("must be at most %d bytes", MaxRequestID))
	}
	return nil
}

// recall finds what earlier calls under the same request ids did, in one read,
// and marks those changes as done.
func (v *Vault) recall(ctx context.Context, pending []*change) error {
	var pairs []store.Key
	var of []*change
	var as []*requestHash
	for _, c := range pending {
		if c.request == nil {
			continue
		}
		c.request.row = nil
		add := func(h *requestHash) {
			pairs = append(pairs, store.Key{Table: rows.Requests, Key: h.key[:]})
			of, as = append(of, c), append(as, h)
		}
		add(&c.request.requestHash)
		for i := range c.request.older {
			add(&c.request.older[i])
		}
	}
	if len(pairs) == 0 {
		return nil
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return err
	}
	now := v.now().UnixMilli()
	for i, c := range of {
		row, ok := have.Value(i)
		if !ok || !c.open() {
			continue
		}
		if as[i] == &c.request.requestHash {
			c.request.row = row
		}
		was, err := rows.ParseRequest(row)
		if err != nil {
			return err
		}
		switch {
		case was.Expires <= now: // as if it had been forgotten
		case was.Digest != as[i].digest:
			c.err = fail(RequestIDReused, "request_id")
		default:
			c.request.was = &was
			c.done, c.created, c.deleted, c.ref = true, was.Created, int(was.Count), was.Ref
		}
	}
	return nil
}

// plan adds the row that remembers the change, and the one that forgets it. Of
// two calls under the same id at once, one conflicts and then finds the row.
func (r *remembered) plan(b *store.Batch, c *change, ref uint64, now time.Time) {
	row := rows.Request{
		Created: c.created, Digest: r.digest, Ref: ref, Count: uint64(c.deleted),
		Expires: now.Add(RequestMemory).UnixMilli(),
	}
	if r.row == nil {
		b.RequireAbsent(rows.Requests, r.key[:])
	} else {
		b.RequireEqual(rows.Requests, r.key[:], r.row)
	}
	b.Put(rows.Requests, r.key[:], row.Append(nil))
	b.Put(rows.RequestExpiry, rows.ExpiryKey(row.Expires, r.key), nil)
}

// tidy does, now and then, what no call waits for: it finishes erasures whose
// key could not be destroyed at once, forgets expired requests and settles
// what the audit log is owed.
func (v *Vault) tidy(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		if err := v.tidyOnce(ctx); err != nil && ctx.Err() == nil {
			v.logger.Warn("work in the background did not end", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (v *Vault) tidyOnce(ctx context.Context) error {
	v.subjects.expire()
	return errors.Join(v.finishErasures(ctx), v.forgetExpired(ctx), v.settle(ctx))
}

func (v *Vault) forgetExpired(ctx context.Context) error {
	to := rows.ExpiryBefore(v.now().UnixMilli())
	from := []byte{0}
	for {
		page, err := v.values.Scan(ctx, rows.RequestExpiry, from, to, scanPage)
		if err != nil || len(page) == 0 {
			return err
		}
		if err := v.forgetPage(ctx, page); err != nil {
			return err
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// forgetPage deletes expiry rows and the requests they name, unless a request
// was used again after it had expired.
func (v *Vault) forgetPage(ctx context.Context, page []store.Row) error {
	pairs := make([]store.Key, len(page))
	var b store.Batch
	for i, r := range page {
		key, err := rows.ParseExpiryKey(r.Key)
		if err != nil {
			return err
		}
		pairs[i] = store.Key{Table: rows.Requests, Key: key[:]}
		b.Delete(rows.RequestExpiry, r.Key)
	}
	var have store.Rows
	if err := v.values.Get(ctx, pairs, &have); err != nil {
		return err
	}
	now := v.now().UnixMilli()
	seen := make(map[rows.Hash]bool, len(pairs))
	for i, pair := range pairs {
		row, ok := have.Value(i)
		if !ok || seen[rows.Hash(pair.Key)] {
			continue
		}
		seen[rows.Hash(pair.Key)] = true
		was, err := rows.ParseRequest(row)
		if err != nil {
			return err
		}
		if was.Expires <= now {
			b.RequireEqual(rows.Requests, pair.Key, row)
			b.Delete(rows.Requests, pair.Key)
		}
	}
	if err := v.values.Commit(ctx, &b); !isConflict(err) {
		return err
	}
	return nil // somebody used one of them again; the next round looks anew
}
