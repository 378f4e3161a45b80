package cloakroom

import (
	"context"
	"iter"
	"math"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/fieldmaskpb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// PutResult answers one record of Put or PutMany.
type PutResult struct {
	// Record is the record as stored, with tokens.
	Record Record
	// Created says whether the record is new.
	Created bool
	// Err says why the record was not stored (an *Error); only in PutMany.
	Err error
}

// GetResult answers one id of BatchGet.
type GetResult struct {
	Record Record
	// Err says why there is no record (an *Error).
	Err error
}

// Put stores one record. Without Upsert it fails with ErrRecordExists when the
// subject has a record in the collection already.
func (c *Client) Put(ctx context.Context, collection string, record RecordInput, options ...PutOption) (PutResult, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyPut(&o)
	}
	if err := record.check(); err != nil {
		return PutResult{}, err
	}
	answer, err := invoke(ctx, c, idempotent, c.records.PutRecord, cloakroomv1.PutRecordRequest_builder{
		Collection: collection,
		Record:     record.message(),
		Upsert:     o.upsert,
		RequestId:  o.id(0),
		Domain:     o.domain,
	}.Build())
	if err != nil {
		return PutResult{}, err
	}
	return PutResult{Record: recordFrom(answer.GetRecord()), Created: answer.GetCreated()}, nil
}

// PutMany stores records, each on its own, and answers each in its place. More
// than 1,000 records, or more than 1 MiB, go in several calls; when one of them
// fails, the results of those before it are returned with the error, and the
// failed call's records may or may not be stored. No subject may
// stand twice.
//
// Text that is not UTF-8 anywhere in the list fails it before anything is sent.
// A RequestID names the whole list: send the same list again with it.
func (c *Client) PutMany(ctx context.Context, collection string, records []RecordInput, options ...PutOption) ([]PutResult, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyPut(&o)
	}
	if err := checkAll(records, RecordInput.check); err != nil {
		return nil, err
	}
	results := make([]PutResult, 0, len(records))
	for position, run := range chunks(records, RecordInput.size) {
		messages := make([]*cloakroomv1.RecordInput, len(run))
		for i, record := range run {
			messages[i] = record.message()
		}
		answer, err := invoke(ctx, c, idempotent, c.records.PutRecords, cloakroomv1.PutRecordsRequest_builder{
			Collection: collection,
			Records:    messages,
			Upsert:     o.upsert,
			RequestId:  o.id(position),
			Domain:     o.domain,
		}.Build())
		if err != nil {
			return results, err
		}
		if len(answer.GetResults()) != len(run) {
			return results, brokenAnswer(len(answer.GetResults()), len(run))
		}
		for _, r := range answer.GetResults() {
			results = append(results, PutResult{recordFrom(r.GetRecord()), r.GetCreated(), itemError(r.GetError())})
		}
	}
	return results, nil
}

// Get returns the metadata and tokens of one record, or ErrRecordNotFound.
func (c *Client) Get(ctx context.Context, collection, subjectID string, options ...GetOption) (Record, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyGet(&o)
	}
	answer, err := invoke(ctx, c, idempotent, c.records.GetRecord, cloakroomv1.GetRecordRequest_builder{
		Collection: collection, SubjectId: subjectID, Domain: o.domain,
	}.Build())
	if err != nil {
		return Record{}, err
	}
	return recordFrom(answer.GetRecord()), nil
}

// BatchGet returns any number of records, each answered in its place. When a
// call fails, the results of the calls before it are returned with the error.
func (c *Client) BatchGet(ctx context.Context, collection string, subjectIDs []string, options ...GetOption) ([]GetResult, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyGet(&o)
	}
	results := make([]GetResult, 0, len(subjectIDs))
	for _, run := range chunks(subjectIDs, stringSize) {
		answer, err := invoke(ctx, c, idempotent, c.records.BatchGetRecords, cloakroomv1.BatchGetRecordsRequest_builder{
			Collection: collection, SubjectIds: run, Domain: o.domain,
		}.Build())
		if err != nil {
			return results, err
		}
		if len(answer.GetResults()) != len(run) {
			return results, brokenAnswer(len(answer.GetResults()), len(run))
		}
		for _, r := range answer.GetResults() {
			results = append(results, GetResult{recordFrom(r.GetRecord()), itemError(r.GetError())})
		}
	}
	return results, nil
}

// List gives the records of a collection in the order in which their persons
// first came, fetching page after page. An error ends it: it is given once, with
// an empty record. Records stored or deleted meanwhile may or may not be seen.
func (c *Client) List(ctx context.Context, collection string, options ...ListOption) iter.Seq2[Record, error] {
	o := c.newCall()
	for _, option := range options {
		option.applyList(&o)
	}
	return func(yield func(Record, error) bool) {
		page := ""
		for {
			answer, err := invoke(ctx, c, idempotent, c.records.ListRecords, cloakroomv1.ListRecordsRequest_builder{
				Collection: collection, PageSize: int32(min(o.pageSize, math.MaxInt32)), PageToken: page, Domain: o.domain,
			}.Build())
			if err != nil {
				yield(Record{}, err)
				return
			}
			for _, m := range answer.GetRecords() {
				if !yield(recordFrom(m), nil) {
					return
				}
			}
			if page = answer.GetNextPageToken(); page == "" {
				return
			}
		}
	}
}

// Update replaces values of an existing record and returns it after the change.
// Fields that are not given stay, unless Mask or Clear name them.
func (c *Client) Update(ctx context.Context, collection string, record RecordInput, options ...UpdateOption) (Record, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyUpdate(&o)
	}
	if err := record.check(); err != nil {
		return Record{}, err
	}
	request := cloakroomv1.UpdateRecordRequest_builder{
		Collection: collection,
		Record:     record.message(),
		Etag:       o.etag,
		RequestId:  o.id(0),
		Domain:     o.domain,
	}.Build()
	if mask := o.updateMask(record); len(mask) > 0 {
		request.SetUpdateMask(&fieldmaskpb.FieldMask{Paths: mask})
	}
	answer, err := invoke(ctx, c, idempotent, c.records.UpdateRecord, request)
	if err != nil {
		return Record{}, err
	}
	return recordFrom(answer.GetRecord()), nil
}

// updateMask joins Mask and Clear. With Clear alone, the fields given are
// changed as they would be without it.
func (c call) updateMask(record RecordInput) []string {
	mask := slices.Clone(c.mask)
	if len(c.clear) > 0 && len(c.mask) == 0 {
		mask = record.Fields.sortedNames()
	}
	for _, field := range c.clear {
		if !slices.Contains(mask, field) {
			mask = append(mask, field)
		}
	}
	return mask
}

// Deleted is what DeleteRecord answers.
type Deleted struct {
	// Values is how many values went with the record.
	Values int
	// CopiesExpireTime is, when the person went with their last record, by when
	// every older copy of the vault and every backup is dead too, unless the key
	// provider is away then. Zero: the person has other records, or the vault sets
	// no time.
	CopiesExpireTime time.Time
}

// Delete deletes a record and returns how many values went with it. Their
// tokens open to nothing from then on. It is DeleteRecord for those who need
// only the number.
func (c *Client) Delete(ctx context.Context, collection, subjectID string, options ...DeleteOption) (int, error) {
	deleted, err := c.DeleteRecord(ctx, collection, subjectID, options...)
	return deleted.Values, err
}

// DeleteRecord deletes a record with its values. Their tokens open to nothing
// from then on, and with the person's last record the person goes, too.
func (c *Client) DeleteRecord(ctx context.Context, collection, subjectID string, options ...DeleteOption) (Deleted, error) {
	o := c.newCall()
	for _, option := range options {
		option.applyDelete(&o)
	}
	answer, err := invoke(ctx, c, idempotent, c.records.DeleteRecord, cloakroomv1.DeleteRecordRequest_builder{
		Collection: collection, SubjectId: subjectID, Etag: o.etag, RequestId: o.id(0),
	}.Build())
	if err != nil {
		return Deleted{}, err
	}
	return Deleted{Values: int(answer.GetValuesDeleted()), CopiesExpireTime: timeFrom(answer.GetCopiesExpireTime())}, nil
}

// newCall starts the options of one call with the defaults of the client.
func (c *Client) newCall() call { return call{domain: c.settings.domain} }
