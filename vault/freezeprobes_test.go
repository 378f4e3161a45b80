package vault_test

import (
	"slices"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// probe is what a caller gets: a value, or the name of a reason.
type probe struct {
	name string
	want string // while nothing is frozen
	call func(t *testing.T, h *vaulttest.Harness) string
}

func answer(got string, refusal vault.Reason) string {
	if refusal != 0 {
		return refusal.String()
	}
	return got
}

func outcome(t *testing.T, err error) string {
	t.Helper()
	if err != nil {
		return reasonOf(t, err).String()
	}
	return "ok"
}

// probes are calls of several callers on the record c-1, each under a name by
// which the table of a freeze says what becomes of it.
func probes(r *vault.Record) []probe {
	see := func(name, who, field, purpose string, view policy.View, want string) probe {
		return probe{name, want, func(t *testing.T, h *vaulttest.Harness) string {
			return answer(reveal(t, h, who, tokensOf(r, field)[0], purpose, view))
		}}
	}
	readField := func(name, who, purpose, field, want string) probe {
		return probe{name, want, func(t *testing.T, h *vaulttest.Harness) string {
			got, err := h.Vault.ReadRecord(t.Context(), as(who), vault.ReadRequest{Collection: "customers", SubjectID: "c-1", Purpose: purpose})
			if err != nil {
				return reasonOf(t, err).String()
			}
			i := slices.IndexFunc(got.Fields, func(f vault.ReadField) bool { return f.Field == field })
			switch {
			case i < 0:
				return "left out"
			case got.Fields[i].Err != nil:
				return got.Fields[i].Err.Reason.String()
			}
			return string(got.Values.Value(got.Fields[i].First).Expose())
		}}
	}
	return append([]probe{
		see("billing card", "billing", "card", "payment", 0, "4111111111111111"),
		see("billing name", "billing", "full_name", "payment", 0, "Ada Lovelace"),
		see("support card", "support", "card", "support", 0, "**** **** **** 1111"),
		see("support note", "support", "note", "support", policy.ViewMasked, "***"),
		see("desk name", "desk", "full_name", "support", 0, "Ada Lovelace"),
		see("desk card plain", "desk", "card", "payment", policy.ViewPlain, "4111111111111111"),
		see("desk card masked", "desk", "card", "support", policy.ViewMasked, "**** **** **** 1111"),
		see("desk card widest", "desk", "card", "support", 0, "**** **** **** 1111"),
		see("trainee name", "trainee", "full_name", "payment", 0, "Ada Lovelace"),
		see("trainee card", "trainee", "card", "payment", 0, "DENY_RULE"),
		see("billing without right", "billing", "note", "support", 0, "FIELD_DENIED"),
		see("analyst without right", "analyst", "card", "payment", 0, "ACTION_DENIED"),
		see("stranger", "stranger", "card", "payment", 0, "PRINCIPAL_UNKNOWN"),
		readField("read card", "support", "support", "card", "**** **** **** 1111"),
		readField("read name", "support", "support", "full_name", "Ada Lovelace"),
		readField("read name for payment", "billing", "payment", "full_name", "Ada Lovelace"),
	}, metadataProbes(r)...)
}

// metadataProbes neither return nor confirm a value, but for the tokenize.
func metadataProbes(r *vault.Record) []probe {
	return []probe{
		{"get", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			got, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}})
			if err == nil && len(got[0].Record.Fields) != 3 {
				return "fewer tokens"
			}
			return outcome(t, err)
		}},
		{"list", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			_, _, err := h.Vault.ListRecords(t.Context(), as("shop"), vault.ListRequest{Collection: "customers"})
			return outcome(t, err)
		}},
		{"get of the analyst", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			_, err := h.Vault.GetRecords(t.Context(), as("analyst"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{"c-1"}, Domain: "analytics"})
			return outcome(t, err)
		}},
		{"describe", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			got, err := h.Vault.DescribeTokens(t.Context(), as("shop"), tokensOf(r, "card"))
			if err == nil && got[0].Err != nil {
				err = got[0].Err
			}
			return outcome(t, err)
		}},
		{"write nothing", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			got, err := h.Vault.PutRecords(t.Context(), as("clerk"), vault.PutRequest{Collection: "orders", Upsert: true, Records: []vault.RecordInput{record("c-2")}})
			if err == nil && got[0].Err != nil {
				err = got[0].Err
			}
			return outcome(t, err)
		}},
		{"write", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			got, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-2", "card", "4111111111111111")}})
			if err == nil && got[0].Err != nil {
				err = got[0].Err
			}
			return outcome(t, err)
		}},
		{"tokenize", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			_, err := h.Vault.Tokenize(t.Context(), as("shop"), vault.TokenizeRequest{Collection: "customers", Field: "card", Items: []vault.TokenizeItem{{SubjectID: "c-1", Value: vaulttest.Text("4111111111111111")}}})
			return outcome(t, err)
		}},
		{"read the policy", "ok", func(t *testing.T, h *vaulttest.Harness) string {
			_, err := h.Vault.GetPolicy(t.Context(), as("admin"), 0)
			return outcome(t, err)
		}},
		{"delete without right", "ACTION_DENIED", func(t *testing.T, h *vaulttest.Harness) string {
			_, err := h.Vault.DeleteRecord(t.Context(), as("analyst"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-9"})
			return outcome(t, err)
		}},
	}
}
