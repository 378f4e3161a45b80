package vault_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// exposed asks and returns the sums and all rows.
func exposed(t *testing.T, h *vaulttest.Harness, q vault.ExposureRequest) (*vault.ExposureSummary, []vault.ExposureRow) {
	t.Helper()
	var sum *vault.ExposureSummary
	var rows []vault.ExposureRow
	err := h.Vault.Exposure(t.Context(), as("auditor"), q, func(s *vault.ExposureSummary) error {
		if sum != nil || rows != nil {
			t.Error("the sums do not come first, or twice")
		}
		sum = s
		return nil
	}, func(lot []vault.ExposureRow) error {
		rows = append(rows, lot...)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return sum, rows
}

func TestExposure(t *testing.T) {
	withHistory(t, func(t *testing.T, h *vaulttest.Harness) {
		now := h.Clock.Now()
		for name, c := range map[string]struct {
			q       vault.ExposureRequest
			rows    int
			reveals uint64
		}{
			"everything":            {vault.ExposureRequest{}, 2, 12},
			"a principal":           {vault.ExposureRequest{Principals: []string{as("billing").Principal}}, 2, 6},
			"a role":                {vault.ExposureRequest{Roles: []string{"support"}}, 2, 6},
			"two roles":             {vault.ExposureRequest{Roles: []string{"support", "billing"}}, 2, 12},
			"a role that sees none": {vault.ExposureRequest{Roles: []string{"shop"}}, 0, 0},
			"a field":               {vault.ExposureRequest{Fields: []string{"customers.card"}}, 2, 12},
			"a field never seen":    {vault.ExposureRequest{Fields: []string{"customers.email"}}, 0, 0},
			"refused reveals":       {vault.ExposureRequest{Fields: []string{"customers.full_name"}}, 0, 0},
			"a key version":         {vault.ExposureRequest{Fields: []string{"customers.card"}, KeyVersions: []uint32{1}}, 2, 12},
			"a window":              {vault.ExposureRequest{Since: now.Add(-time.Hour), Until: now.Add(time.Hour)}, 2, 12},
			"another window":        {vault.ExposureRequest{Since: now.Add(time.Hour)}, 0, 0},
			"all of it":             {vault.ExposureRequest{Principals: []string{as("billing").Principal}, Roles: []string{"billing"}, Fields: []string{"customers.card"}, KeyVersions: []uint32{1}, Until: now.Add(time.Hour)}, 2, 6},
			"two that do not agree": {vault.ExposureRequest{Principals: []string{as("billing").Principal}, Roles: []string{"support"}}, 0, 0},
		} {
			t.Run(name, func(t *testing.T) {
				sum, rows := exposed(t, h, c.q)
				if len(rows) != c.rows || sum.Reveals != c.reveals {
					t.Fatalf("%d rows, %d reveals, want %d and %d", len(rows), sum.Reveals, c.rows, c.reveals)
				}
				var ids []string
				all := uint64(0)
				for _, r := range rows {
					ids = append(ids, r.SubjectID)
					all += r.Reveals
					if r.Field != "customers.card" || r.First.IsZero() || r.Last.Before(r.First) || len(r.Principals) == 0 || len(r.Views) == 0 || len(r.Purposes) == 0 {
						t.Errorf("row %+v", r)
					}
				}
				slices.Sort(ids)
				if all != sum.Reveals || len(rows) == 2 && !slices.Equal(ids, []string{"c-1", "c-2"}) || int(sum.Subjects) != c.rows {
					t.Errorf("%d reveals in rows, %d persons, ids %v", all, sum.Subjects, ids)
				}
			})
		}
	})
}

// TestExposureOfTheGone: an erased person is still counted, without an id. A
// role that was taken away counts as it was held.
func TestExposureOfTheGone(t *testing.T) {
	h := open(t)
	card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	reveal(t, h, "billing", card, "payment", 0)
	if _, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"}); err != nil {
		t.Fatal(err)
	}
	h.Apply(strings.Replace(testPolicy, `"spiffe://cloakroom.example/billing", roles: [billing]`, `"spiffe://cloakroom.example/billing", roles: [support]`, 1))
	sum, rows := exposed(t, h, vault.ExposureRequest{Roles: []string{"billing"}})
	if sum.Subjects != 1 || len(rows) != 1 || rows[0].SubjectID != "" || rows[0].Subject == "" {
		t.Errorf("%d persons, rows %+v", sum.Subjects, rows)
	}
}

func TestExposureRefuses(t *testing.T) {
	h := open(t)
	now := time.Now()
	for name, c := range map[string]struct {
		who  string
		q    vault.ExposureRequest
		want vault.Reason
	}{
		"no right":                {"billing", vault.ExposureRequest{}, vault.ActionDenied},
		"a key without its field": {"auditor", vault.ExposureRequest{KeyVersions: []uint32{1}}, vault.InvalidRequest},
		"no key version":          {"auditor", vault.ExposureRequest{Fields: []string{"customers.card"}, KeyVersions: []uint32{0}}, vault.InvalidRequest},
		"an unknown field":        {"auditor", vault.ExposureRequest{Fields: []string{"card"}}, vault.UnknownField},
		"a reason of free text":   {"auditor", vault.ExposureRequest{Reason: "what happened"}, vault.InvalidRequest},
		"no such key version":     {"auditor", vault.ExposureRequest{Fields: []string{"customers.card"}, KeyVersions: []uint32{2}}, vault.InvalidRequest},
		"a mistyped role":         {"auditor", vault.ExposureRequest{Roles: []string{"bilinng"}}, vault.InvalidRequest},
		"free text":               {"auditor", vault.ExposureRequest{Principals: []string{"ada@example.org 4111111111111111"}}, vault.InvalidRequest},
		"backwards":               {"auditor", vault.ExposureRequest{Since: now, Until: now}, vault.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			err := h.Vault.Exposure(t.Context(), as(c.who), c.q,
				func(*vault.ExposureSummary) error { t.Error("answered"); return nil },
				func([]vault.ExposureRow) error { t.Error("answered"); return nil })
			wantReason(t, err, c.want)
		})
	}
	h.Log.Fail(errors.New("the disk is gone"))
	err := h.Vault.Exposure(t.Context(), as("auditor"), vault.ExposureRequest{},
		func(*vault.ExposureSummary) error { t.Error("answered without an entry"); return nil },
		func([]vault.ExposureRow) error { return nil })
	wantReason(t, err, vault.AuditUnavailable)
}

// TestExposureOfTheUnknown: a mistyped principal is no all clear, and one that
// only the log knows is answered.
func TestExposureOfTheUnknown(t *testing.T) {
	withHistory(t, func(t *testing.T, h *vaulttest.Harness) {
		ask := func(id string) error {
			return h.Vault.Exposure(t.Context(), as("auditor"), vault.ExposureRequest{Principals: []string{id}},
				func(*vault.ExposureSummary) error { return nil }, func([]vault.ExposureRow) error { return nil })
		}
		gone := "spiffe://cloakroom.example/gone"
		if covered, size := h.Vault.IndexCovered(); covered == size {
			wantReason(t, ask(gone), vault.InvalidRequest)
			wantReason(t, ask(gone), vault.InvalidRequest) // the refusal names the auditor, not whom he asked for
		}
		_, err := h.Vault.ListAudit(t.Context(), vault.Caller{Principal: gone, Request: "r-1"}, vault.ListAuditRequest{})
		wantReason(t, err, vault.PrincipalUnknown)
		if covered, _ := h.Vault.IndexCovered(); covered > 0 {
			awaitIndex(t, h)
		}
		if err := ask(gone); err != nil {
			t.Errorf("one that the log knows: %v", err)
		}
	})
}

// TestFrozenWhileAnswered: an answer that is under way ends when its caller is
// frozen.
func TestFrozenWhileAnswered(t *testing.T) {
	h := open(t)
	for i := range 700 {
		r := put(t, h, fmt.Sprintf("c-%d", i), "card", "4111111111111111")
		reveal(t, h, "billing", tokenOf(t, r, "card"), "payment", 0)
	}
	var f *vault.Freeze
	freezeOnce := func() {
		if f == nil {
			f = freeze(t, h, vault.FreezePrincipal, as("auditor").Principal)
		}
	}
	for name, run := range map[string]func(count func()) error{
		"exposure": func(count func()) error {
			return h.Vault.Exposure(t.Context(), as("auditor"), vault.ExposureRequest{}, func(*vault.ExposureSummary) error { freezeOnce(); return nil },
				func(rows []vault.ExposureRow) error {
					for range rows {
						count()
					}
					return nil
				})
		},
		"export": func(count func()) error {
			return h.Vault.ExportAudit(t.Context(), as("auditor"), vault.ExportAuditRequest{}, func(uint64, []byte) error { freezeOnce(); count(); return nil })
		},
		"watch": func(count func()) error {
			from := uint64(0)
			return h.Vault.WatchAudit(t.Context(), as("auditor"), vault.WatchAuditRequest{From: &from}, func(*vault.HistoryEntry, uint64) error { freezeOnce(); count(); return nil })
		},
	} {
		t.Run(name, func(t *testing.T) {
			f = nil
			n := 0
			wantReason(t, run(func() { n++ }), vault.Frozen)
			if n > 512 {
				t.Errorf("%d were handed out to a frozen caller", n)
			}
			thaw(t, h, f.ID)
		})
	}
}

// TestExposureLeavesTrapsOut: honey records are nobody's data.
func TestExposureLeavesTrapsOut(t *testing.T) {
	h := open(t)
	for _, id := range []string{"c-1", "trap"} {
		card := tokenOf(t, put(t, h, id, "card", "4111111111111111"), "card")
		for range 2 {
			reveal(t, h, "billing", card, "payment", 0)
		}
	}
	if err := h.Vault.MarkHoney(t.Context(), as("guard"), vault.HoneyRequest{Subject: "trap", Reason: "INC-1"}); err != nil {
		t.Fatal(err)
	}
	sum, rows := exposed(t, h, vault.ExposureRequest{})
	if len(rows) != 1 || rows[0].SubjectID != "c-1" || sum.Subjects != 1 || sum.Reveals != 2 || sum.HoneyReveals != 2 {
		t.Errorf("%d persons, %d reveals, %d of traps, rows %+v", sum.Subjects, sum.Reveals, sum.HoneyReveals, rows)
	}
}
