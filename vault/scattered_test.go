package vault_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// The file of scattered tables can be lost: everybody is found again by id,
// and who was erased stays erased.
func TestLostScatteredFile(t *testing.T) {
	h := vaulttest.OnDisk(t)
	h.Apply(testPolicy)
	const people = 2500 // more than a page, and more than a merge
	tokens := map[string]string{}
	for first := 0; first < people; first += vault.MaxBatch {
		q := vault.PutRequest{Collection: "customers"}
		for i := first; i < min(first+vault.MaxBatch, people); i++ {
			q.Records = append(q.Records, record(fmt.Sprintf("c-%d", i), "note", fmt.Sprintf("note %d", i)))
		}
		r, err := h.Vault.PutRecords(t.Context(), as("shop"), q)
		if err != nil {
			t.Fatal(err)
		}
		for i := range r {
			tokens[r[i].Record.SubjectID] = tokenOf(t, r[i].Record, "note")
		}
	}
	order(t, h, "c-7", "Main Street 1") // a person with two records
	order(t, h, "o-1", "Main Street 2")
	remove(t, h, "customers", "c-3")
	h.Close()
	lost := filepath.Join(h.Dir, "values.scattered.db")
	if err := os.Remove(lost); err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	for i := 0; i < people; i += 50 {
		id := fmt.Sprintf("c-%d", i)
		got := get(t, h, id)
		if got == nil || tokenOf(t, got, "note") != tokens[id] {
			t.Fatalf("person %d is not found again", i)
		}
	}
	if get(t, h, "c-3") != nil {
		t.Error("an erased person is back")
	}
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{
		record("c-7", "note", "x"), record("o-1", "note", "x"), record("c-3", "note", "x")}})
	if err != nil || r[0].Err == nil || r[0].Err.Reason != vault.RecordExists || r[1].Err != nil || r[2].Err != nil {
		t.Errorf("after the loss: %v, %+v", err, r)
	}
	wantShown(t, h, []string{tokens["c-3"], tokenOf(t, r[2].Record, "note")}, "TOKEN_NOT_FOUND", "x")
	h.Reopen()
	if get(t, h, "c-2499") == nil {
		t.Error("what was rebuilt did not last")
	}
}
