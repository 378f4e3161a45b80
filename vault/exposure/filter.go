package exposure

import (
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// filter is a question made ready. It is only read, by many goroutines.
type filter struct {
	principals map[string]struct{} // nil: any
	fields     map[uint32]struct{} // nil: any
	versions   map[uint16]struct{} // nil: any
	unknown    bool                // version 0 is asked for, or versions are not
	except     map[[16]byte]struct{}
	from, to   time.Time // zero: open
	match      func(string, uint64) bool
	rename     func([16]byte) [16]byte
}

func newFilter(q *Query) *filter {
	f := &filter{
		principals: set(q.Principals), fields: set(q.Fields), versions: set(q.KeyVersions),
		except: set(q.Except), from: q.From, to: q.To, match: q.Match, rename: q.Subject,
	}
	_, asked := f.versions[0]
	f.unknown = asked || f.versions == nil
	return f
}

func set[T comparable](list []T) map[T]struct{} {
	if len(list) == 0 {
		return nil
	}
	m := make(map[T]struct{}, len(list))
	for _, x := range list {
		m[x] = struct{}{}
	}
	return m
}

// in reports whether x is in the set; everything is in none.
func in[T comparable](m map[T]struct{}, x T) bool {
	if m == nil {
		return true
	}
	_, ok := m[x]
	return ok
}

// entry reports whether the entry meets every criterion but Match, which is
// asked last, and those on items.
func (f *filter) entry(e *audit.Entry) bool {
	return e.Action == audit.ActionReveal && f.window(e.Time) && in(f.principals, e.Principal)
}

// window reports whether t may lie in the window. An entry without a time
// cannot be ruled out.
func (f *filter) window(t time.Time) bool {
	if t.IsZero() {
		return true
	}
	return !t.Before(f.from) && (f.to.IsZero() || t.Before(f.to))
}

// excepted reports whether an item that would count is of an excepted subject.
func (f *filter) excepted(it *audit.Item) bool {
	_, yes := f.except[it.Subject]
	return yes
}

// subject returns what the item's person goes by.
func (f *filter) subject(it *audit.Item) [16]byte {
	if f.rename == nil {
		return it.Subject
	}
	return f.rename(it.Subject)
}

// item reports whether the item counts, and whether it is left out only
// because its key version is unknown.
func (f *filter) item(it *audit.Item) (counts, unknown bool) {
	if it.Outcome != audit.Allowed || !in(f.fields, it.Field) {
		return false, false
	}
	if it.KeyVersion == 0 {
		return f.unknown, !f.unknown
	}
	return in(f.versions, it.KeyVersion), false
}
