package vault_test

import (
	"fmt"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

var rowsKey = keys.ID{Kind: keys.KindRows}

// underVersions counts, by the prefix that names the key, every row of the
// ordered tables that is sealed under the rows key alone: whatever the vault
// forgets to seal anew is found here.
func underVersions(t *testing.T, h *vaulttest.Harness) map[uint16]int {
	t.Helper()
	lock := h.Vault.Ring().Snapshot().Rows()
	out := map[uint16]int{}
	for _, table := range rows.ValueTables() {
		if table.Kind != store.Ordered || table.Number == rows.People {
			continue
		}
		for _, r := range scanAll(t, h.Values, table.Number) {
			if version, err := lock.KeyVersion(r.Value); err == nil {
				out[version]++
			}
		}
	}
	return out
}

// Every row under the rows key goes over to the version in use, while others
// write, and the vault opens without the old one. Persons' ids excepted, which
// are the re-wrap's.
func TestResealRows(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		put(t, h, "c-1", "note", "tea")
		mark(t, h, "c-1", false)
		if _, err := h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: vault.FreezeRole, Target: "analyst", Reason: "INC-1"}); err != nil {
			t.Fatal(err)
		}
		ring := h.Vault.Ring()
		if _, err := ring.Rotate(t.Context(), rowsKey); err != nil {
			t.Fatal(err)
		}
		before := underVersions(t, h)
		if before[1] < 7 { // policy, freeze, mark of honey, bootstrap, mark of the log, guard, keysets
			t.Fatalf("rows under the versions: %v", before)
		}
		count, err := h.Vault.CountRows(t.Context())
		if err != nil || int(count[1]) < before[1] {
			t.Errorf("counted %v of %v, %v", count, before, err)
		}
		var busy sync.WaitGroup
		for caller := range 4 {
			busy.Go(func() {
				for i := range 20 {
					put(t, h, fmt.Sprint("new-", caller, "-", i), "note", "tea")
				}
			})
		}
		if err := h.Vault.ResealRows(t.Context()); err != nil {
			t.Fatal(err)
		}
		busy.Wait()
		if after := underVersions(t, h); after[1] != 0 || after[2] == 0 {
			t.Errorf("rows under the versions: %v", after)
		}
		if count, err := h.Vault.CountRows(t.Context()); err != nil || count[1] != 0 || count[2] == 0 {
			t.Errorf("counted %v, %v", count, err)
		}
		if err := ring.SetState(t.Context(), rowsKey, 1, keys.Disabled); err != nil {
			t.Fatal(err)
		}
		h.Reopen()
		list, err := h.Vault.Freezes(t.Context(), as("guard"))
		if err != nil || len(list) != 1 {
			t.Errorf("%d freezes, %v", len(list), err)
		}
	})
}

// A row that does not open is told, and stays as it is.
func TestResealLeavesEvidence(t *testing.T) {
	h := open(t)
	if _, err := h.Vault.Ring().Rotate(t.Context(), rowsKey); err != nil {
		t.Fatal(err)
	}
	row := scanAll(t, h.Values, rows.Policies)[0]
	bad := append([]byte(nil), row.Value...)
	bad[len(bad)-1] ^= 1
	change(t, h.Values, rows.Policies, row.Key, bad)
	if err := h.Vault.ResealRows(t.Context()); err == nil {
		t.Error("a row that does not open was passed over")
	}
	if now := scanAll(t, h.Values, rows.Policies)[0]; string(now.Value) != string(bad) {
		t.Error("the row was changed")
	}
	change(t, h.Values, rows.Policies, row.Key, row.Value)
}
