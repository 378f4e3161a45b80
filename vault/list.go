package vault

import (
	"context"
	"encoding/base64"
	"encoding/binary"
	"fmt"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// ListRequest asks for a page of a collection.
type ListRequest struct {
	Collection string
	PageSize   int // 0: 100; at most MaxBatch
	PageToken  string
	Domain     string
}

// ListRecords returns a page of records in the order in which their persons
// first came, and the token of the next page, which is empty after the last.
func (v *Vault) ListRecords(ctx context.Context, c Caller, q ListRequest) ([]*Record, string, error) {
	page, err := steady(ctx, v, func(st *state) (recordPage, error) { return v.listRecords(ctx, c, st, &q) })
	return page.records, page.next, err
}

// recordPage is a page of a list and the token of the next.
type recordPage struct {
	records []*Record
	next    string
}

func (v *Vault) listRecords(ctx context.Context, c Caller, st *state, q *ListRequest) (recordPage, error) {
	call, refused := st.beginRead(c, q.Collection, q.Domain)
	size := q.PageSize
	if size == 0 {
		size = 100
	}
	var after uint64
	if refused == nil {
		if size < 0 || size > MaxBatch {
			refused = refuse(InvalidRequest, "page_size", fmt.Sprintf("must be 0 to %d", MaxBatch))
		} else {
			after, refused = v.openPage(c, call.coll, q.PageToken)
		}
	}
	if refused != nil {
		return recordPage{}, v.refused(ctx, c, call.st, refused, audit.Entry{Action: audit.ActionList})
	}
	from, to := rows.MemberRange(uint16(call.coll.ID), after)
	page, err := v.values.Scan(ctx, rows.Members, from, to, size)
	if err != nil {
		return recordPage{}, failure(err)
	}
	refs := make([]uint64, len(page))
	for i, row := range page {
		if refs[i], err = rows.ParseMemberKey(row.Key); err != nil {
			return recordPage{}, failure(err)
		}
	}
	results, err := v.describePage(ctx, call, refs)
	if err != nil {
		return recordPage{}, err
	}
	if err := v.auditRead(ctx, c, call, audit.ActionList, refs, results); err != nil {
		return recordPage{}, err
	}
	var out recordPage
	for _, r := range results {
		if r.Record != nil {
			out.records = append(out.records, r.Record)
		}
	}
	if len(page) == size {
		out.next = v.sealPage(c, call.coll, refs[len(refs)-1])
	}
	return out, nil
}

// describePage reads the records of a page. A record that is deleted meanwhile
// is left out by its error; one whose person does not open is reported in the
// server's log and left out, so that the rest can be listed.
func (v *Vault) describePage(ctx context.Context, call *readCall, refs []uint64) ([]RecordResult, error) {
	if len(refs) == 0 {
		return nil, nil
	}
	ids, err := v.identities(ctx, refs)
	if err != nil {
		return nil, failure(err)
	}
	found, err := v.readRecords(ctx, call.st, call.coll, refs)
	if err != nil {
		return nil, passing(err)
	}
	out := make([]RecordResult, len(refs))
	for i := range out {
		switch {
		case ids[i].err != nil:
			out[i].Err = ids[i].err
		case found[i].err != nil:
			out[i].Err = asError(found[i].err)
		case found[i].record == nil:
			out[i].Err = fail(RecordNotFound, "")
		default:
			out[i].Record, err = v.recordOf(call.st, call.coll, call.nameable(ids[i].subject), refs[i], found[i].header, found[i].record, call.readable, call.domain)
			if err != nil {
				return nil, failure(err)
			}
		}
	}
	return out, nil
}

// A page token is the last ref of the page, sealed for one principal and
// collection, since refs never leave the vault in clear.
func (v *Vault) sealPage(c Caller, coll *policy.Collection, ref uint64) string {
	sealed := v.ring.Snapshot().Rows().Seal(nil, be64(ref), v.pagePlace(c, coll))
	return base64.RawURLEncoding.EncodeToString(sealed)
}

func (v *Vault) openPage(c Caller, coll *policy.Collection, text string) (uint64, *Error) {
	if text == "" {
		return 0, nil
	}
	invalid := refuse(InvalidPageToken, "page_token", "is not one that this list gave out")
	sealed, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		return 0, invalid
	}
	ref, err := v.ring.Snapshot().Rows().Open(nil, sealed, v.pagePlace(c, coll))
	if err != nil || len(ref) != 8 {
		return 0, invalid
	}
	return binary.BigEndian.Uint64(ref), nil
}

func (v *Vault) pagePlace(c Caller, coll *policy.Collection) []byte {
	return append(sealedRow(v.id, "page/", uint64(coll.ID)), c.Principal...)
}
