package exposure

import (
	"strings"
	"sync"
)

// MaxCombinations is how many different combinations of principal, purpose and
// view an answer can hold.
const MaxCombinations = 1 << 18

// label is who, for what and in which view.
type label struct{ principal, purpose, view string }

// labels gives each combination a number, from 0 without gaps. It is safe for
// concurrent use.
type labels struct {
	mu   sync.Mutex
	ids  map[label]uint32 // guarded by mu
	list []label          // guarded by mu; elements never change
	max  int
}

// id returns the number of x, and x in memory of its own: the entry it comes
// from may be overwritten.
func (l *labels) id(x label) (uint32, label, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if id, ok := l.ids[x]; ok {
		return id, l.list[id], nil
	}
	if len(l.list) >= l.max {
		return 0, label{}, &LimitError{Limit: "combinations", Max: uint64(l.max)}
	}
	if l.ids == nil {
		l.ids = make(map[label]uint32)
	}
	own := label{strings.Clone(x.principal), strings.Clone(x.purpose), strings.Clone(x.view)}
	id := uint32(len(l.list))
	l.ids[own], l.list = id, append(l.list, own)
	return id, own, nil
}

// all returns every combination; its index is its number.
func (l *labels) all() []label {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.list[:len(l.list):len(l.list)]
}
