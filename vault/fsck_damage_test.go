package vault_test

import (
	"bytes"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// damages are made by hand. Those that last are of what cannot be derived.
var damages = []struct {
	name   string
	damage func(t *testing.T, h *vaulttest.Harness, ref, other uint64)
	want   []string
	lasts  bool // it is not repaired
}{
	{"a member is missing", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		drop(t, h.Values, rows.Members, rows.MemberKey(1, ref))
	}, []string{"member_missing customers"}, false},
	{"a member too many", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.Members, rows.MemberKey(2, ref), []byte{})
	}, []string{"member_stray orders"}, false},
	{"a member who is nobody", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.Members, rows.MemberKey(1, ref+50), []byte{})
	}, []string{"member_stray customers"}, false},
	{"a member of another form", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Members, []byte{1, 2, 3}, []byte{})
	}, []string{"row_damaged"}, true},
	{"a count in a header", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		header := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1, Records: 7}
		change(t, h.Values, rows.People, rows.HeaderKey(ref), header.Append(nil))
	}, []string{"header_count"}, false},
	{"a record is lost", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		drop(t, h.Values, rows.People, rows.RecordKey(ref, 1))
		drop(t, h.Values, rows.Members, rows.MemberKey(1, ref))
	}, []string{"cell_unlisted customers.email 1", "cell_unlisted customers.full_name 1", "header_count"}, true},
	{"a record is damaged", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.People, rows.RecordKey(ref, 1), []byte{9})
	}, []string{"row_damaged"}, true},
	{"a cell is missing", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		drop(t, h.Values, rows.People, rows.CellKey(ref, 2, 1))
	}, []string{"cell_missing customers.email 1"}, true},
	{"cells are swapped", func(t *testing.T, h *vaulttest.Harness, ref, other uint64) {
		d := dumpOf(t, h.Values, rows.ValueTables())
		a, b := rows.CellKey(ref, 2, 1), rows.CellKey(other, 2, 1)
		change(t, h.Values, rows.People, a, d.row(rows.People, b))
		change(t, h.Values, rows.People, b, d.row(rows.People, a))
	}, []string{"cell_closed customers.email 1", "cell_closed customers.email 1"}, true},
	{"a cell is not listed", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		blob := dumpOf(t, h.Values, rows.ValueTables()).row(rows.People, rows.CellKey(ref, 2, 1))
		change(t, h.Values, rows.People, rows.CellKey(ref, 2, 9), blob)
	}, []string{"cell_closed customers.email 9", "cell_unlisted customers.email 9"}, true},
	{"a cell of an unknown field", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.People, rows.CellKey(ref, 200, 1), []byte("x"))
	}, []string{"cell_unlisted field 200 1", "field_unknown field 200 1"}, true},
	{"a row of an unknown kind", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.People, append(rows.RefKey(ref), 99), []byte("x"))
	}, []string{"row_damaged"}, true},
	{"a person's key is missing", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		drop(t, h.Keys, rows.Subjects, rows.RefKey(ref))
	}, []string{"key_missing"}, true},
	{"a person's key does not open", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Keys, rows.Subjects, rows.RefKey(ref), []byte("other"))
	}, []string{"key_closed"}, true},
	{"persons' keys are swapped", func(t *testing.T, h *vaulttest.Harness, ref, other uint64) {
		d := dumpOf(t, h.Keys, rows.KeyTables())
		change(t, h.Keys, rows.Subjects, rows.RefKey(ref), d.row(rows.Subjects, rows.RefKey(other)))
		change(t, h.Keys, rows.Subjects, rows.RefKey(other), d.row(rows.Subjects, rows.RefKey(ref)))
	}, []string{"key_closed", "key_closed"}, true},
	{"a key of another form", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Keys, rows.Subjects, []byte("short"), []byte("x"))
	}, []string{"row_damaged"}, true},
	{"a key without a person", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Keys, rows.Subjects, rows.RefKey(ref+100), []byte("spare"))
	}, []string{"key_orphan"}, false},
	{"a key of a number that was not given out", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Keys, rows.Subjects, rows.RefKey(ref+1<<20), []byte("later"))
	}, []string{"ref_ahead"}, true},
	{"an id is missing", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		drop(t, h.Values, rows.People, rows.IdentityKey(ref))
	}, []string{"identity_missing"}, true},
	{"an id is changed", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.People, rows.IdentityKey(ref), []byte("x"))
	}, []string{"identity_closed"}, true},
	{"a header is missing", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		drop(t, h.Values, rows.People, rows.HeaderKey(ref))
	}, []string{"header_missing"}, true},
	{"a header is damaged", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.People, rows.HeaderKey(ref), []byte{9})
	}, []string{"row_damaged"}, true},
	{"the ledger knows better", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.Ledger, rows.RefKey(ref), rows.AppendLedger(nil, 0))
	}, []string{"ledger"}, true},
	{"a line of the ledger is of nobody", func(t *testing.T, h *vaulttest.Harness, ref, _ uint64) {
		change(t, h.Values, rows.Ledger, rows.RefKey(ref+100), rows.AppendLedger(nil, 0))
	}, []string{"header_missing"}, true},
	{"a freeze is gone", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		drop(t, h.Values, rows.Freezes, rows.NumberKey(1))
	}, []string{"control_damaged"}, true},
	{"a freeze is changed", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Freezes, rows.NumberKey(1), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"the keysets row is gone", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		drop(t, h.Values, rows.Control, rows.KeysetsKey)
	}, []string{"control_damaged"}, true},
	{"the mark is gone", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		drop(t, h.Values, rows.Control, rows.MarkKey)
	}, []string{"log"}, true},
	{"a pending change is none", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Control, rows.PendingKeyKey, []byte("x"))
	}, []string{"control_damaged"}, true},
	{"a control row nobody knows", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Control, []byte("strange"), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"a row of keys.db nobody knows", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Keys, rows.KeyControl, []byte("strange"), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"who asked for the end of an epoch is none", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Control, rows.EpochEndKey, []byte("x"))
	}, []string{"control_damaged"}, true},
	{"a policy is damaged", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Policies, rows.VersionKey(77), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"uses of a key are none", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.KeyUses, []byte("1234567"), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"a request for a destruction is none", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.KeyRequests, rows.NumberKey(7), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"an entry in the outbox is none", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.Outbox, bytes.Repeat([]byte{1}, 16), []byte("x"))
	}, []string{"control_damaged"}, true},
	{"a remembered request is none", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		hash := rows.Hash{1}
		change(t, h.Values, rows.Requests, hash[:], []byte("x"))
		change(t, h.Values, rows.RequestExpiry, rows.ExpiryKey(h.Clock.Now().UnixMilli()+1e6, hash), []byte{})
	}, []string{"row_damaged"}, true},
	{"an expiry of another form", func(t *testing.T, h *vaulttest.Harness, _, _ uint64) {
		change(t, h.Values, rows.RequestExpiry, []byte("short"), []byte{})
	}, []string{"row_damaged"}, true},
}
