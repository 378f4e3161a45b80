package vault_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// lastOf returns the last entry of an action in a log.
func lastOf(t *testing.T, entries []*audit.Entry, a audit.Action) *audit.Entry {
	t.Helper()
	for i := len(entries) - 1; i >= 0; i-- {
		if e := entries[i]; e.Action == a && e.Outcome == audit.Allowed {
			return e
		}
	}
	t.Fatalf("there is no entry of %v", a)
	return nil
}

// An entry of a change that is put into the log at rest is found, and not
// believed: the cell that it was to excuse is found as well.
func TestForgedEntries(t *testing.T) {
	base := newHistory(t)
	base.stop()
	for _, c := range []struct {
		name  string
		forge func(all []*audit.Entry, now time.Time) *audit.Entry
		want  []string
	}{
		{"the creation with a new time", func(all []*audit.Entry, now time.Time) *audit.Entry {
			return retold(lastOf(t, all[:2], audit.ActionCreate), now)
		}, []string{"entry_foreign", "cell_older customers.note 1"}},
		{"the creation under the id and time of a later entry", func(all []*audit.Entry, _ time.Time) *audit.Entry {
			e, later := *lastOf(t, all[:2], audit.ActionCreate), lastOf(t, all, audit.ActionUpdate)
			e.ID, e.Time = later.ID, later.Time
			return &e
		}, []string{"entry_foreign", "cell_older customers.note 1"}},
		{"the creation by somebody else", func(all []*audit.Entry, _ time.Time) *audit.Entry {
			e := *lastOf(t, all[:2], audit.ActionCreate)
			e.Principal = as("admin").Principal
			return &e
		}, []string{"entry_foreign", "cell_older customers.note 1"}},
		{"the creation told again", func(all []*audit.Entry, _ time.Time) *audit.Entry {
			return lastOf(t, all[:2], audit.ActionCreate)
		}, []string{"cell_older customers.note 1"}},
		{"a policy that nobody applied", func(all []*audit.Entry, now time.Time) *audit.Entry {
			e := retold(lastOf(t, all, audit.ActionPolicyApply), now)
			e.PolicyVersion++
			return e
		}, []string{"entry_foreign", "cell_older customers.note 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := base.clone(t)
			s.set(cell(s.ada, s.note, 1), s.was.row(rows.People, cell(s.ada, s.note, 1)))
			s.stop()
			log, err := audit.Open(filepath.Join(s.dir, "audit"), audit.Options{SegmentSize: 64 << 10})
			if err != nil {
				t.Fatal(err)
			}
			var all []*audit.Entry
			err = log.Read(0, func(_ uint64, raw []byte) error {
				e, err := audit.Decode(raw)
				if err == nil && (e.Action == audit.ActionPolicyApply || e.Action == audit.ActionCreate || e.Action == audit.ActionUpdate) {
					all = append(all, e)
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			// Only entries of the cell, after the first policy.
			if len(all) < 4 || all[1].Action != audit.ActionCreate {
				t.Fatalf("%d entries, the second of %v", len(all), all[1].Action)
			}
			if _, err := log.Append(c.forge(all, time.Now())).Wait(t.Context()); err != nil {
				t.Fatal(err)
			}
			size := log.Size()
			if err := log.Close(); err != nil {
				t.Fatal(err)
			}
			// It makes no difference that a start has signed it.
			s.start(false)
			got := s.deep()
			if wantFound(t, got, c.want...); got.found[0].Kind.String() == "entry_foreign" && uint64(got.found[0].Last) != size {
				t.Errorf("the entry is %v of %d", got.found[0].Last, size)
			}
		})
	}
}

// Who kept a copy of entries that were pruned can put one of them into the log
// again: it says nothing against what was written since.
func TestPrunedEntryToldAgain(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	active, _ := refsOf(t, h)
	key := cell(active[0], 4, 1)
	old := dumpOf(t, h.Values, rows.ValueTables()).row(rows.People, key)
	first := h.Log.Size()
	h.Clock.Add(time.Minute)
	upsert(t, h, "c-1", "note", "coffee")
	h.Close()
	again := edit(t, h.Log, func(e []*audit.Entry) []*audit.Entry { return append(e, e[first-1]) })
	wantFound(t, deepMemory(t, h, tail{again, first}))
	change(t, h.Values, rows.People, key, old)
	wantFound(t, deepMemory(t, h, tail{again, first}), "cell_older customers.note 1")
}
