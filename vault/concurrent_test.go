package vault_test

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

const callers = 32

// at runs a function for each of the callers, all at once.
func at(run func(caller int)) {
	var all sync.WaitGroup
	for i := range callers {
		all.Go(func() { run(i) })
	}
	all.Wait()
}

// nodes are two vaults on the same stores: in one of them changes of a person
// take turns, so only two show that the store decides.
func nodes(t *testing.T, h *vaulttest.Harness) [2]*vault.Vault {
	return [2]*vault.Vault{h.Vault, node(t, h)}
}

// Of many that create the same records, one wins each, and all others are told
// that it exists; what is stored is the winner's.
func TestOneCreateWins(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		const subjects = 8
		var won [subjects]atomic.Int32
		var winner [subjects]atomic.Int32
		on := nodes(t, h)
		at(func(caller int) {
			q := vault.PutRequest{Collection: "customers"}
			for s := range subjects {
				q.Records = append(q.Records, record(fmt.Sprintf("c-%d", (s+caller)%subjects), "note", fmt.Sprintf("of caller %d", caller)))
			}
			r, err := on[caller%2].PutRecords(t.Context(), as("shop"), q)
			if err != nil {
				t.Error(err)
				return
			}
			for i := range r {
				s := (i + caller) % subjects
				switch {
				case r[i].Err == nil:
					won[s].Add(1)
					winner[s].Store(int32(caller))
				case r[i].Err.Reason != vault.RecordExists:
					t.Errorf("refused with %v", r[i].Err.Reason)
				}
			}
		})
		for s := range subjects {
			if n := won[s].Load(); n != 1 {
				t.Errorf("%d creates of one record won", n)
			}
			wantShown(t, h, tokensOf(get(t, h, fmt.Sprintf("c-%d", s)), "note"), fmt.Sprintf("of caller %d", winner[s].Load()))
		}
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != subjects {
			t.Errorf("%d persons' keys for %d persons", n, subjects)
		}
	})
}

// Of many that hold the same etag, one changes the record.
func TestOneETagWins(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		tag := put(t, h, "c-1", "note", "tea").ETag
		var won atomic.Int32
		on := nodes(t, h)
		at(func(caller int) {
			_, err := on[caller%2].UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{Collection: "customers", Record: record("c-1", "note", fmt.Sprint(caller)), ETag: tag})
			if err == nil {
				won.Add(1)
			} else {
				wantReason(t, err, vault.ETagMismatch)
			}
		})
		if n := won.Load(); n != 1 {
			t.Errorf("%d updates with one etag won", n)
		}
	})
}

// Many callers on few persons: everybody gets an answer that can be, values of
// one record are always of one write, and nothing is left over.
func TestManyCallersOnFewPersons(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		on := nodes(t, h)
		at(func(caller int) {
			v := on[caller%2]
			for i := range 12 {
				subject := fmt.Sprintf("c-%d", (caller+i)%3)
				mark := fmt.Sprintf("%d.%d", caller, i)
				switch (caller + i) % 5 {
				case 0:
					_, err := v.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: subject})
					if err != nil {
						wantReason(t, err, vault.RecordNotFound)
					}
				case 1:
					r, err := v.Tokenize(t.Context(), as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "email",
						Items: []vault.TokenizeItem{{SubjectID: subject, Value: vaulttest.Text("a" + mark + "@example.org")}}})
					if err != nil || (r[0].Err != nil && r[0].Err.Reason != vault.TooManyValues) {
						t.Errorf("tokenize: %v, %+v", err, r)
					}
				case 2:
					readPair(t, v, subject)
				default:
					r, err := v.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{
						record(subject, "note", mark, "full_name", "N "+mark)}})
					if err != nil || r[0].Err != nil {
						t.Errorf("upsert: %v, %+v", err, r)
					}
				}
			}
		})
		people := 0
		for s := range 3 {
			if get(t, h, fmt.Sprintf("c-%d", s)) != nil {
				people++
			}
		}
		if n := len(scanAll(t, h.Keys, rows.Subjects)); n != people {
			t.Errorf("%d persons' keys for %d persons", n, people)
		}
	})
}

// readPair reads two values that are always written together.
func readPair(t *testing.T, v *vault.Vault, subject string) {
	t.Helper()
	r, err := v.ReadRecord(t.Context(), as("reader"), vault.ReadRequest{Collection: "customers", SubjectID: subject, Purpose: "support", Fields: []string{"note", "full_name"}})
	if err != nil {
		wantReason(t, err, vault.RecordNotFound)
		return
	}
	var got [2]string
	for i, f := range r.Fields {
		if f.Count == 0 {
			continue
		}
		if e := r.Values.Items[f.First].Err; e != nil {
			if e.Reason != vault.TokenNotFound { // erased between two reads
				t.Errorf("%s: %v", f.Field, e)
			}
			return
		}
		got[i] = string(r.Values.Value(f.First).Expose())
	}
	if (got[0] != "" || got[1] != "") && got[1] != "N "+got[0] && strings.TrimPrefix(got[1], "N ") != got[0] {
		t.Errorf("values of two writes in one answer")
	}
}
