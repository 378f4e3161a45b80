package csvimport

import (
	"cmp"
	"slices"
)

// Cause is what failures have in common.
type Cause struct{ Field, Rule, Reason string }

// Tally counts failures by their cause. The zero Tally is ready.
type Tally struct{ counts map[Cause]int64 }

// Add counts failures.
func (t *Tally) Add(failures []Failure) {
	if t.counts == nil {
		t.counts = make(map[Cause]int64)
	}
	for _, f := range failures {
		t.counts[Cause{f.Field, f.Rule, f.Reason}]++
	}
}

// Count returns how many failures had a cause.
func (t *Tally) Count(c Cause) int64 { return t.counts[c] }

// Causes returns the causes, the most frequent first.
func (t *Tally) Causes() []Cause {
	causes := make([]Cause, 0, len(t.counts))
	for c := range t.counts {
		causes = append(causes, c)
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(t.counts[b], t.counts[a]),
			cmp.Compare(a.Field, b.Field), cmp.Compare(a.Rule, b.Rule), cmp.Compare(a.Reason, b.Reason))
	})
	return causes
}
