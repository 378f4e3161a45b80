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

// RequestMemory is how long a write with a request id is remembered.
const RequestMemory = 24 * time.Hour

// remembered is one item of a write with a request id.
type remembered struct {
	key    rows.Hash
	digest [16]byte
	row    []byte        // the row under key, if there is one
	was    *rows.Request // what an earlier call with this id did
}

// remember prepares idempotency for item i of a call; nil without a request id.
// Both hashes are keyed, since they cover values.
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
	key, err := v.keyedHash("cloakroom/request/v1", id)
	if err != nil {
		return nil, err
	}
	digest, err := v.keyedHash("cloakroom/request-digest/v1", append(id, input...))
	if err != nil {
		return nil, err
	}
	return &remembered{key: key, digest: digest}, nil
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
	for _, c := range pending {
		if c.request != nil {
			pairs = append(pairs, store.Key{Table: rows.Requests, Key: c.request.key[:]})
			of = append(of, c)
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
		c.request.row = row
		if !ok {
			continue
		}
		was, err := rows.ParseRequest(row)
		if err != nil {
			return err
		}
		switch {
		case was.Expires <= now: // as if it had been forgotten
		case was.Digest != c.request.digest:
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
