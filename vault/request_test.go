package vault_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

func putQ(id string, records ...vault.RecordInput) vault.PutRequest {
	return vault.PutRequest{Collection: "customers", Records: records, RequestID: id}
}

func TestRequestIDOfPut(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		ctx := t.Context()
		call := func(q vault.PutRequest) []vault.RecordResult {
			t.Helper()
			r, err := h.Vault.PutRecords(ctx, as("shop"), q)
			if err != nil {
				t.Fatal(err)
			}
			return r
		}
		q := putQ("r-1", record("c-1", "note", "tea"), record("c-2", "card", "12"))
		first := call(q)
		if first[0].Err != nil || first[1].Err == nil {
			t.Fatalf("%+v", first)
		}
		before := len(h.Log.Entries())
		if diff := cmp.Diff(first[0], call(q)[0]); diff != "" {
			t.Errorf("the repeated request differs: %s", diff)
		}
		if n := itemsLogged(entriesSince(h, before), audit.ActionRead); n != 1 {
			t.Errorf("the log names %d answers to a repeated request, want 1", n)
		}
		// Refused items are not remembered: the corrected one is stored.
		q.Records[1] = record("c-2", "note", "corrected")
		if r := call(q); r[0].Err != nil || !r[0].Created || r[1].Err != nil || !r[1].Created {
			t.Errorf("the corrected batch: %+v", r)
		}
		for name, other := range map[string]vault.PutRequest{
			"another value":      putQ("r-1", record("c-1", "note", "water"), record("c-2", "note", "corrected")),
			"another person":     putQ("r-1", record("c-9", "note", "tea"), record("c-2", "note", "corrected")),
			"another field":      putQ("r-1", record("c-1", "full_name", "tea"), record("c-2", "note", "corrected")),
			"another size":       putQ("r-1", record("c-1", "note", "tea")),
			"another collection": {Collection: "orders", Records: []vault.RecordInput{record("c-1"), record("c-2")}, RequestID: "r-1"},
			"an upsert":          {Collection: "customers", Upsert: true, Records: q.Records, RequestID: "r-1"},
		} {
			if r := call(other); r[0].Err == nil || r[0].Err.Reason != vault.RequestIDReused {
				t.Errorf("%s: %+v", name, r[0])
			}
		}
		if get(t, h, "c-9") != nil {
			t.Error("a refused request was done")
		}
		wantShown(t, h, tokensOf(get(t, h, "c-1"), "note"), "tea")
		// Ids are each principal's own: the clerk's r-1 is another request.
		r, err := h.Vault.PutRecords(ctx, as("clerk"), vault.PutRequest{Collection: "orders", Records: []vault.RecordInput{record("c-1", "street", "Main Street 1")}, RequestID: "r-1"})
		if err != nil || r[0].Err != nil {
			t.Errorf("the same id of another principal: %v, %+v", err, r)
		}
	})
}

func TestRequestIDOfUpdateAndDelete(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		put(t, h, "c-1", "note", "tea", "email", "a@example.org")
		put(t, h, "c-2", "note", "tea")
		q := vault.UpdateRequest{Collection: "customers", Record: record("c-1", "note", "coffee"), RequestID: "r-1"}
		first, err := h.Vault.UpdateRecord(t.Context(), as("shop"), q)
		if err != nil {
			t.Fatal(err)
		}
		again, err := h.Vault.UpdateRecord(t.Context(), as("shop"), q)
		if err != nil || again.ETag != first.ETag {
			t.Errorf("the update was done twice: %v, etag %s after %s", err, again.ETag, first.ETag)
		}
		q.Mask = []string{"note", "email"}
		_, err = h.Vault.UpdateRecord(t.Context(), as("shop"), q)
		wantReason(t, err, vault.RequestIDReused)

		d := vault.DeleteRequest{Collection: "customers", SubjectID: "c-1", RequestID: "r-1"}
		for range 2 {
			n, err := h.Vault.DeleteRecord(t.Context(), as("shop"), d)
			if n.Values != 2 || err != nil {
				t.Errorf("deleted %d values and %v, want 2", n.Values, err)
			}
		}
		d.SubjectID = "c-2"
		_, err = h.Vault.DeleteRecord(t.Context(), as("shop"), d)
		wantReason(t, err, vault.RequestIDReused)
		// Same request, same result, although the person is there again.
		put(t, h, "c-1", "note", "back")
		d.SubjectID = "c-1"
		if n, err := h.Vault.DeleteRecord(t.Context(), as("shop"), d); n.Values != 2 || err != nil {
			t.Errorf("deleted %d values and %v, want 2", n.Values, err)
		}
		if get(t, h, "c-1") == nil {
			t.Error("a remembered delete was done again")
		}
	})
}

func TestRequestsAreForgotten(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		call := func(note string) vault.Reason {
			t.Helper()
			q := putQ("r-1", record("c-1", "note", note))
			q.Upsert = true
			r, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
			if err != nil {
				t.Fatal(err)
			}
			if r[0].Err != nil {
				return r[0].Err.Reason
			}
			return 0
		}
		if got := call("tea"); got != 0 {
			t.Fatal(got)
		}
		h.Reopen()
		h.Clock.Add(vault.RequestMemory - time.Second)
		if got := call("coffee"); got != vault.RequestIDReused {
			t.Errorf("before 24 hours: %v", got)
		}
		h.Clock.Add(2 * time.Second)
		if got := call("coffee"); got != 0 {
			t.Errorf("after 24 hours: %v", got)
		}
		if got := call("tea"); got != vault.RequestIDReused {
			t.Errorf("used again after it was forgotten: %v", got)
		}
		// A sweep of what expired must not take the id that was used again.
		h.Clock.Add(time.Hour)
		if err := h.Vault.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := call("tea"); got != vault.RequestIDReused {
			t.Errorf("after the sweep: %v", got)
		}
		wantShown(t, h, tokensOf(get(t, h, "c-1"), "note"), "coffee")
		h.Clock.Add(vault.RequestMemory)
		if err := h.Vault.Tidy(t.Context()); err != nil {
			t.Fatal(err)
		}
		if left := scanAll(t, h.Values, rows.RequestExpiry); len(left) != 0 {
			t.Errorf("%d requests are remembered past their time", len(left))
		}
	})
}

// Of calls with the same id at once, one is done and all get its result.
func TestSameRequestAtOnce(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		results := make([]vault.RecordResult, 16)
		var all sync.WaitGroup
		for i := range results {
			all.Go(func() {
				r, err := h.Vault.PutRecords(t.Context(), as("shop"), putQ("r-1", record("c-1", "note", "tea")))
				if err != nil {
					t.Error(err)
					return
				}
				results[i] = r[0]
			})
		}
		all.Wait()
		for _, r := range results {
			if diff := cmp.Diff(results[0], r); diff != "" || r.Err != nil || !r.Created {
				t.Errorf("results differ: %s", diff)
			}
		}
	})
}

// Of different requests with the same id at once, one is done.
func TestDifferentRequestsAtOnce(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		var done atomic.Int32
		on := nodes(t, h)
		at(func(caller int) {
			r, err := on[caller%2].PutRecords(t.Context(), as("shop"), putQ("r-1", record(fmt.Sprintf("c-%d", caller), "note", "tea")))
			switch {
			case err != nil:
				t.Error(err)
			case r[0].Err == nil:
				done.Add(1)
			case r[0].Err.Reason != vault.RequestIDReused:
				t.Errorf("refused with %v", r[0].Err.Reason)
			}
		})
		if n := done.Load(); n != 1 {
			t.Errorf("%d requests were done under one id", n)
		}
	})
}

// The etag of a deleted record does not fit one stored later under the same id.
func TestETagOfAnotherPerson(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		old := put(t, h, "c-1", "note", "tea").ETag
		if _, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1", ETag: old}); err != nil {
			t.Fatal(err)
		}
		put(t, h, "c-1", "note", "coffee")
		_, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1", ETag: old})
		wantReason(t, err, vault.ETagMismatch)
	})
}
