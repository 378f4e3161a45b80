package index_test

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// Whatever happens to log, store and process, queries find what a scan finds.
func TestModel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { rapid.Check(bubble{t}, model) })
}

// bubble hides the deadline of a test, which may not be asked for under a fake
// clock.
type bubble struct{ rapid.TB }

func model(t *rapid.T) {
	j, s := newJournal(), &flaky{Store: newStore()}
	o := index.Options{Log: j, Store: s, LotEntries: rapid.IntRange(1, 20).Draw(t, "lot"), LotPostings: rapid.IntRange(1, 200).Draw(t, "postings")}
	x := open(t, o)
	defer func() { _ = x.Close() }()
	exact := true // false: lots may be damaged
	t.Repeat(map[string]func(*rapid.T){
		"append": func(t *rapid.T) {
			j.add(rapid.SliceOfN(rapid.Custom(drawEntry), 1, 30).Draw(t, "entries")...)
		},
		"time passes": func(t *rapid.T) {
			<-time.After(time.Duration(rapid.IntRange(1, 60_000).Draw(t, "milliseconds")) * time.Millisecond)
		},
		"catch up": func(t *rapid.T) { catchUp(t, x, j) },
		"restart": func(t *rapid.T) {
			_ = x.Close()
			s.set(nil, nil)
			x = open(t, o)
		},
		"restart with other lots": func(t *rapid.T) {
			_ = x.Close()
			o.LotEntries = rapid.IntRange(1, 20).Draw(t, "lot")
			x = open(t, o)
		},
		"prune": func(t *rapid.T) {
			j.prune(rapid.Uint64Range(j.First(), j.Size()).Draw(t, "first"))
		},
		"fail": func(t *rapid.T) {
			left := rapid.IntRange(1, 5).Draw(t, "times")
			fail := func(*store.Batch) error {
				if left--; left >= 0 {
					return errInjected
				}
				return nil
			}
			if rapid.Bool().Draw(t, "applied") {
				s.set(nil, fail)
			} else {
				s.set(fail, nil)
			}
		},
		"damage": func(t *rapid.T) {
			table := rapid.SampledFrom(index.Tables()).Draw(t, "table").Number
			all, err := s.Scan(t.Context(), table, nil, nil, 1000)
			if err != nil || len(all) == 0 {
				return
			}
			row := rapid.SampledFrom(all).Draw(t, "row")
			var b store.Batch
			if rapid.Bool().Draw(t, "lose") {
				b.Delete(table, row.Key)
			} else {
				row.Value[rapid.IntRange(0, len(row.Value)-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
				b.Put(table, row.Key, row.Value)
			}
			if err := s.Store.Commit(t.Context(), &b); err != nil {
				t.Fatalf("damage: %v", err)
			}
			exact = false
		},
		"rebuild": func(t *rapid.T) {
			if err := x.Rebuild(t.Context()); err != nil {
				t.Fatalf("rebuild: %v", err)
			}
			if x.Covered() < j.Size() {
				t.Fatalf("rebuilt to %d of %d", x.Covered(), j.Size())
			}
			exact = true
		},
		"": func(t *rapid.T) {
			synctest.Wait() // the follower rests, or is done: so a failure can be had again
			q := index.Query{Newest: rapid.Bool().Draw(t, "newest")}
			if rapid.Bool().Draw(t, "bounded") {
				q.From = rapid.Uint64Range(0, j.Size()).Draw(t, "from")
				q.To = rapid.Uint64Range(0, j.Size()+1).Draw(t, "to")
			}
			if rapid.Bool().Draw(t, "timed") {
				q.After = at(rapid.IntRange(0, 100).Draw(t, "after"))
				q.Before = at(rapid.IntRange(0, 100).Draw(t, "before"))
			}
			check(t, x, j, q, exact, rapid.SliceOfN(rapid.Custom(drawCondition), 0, 3).Draw(t, "conditions")...)
		},
	})
}

var (
	actions  = []audit.Action{audit.ActionReveal, audit.ActionCreate, audit.ActionList}
	outcomes = []audit.Outcome{audit.Allowed, audit.Refused, audit.Mixed}
	purposes = []string{"", "support", "billing"}
)

func drawPrincipal(t *rapid.T) string {
	return fmt.Sprintf("spiffe://example/%d", rapid.IntRange(0, 3).Draw(t, "principal"))
}

func drawEntry(t *rapid.T) *audit.Entry {
	n := rapid.IntRange(0, 100).Draw(t, "second") // time need not rise
	e := entry(rapid.IntRange(0, 1<<16-1).Draw(t, "id"), drawPrincipal(t), rapid.SliceOfN(rapid.IntRange(0, 12), 0, 8).Draw(t, "subjects")...)
	e.Time = at(n)
	e.Action = rapid.SampledFrom(actions).Draw(t, "action")
	e.Outcome = rapid.SampledFrom(outcomes).Draw(t, "outcome")
	e.Purpose = rapid.SampledFrom(purposes).Draw(t, "purpose")
	for i := range e.Items {
		e.Items[i].Field = rapid.Uint32Range(0, 4).Draw(t, "field")
	}
	return e
}

func drawCondition(t *rapid.T) condition {
	return rapid.OneOf(
		rapid.Map(rapid.IntRange(0, 13), func(n int) condition { return ofSubject(subject(n)) }),
		rapid.Map(rapid.Uint32Range(0, 5), ofField),
		rapid.Map(rapid.Custom(drawPrincipal), ofPrincipal),
		rapid.Map(rapid.SampledFrom(slices.Concat(purposes, []string{"never"})), ofPurpose),
		rapid.Map(rapid.SampledFrom(actions), ofAction),
		rapid.Map(rapid.SampledFrom(outcomes), ofOutcome),
	).Draw(t, "condition")
}
