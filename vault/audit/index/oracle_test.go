package index_test

import (
	"context"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
)

// condition is a key with what it means.
type condition struct {
	key  index.Key
	hold func(*audit.Entry) bool
}

func item(e *audit.Entry, fn func(*audit.Item) bool) bool {
	for i := range e.Items {
		if fn(&e.Items[i]) {
			return true
		}
	}
	return false
}

func ofSubject(ref [16]byte) condition {
	return condition{index.Subject(ref), func(e *audit.Entry) bool {
		return item(e, func(it *audit.Item) bool { return it.Subject == ref })
	}}
}

func ofField(n uint32) condition {
	return condition{index.Field(n), func(e *audit.Entry) bool {
		return item(e, func(it *audit.Item) bool { return it.Field == n })
	}}
}

func ofPrincipal(name string) condition {
	return condition{index.Principal(name), func(e *audit.Entry) bool { return e.Principal == name }}
}

func ofPurpose(name string) condition {
	return condition{index.Purpose(name), func(e *audit.Entry) bool { return e.Purpose == name }}
}

func ofAction(a audit.Action) condition {
	return condition{index.Action(a), func(e *audit.Entry) bool { return e.Action == a }}
}

func ofOutcome(o audit.Outcome) condition {
	return condition{index.Outcome(o), func(e *audit.Entry) bool { return e.Outcome == o }}
}

// check runs q with conditions and holds the answer against a scan of the
// log. exact says that nothing but matching entries may come; with a window of
// time that is never held.
func check(t tester, x *index.Index, j *journal, q index.Query, exact bool, conditions ...condition) (covered uint64) {
	t.Helper()
	for _, c := range conditions {
		q.All = append(q.All, c.key)
	}
	j.mu.Lock()
	first := j.first
	j.mu.Unlock()
	var got []uint64
	covered, err := x.Find(context.Background(), q, func(i uint64) error {
		got = append(got, i)
		return nil
	})
	if err != nil {
		t.Fatalf("find: %v", err)
	}
	if q.Newest {
		slices.Reverse(got)
	}
	for i := 1; i < len(got); i++ {
		if got[i-1] >= got[i] {
			t.Fatalf("out of order: %d before %d", got[i-1], got[i])
		}
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	given := map[uint64]bool{}
	for _, i := range got {
		given[i] = true
		if i < max(q.From, first) || i >= covered || q.To != 0 && i >= q.To {
			t.Errorf("entry %d is out of bounds: %d to %d, first %d, covered %d", i, q.From, q.To, first, covered)
		}
	}
	matching := 0
	for i := max(q.From, j.first); i < covered && (q.To == 0 || i < q.To); i++ {
		e := j.entries[i]
		if !q.After.IsZero() && e.Time.Before(q.After) || !q.Before.IsZero() && !e.Time.Before(q.Before) {
			continue
		}
		all := true
		for _, c := range conditions {
			all = all && c.hold(e)
		}
		if !all {
			continue
		}
		matching++
		if !given[i] {
			t.Errorf("entry %d matches and is missing; covered %d", i, covered)
		}
	}
	if exact && q.After.IsZero() && q.Before.IsZero() && len(got) != matching {
		t.Errorf("%d entries given, %d match", len(got), matching)
	}
	return covered
}
