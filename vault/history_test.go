package vault_test

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/memstore"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// withHistory opens a vault in which two persons were looked at by several
// callers, once with an index of the log and once without.
func withHistory(t *testing.T, f func(t *testing.T, h *vaulttest.Harness)) {
	for name, kept := range map[string]store.Store{"scanned": nil, "indexed": memstore.New(index.Tables())} {
		t.Run(name, func(t *testing.T) {
			h := vaulttest.New(t)
			if kept != nil {
				h.Index = func() store.Store { return kept }
				h.Reopen()
			}
			h.Apply(testPolicy)
			for _, id := range []string{"c-1", "c-2"} {
				r := put(t, h, id, "card", "4111111111111111", "full_name", "Ada Lovelace")
				for range 3 {
					reveal(t, h, "billing", tokenOf(t, r, "card"), "payment", 0)
					reveal(t, h, "support", tokenOf(t, r, "card"), "support", 0)
					reveal(t, h, "billing", tokenOf(t, r, "full_name"), "support", 0) // refused
				}
			}
			if kept != nil {
				awaitIndex(t, h)
			}
			f(t, h)
		})
	}
}

// awaitIndex returns when the index covers the log.
func awaitIndex(t *testing.T, h *vaulttest.Harness) {
	t.Helper()
	for tick := time.NewTicker(time.Millisecond); ; <-tick.C {
		if covered, size := h.Vault.IndexCovered(); covered == size {
			return
		}
		if err := t.Context().Err(); err != nil {
			t.Fatal(err)
		}
	}
}

// list returns what all pages of a list hold, by entry index.
func list(t *testing.T, h *vaulttest.Harness, q vault.ListAuditRequest) []vault.HistoryEntry {
	t.Helper()
	var all []vault.HistoryEntry
	for {
		page, err := h.Vault.ListAudit(t.Context(), as("auditor"), q)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page.Entries...)
		if page.Next == "" {
			return all
		}
		q.PageToken = page.Next
	}
}

// handle returns what stands for a person in the log.
func handle(t *testing.T, h *vaulttest.Harness, request string) string {
	t.Helper()
	got := list(t, h, vault.ListAuditRequest{Filter: vault.HistoryFilter{SubjectIDs: []string{request}, Actions: []string{"create"}}})
	if len(got) != 1 || len(got[0].Entry.Items) == 0 {
		t.Fatalf("%d entries of the creation of %s", len(got), request)
	}
	return hex.EncodeToString(got[0].Entry.Items[0].Subject[:])
}

func TestListAudit(t *testing.T) {
	withHistory(t, func(t *testing.T, h *vaulttest.Harness) {
		ada := handle(t, h, "c-1")
		now := h.Clock.Now()
		for name, c := range map[string]struct {
			filter vault.HistoryFilter
			want   int // entries
			items  int // in them
		}{
			"one person's reveals": {vault.HistoryFilter{SubjectIDs: []string{"c-1"}, Actions: []string{"reveal"}}, 9, 9},
			"by handle":            {vault.HistoryFilter{Subjects: []string{ada}, Actions: []string{"reveal"}}, 9, 9},
			"either person":        {vault.HistoryFilter{SubjectIDs: []string{"c-1", "c-2"}, Actions: []string{"reveal"}}, 18, 18},
			"nobody":               {vault.HistoryFilter{SubjectIDs: []string{"c-3"}}, 0, 0},
			"a principal":          {vault.HistoryFilter{Principals: []string{as("support").Principal}}, 6, 6},
			"two principals":       {vault.HistoryFilter{Principals: []string{as("support").Principal, as("billing").Principal}}, 18, 18},
			"a field":              {vault.HistoryFilter{Fields: []string{"customers.full_name"}, Actions: []string{"reveal"}}, 6, 6},
			"a purpose":            {vault.HistoryFilter{Purposes: []string{"payment"}}, 6, 6},
			"refused":              {vault.HistoryFilter{Actions: []string{"reveal"}, Outcome: audit.Refused}, 6, 6},
			"allowed, of a field":  {vault.HistoryFilter{Fields: []string{"customers.full_name"}, Outcome: audit.Allowed, Actions: []string{"create", "reveal"}}, 2, 2},
			"another time":         {vault.HistoryFilter{Since: now.Add(time.Hour)}, 0, 0},
			"until then":           {vault.HistoryFilter{Until: now.Add(-time.Hour)}, 0, 0},
			"two that never meet":  {vault.HistoryFilter{Principals: []string{as("support").Principal}, Purposes: []string{"payment"}}, 0, 0},
		} {
			t.Run(name, func(t *testing.T) {
				for _, size := range []int{1, 5, 0} {
					for _, newest := range []bool{false, true} {
						got := list(t, h, vault.ListAuditRequest{Filter: c.filter, PageSize: size, Newest: newest})
						items := 0
						for i, e := range got {
							items += len(e.Entry.Items)
							if i > 0 && (got[i-1].Index < e.Index) == newest {
								t.Errorf("pages of %d, newest %t: entry %d comes after %d", size, newest, e.Index, got[i-1].Index)
							}
						}
						if len(got) != c.want || items != c.items {
							t.Errorf("pages of %d, newest %t: %d entries with %d items, want %d with %d", size, newest, len(got), items, c.want, c.items)
						}
					}
				}
			})
		}
	})
}

// TestListAuditIsWhole compares a list of everything with the log itself.
func TestListAuditIsWhole(t *testing.T) {
	withHistory(t, func(t *testing.T, h *vaulttest.Harness) {
		want := h.Log.Entries()
		got := list(t, h, vault.ListAuditRequest{PageSize: 4})
		if len(got) != len(want) {
			t.Fatalf("%d entries, the log had %d", len(got), len(want))
		}
		for i, e := range got {
			if e.Index != uint64(i) || e.Entry.ID != want[i].ID {
				t.Errorf("entry %d is not the log's", i)
			}
		}
	})
}

func TestListAuditRefuses(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	page, err := h.Vault.ListAudit(t.Context(), as("auditor"), vault.ListAuditRequest{PageSize: 1})
	if err != nil || page.Next == "" {
		t.Fatal(err)
	}
	many := make([]string, vault.MaxCriteria+1)
	now := time.Now()
	for name, c := range map[string]struct {
		who  string
		q    vault.ListAuditRequest
		want vault.Reason
	}{
		"no right":               {"billing", vault.ListAuditRequest{}, vault.ActionDenied},
		"a stranger":             {"stranger", vault.ListAuditRequest{}, vault.PrincipalUnknown},
		"a page too large":       {"auditor", vault.ListAuditRequest{PageSize: 1001}, vault.InvalidRequest},
		"another's page":         {"auditor2", vault.ListAuditRequest{PageSize: 1, PageToken: page.Next}, vault.InvalidPageToken},
		"another filter's page":  {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Actions: []string{"reveal"}}, PageToken: page.Next}, vault.InvalidPageToken},
		"another direction":      {"auditor", vault.ListAuditRequest{Newest: true, PageToken: page.Next}, vault.InvalidPageToken},
		"no page token":          {"auditor", vault.ListAuditRequest{PageToken: "AAAA"}, vault.InvalidPageToken},
		"an unknown field":       {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Fields: []string{"customers.emial"}}}, vault.UnknownField},
		"an unknown action":      {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Actions: []string{"look"}}}, vault.InvalidRequest},
		"no handle":              {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Subjects: []string{"c-1"}}}, vault.InvalidRequest},
		"an empty id":            {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{SubjectIDs: []string{""}}}, vault.InvalidRequest},
		"an unknown outcome":     {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Outcome: 9}}, vault.InvalidRequest},
		"too many":               {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Principals: many}}, vault.InvalidRequest},
		"until before it begins": {"auditor", vault.ListAuditRequest{Filter: vault.HistoryFilter{Since: now, Until: now}}, vault.InvalidRequest},
	} {
		t.Run(name, func(t *testing.T) {
			before := h.Log.Size()
			_, err := h.Vault.ListAudit(t.Context(), as(c.who), c.q)
			wantReason(t, err, c.want)
			if h.Log.Size() != before+1 {
				t.Error("the refusal is not in the log")
			}
		})
	}
}

// TestLookingIsLogged: who looks at a person's history is in the history.
func TestLookingIsLogged(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	list(t, h, vault.ListAuditRequest{Filter: vault.HistoryFilter{SubjectIDs: []string{"c-1"}}})
	got := list(t, h, vault.ListAuditRequest{Filter: vault.HistoryFilter{SubjectIDs: []string{"c-1"}, Actions: []string{"audit.read"}}})
	if len(got) != 1 || got[0].Entry.Principal != as("auditor").Principal || got[0].Entry.Object != "list" {
		t.Errorf("%d entries", len(got))
	}
	h.Log.Fail(errors.New("the disk is gone"))
	_, err := h.Vault.ListAudit(t.Context(), as("auditor"), vault.ListAuditRequest{})
	wantReason(t, err, vault.AuditUnavailable)
}

func TestWatchAudit(t *testing.T) {
	h := open(t)
	card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	got := make(chan vault.HistoryEntry, 100)
	started := make(chan struct{}, 100)
	ended := make(chan error, 1)
	go func() {
		ended <- h.Vault.WatchAudit(ctx, as("auditor"), vault.WatchAuditRequest{Filter: vault.HistoryFilter{Actions: []string{"reveal"}}}, func(e *vault.HistoryEntry, next uint64) error {
			if e == nil {
				started <- struct{}{}
				return nil
			}
			if next != e.Index+1 {
				t.Errorf("entry %d goes on at %d", e.Index, next)
			}
			got <- *e
			return nil
		})
	}()
	<-started
	for i := range 3 {
		reveal(t, h, "billing", card, "payment", 0)
		if e := <-got; e.Entry.Principal != as("billing").Principal {
			t.Errorf("reveal %d: an entry of %s", i, e.Entry.Principal)
		}
	}
	// Who loses the right loses the watch, with the next entry at the latest.
	if _, err := h.Vault.Freeze(t.Context(), as("guard"), vault.FreezeRequest{Kind: vault.FreezePrincipal, Target: as("auditor").Principal, Reason: "INC-1"}); err != nil {
		t.Fatal(err)
	}
	wantReason(t, <-ended, vault.Frozen)
}

func TestWatchAuditFrom(t *testing.T) {
	h := open(t)
	for i := range 5 {
		put(t, h, fmt.Sprintf("c-%d", i), "card", "4111111111111111")
	}
	enough := errors.New("enough")
	from := uint64(2)
	var seen []uint64
	err := h.Vault.WatchAudit(t.Context(), as("auditor"), vault.WatchAuditRequest{From: &from}, func(e *vault.HistoryEntry, _ uint64) error {
		if e != nil {
			seen = append(seen, e.Index)
		}
		if len(seen) == 3 {
			return enough
		}
		return nil
	})
	if !errors.Is(err, enough) || !slices.Equal(seen, []uint64{2, 3, 4}) {
		t.Errorf("%v, entries %v", err, seen)
	}
	late := h.Log.Size() + 10
	err = h.Vault.WatchAudit(t.Context(), as("auditor"), vault.WatchAuditRequest{From: &late}, func(*vault.HistoryEntry, uint64) error { return nil })
	wantReason(t, err, vault.InvalidRequest)
}

func TestExportAudit(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	var got [][16]byte
	end := h.Log.Size()
	err := h.Vault.ExportAudit(t.Context(), as("auditor"), vault.ExportAuditRequest{From: 1, To: end}, func(i uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil {
			got = append(got, e.ID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := h.Log.Entries()[1:end]
	if len(got) != len(want) {
		t.Fatalf("%d entries, want %d", len(got), len(want))
	}
	for i := range want {
		if got[i] != want[i].ID {
			t.Errorf("entry %d is another", i+1)
		}
	}
	for name, q := range map[string]vault.ExportAuditRequest{"past the end": {To: 1000}, "backwards": {From: 3, To: 2}} {
		if err := h.Vault.ExportAudit(t.Context(), as("auditor"), q, func(uint64, []byte) error { return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	err = h.Vault.ExportAudit(t.Context(), as("billing"), vault.ExportAuditRequest{}, func(uint64, []byte) error {
		t.Error("exported without the right")
		return nil
	})
	wantReason(t, err, vault.ActionDenied)
}

// refusing is an engine of the index that stops to give anything out.
type refusing struct {
	store.Store
	broken atomic.Bool
}

func (s *refusing) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	if s.broken.Load() {
		return store.ErrBroken
	}
	return s.Store.Get(ctx, keys, out)
}

// TestIndexLost: without its index the log is read, and answers the same.
func TestIndexLost(t *testing.T) {
	kept := &refusing{Store: memstore.New(index.Tables())}
	h := vaulttest.New(t)
	h.Index = func() store.Store { return kept }
	h.IndexLot = 8
	h.Reopen()
	h.Apply(testPolicy)
	r := put(t, h, "c-1", "card", "4111111111111111")
	for range 30 {
		reveal(t, h, "billing", tokenOf(t, r, "card"), "payment", 0)
	}
	awaitIndex(t, h)
	q := vault.ListAuditRequest{Filter: vault.HistoryFilter{SubjectIDs: []string{"c-1"}, Actions: []string{"reveal"}}, PageSize: 7}
	newest := q
	newest.Newest = true
	for _, broken := range []bool{false, true} {
		kept.broken.Store(broken)
		if a, b := list(t, h, q), list(t, h, newest); len(a) != 30 || len(b) != 30 {
			t.Errorf("broken %t: %d and %d entries, want 30", broken, len(a), len(b))
		}
		if sum, _ := exposed(t, h, vault.ExposureRequest{Principals: []string{as("billing").Principal}}); sum.Reveals != 30 {
			t.Errorf("broken %t: %d reveals, want 30", broken, sum.Reveals)
		}
	}
}

// TestWatchesAreFew: no caller takes the processor from the others with
// watches.
func TestWatchesAreFew(t *testing.T) {
	h := open(t)
	ctx, stop := context.WithCancel(t.Context())
	var all sync.WaitGroup
	defer all.Wait()
	defer stop()
	watch := func(who string, told chan<- struct{}) error {
		return h.Vault.WatchAudit(ctx, as(who), vault.WatchAuditRequest{}, func(*vault.HistoryEntry, uint64) error {
			select {
			case told <- struct{}{}:
			default:
			}
			return nil
		})
	}
	for range vault.MaxWatchesPrincipal {
		told := make(chan struct{}, 1)
		all.Go(func() { _ = watch("auditor", told) })
		<-told
	}
	wantReason(t, watch("auditor", nil), vault.Busy)
	told := make(chan struct{}, 1)
	all.Go(func() { _ = watch("auditor2", told) })
	<-told
}

// TestListOfLargeEntries: a page of large entries is short, and none is lost.
func TestListOfLargeEntries(t *testing.T) {
	h := open(t)
	card := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	tokens := slices.Repeat([]string{card}, vault.MaxBatch)
	var out vault.Revealed
	for range 30 {
		if err := h.Vault.Detokenize(t.Context(), as("billing"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "payment"}, &out); err != nil {
			t.Fatal(err)
		}
	}
	for _, newest := range []bool{false, true} {
		q := vault.ListAuditRequest{Filter: vault.HistoryFilter{Actions: []string{"reveal"}}, Newest: newest}
		page, err := h.Vault.ListAudit(t.Context(), as("auditor"), q)
		if err != nil || len(page.Entries) >= 30 || page.Next == "" {
			t.Errorf("newest %t: a page of %d entries of %d items, %v", newest, len(page.Entries), vault.MaxBatch, err)
		}
		if all := list(t, h, q); len(all) != 30 {
			t.Errorf("newest %t: %d entries on all pages", newest, len(all))
		}
	}
}
