package exposure

import (
	"strings"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// counter counts entries for one goroutine. Counters of one scan share a grid
// and are joined at its end.
type counter struct {
	filter *filter
	grid   *grid

	entries, matching uint64
	unknown           uint64 // items left out since their key version is unknown
	excepted          uint64 // items left out since their subject is excepted
	first, last       int64
	begin, end        uint64 // the entries of the log that were asked; end 0: none
	names             []nameCount

	ids     map[label]uint32 // a copy of what was needed of grid.labels
	recent  uint32           // the last combination, which the next entry mostly has
	matched map[pair]bool    // what filter.match said
}

// nameCount is what a combination adds up to; its index is the combination's
// number.
type nameCount struct {
	label           label // empty until this counter met it
	entries, values uint64
}

type pair struct {
	principal string
	version   uint64
}

// span notes that the entries from begin to before end were asked.
func (c *counter) span(begin, end uint64) {
	if c.end == 0 {
		c.begin = begin
	}
	c.begin, c.end = min(c.begin, begin), max(c.end, end)
}

func (c *counter) add(index uint64, e *audit.Entry) error {
	c.entries++
	if !c.filter.entry(e) {
		return nil
	}
	counts, unknown, excepted := uint64(0), uint64(0), uint64(0)
	for i := range e.Items {
		yes, unsure := c.filter.item(&e.Items[i])
		switch {
		case yes && c.filter.excepted(&e.Items[i]):
			excepted++
		case yes:
			counts++
		case unsure:
			unknown++
		}
	}
	if counts+unknown+excepted == 0 || !c.match(e) {
		return nil
	}
	c.unknown += unknown
	c.excepted += excepted
	if counts == 0 {
		return nil
	}
	id, err := c.label(label{e.Principal, e.Purpose, e.View})
	if err != nil {
		return err
	}
	c.matching++
	c.names[id].entries++
	c.names[id].values += counts
	d := row{firstEntry: index, lastEntry: index, count: 1, label: id}
	if !e.Time.IsZero() {
		d.first = e.Time.UnixNano()
		d.last = d.first
		c.first, c.last = earlier(c.first, d.first), max(c.last, d.last)
	}
	return c.items(e.Items, d)
}

// items puts the items that count into their rows; d is what they have in
// common.
func (c *counter) items(items []audit.Item, d row) error {
	var s *shard // locked, unless nil
	defer func() {
		if s != nil {
			s.mu.Unlock()
		}
	}()
	for i := range items {
		it := &items[i]
		if yes, _ := c.filter.item(it); !yes || c.filter.excepted(it) {
			continue
		}
		d.subject, d.field = c.filter.subject(it), it.Field
		if to := &c.grid.shards[d.subject[0]]; to != s {
			if s != nil {
				s.mu.Unlock()
			}
			s = to
			s.mu.Lock()
		}
		if _, err := c.grid.put(s, &d); err != nil {
			return err
		}
	}
	return nil
}

// label returns the number of a combination and has room for its counts.
func (c *counter) label(x label) (uint32, error) {
	if len(c.ids) > 0 && c.names[c.recent].label == x {
		return c.recent, nil
	}
	id, ok := c.ids[x]
	if !ok {
		var err error
		if id, x, err = c.grid.labels.id(x); err != nil {
			return 0, err
		}
		if c.ids == nil {
			c.ids = make(map[label]uint32)
		}
		c.ids[x] = id
		c.room(int(id) + 1)
		c.names[id].label = x
	}
	c.recent = id
	return id, nil
}

// room makes room for the counts of the first n combinations.
func (c *counter) room(n int) {
	if missing := n - len(c.names); missing > 0 {
		c.names = append(c.names, make([]nameCount, missing)...)
	}
}

// maxMatched bounds what is remembered of filter.match.
const maxMatched = 1 << 16

// match asks the question's Match, once for each pair as long as the memory of
// the answers has room.
func (c *counter) match(e *audit.Entry) bool {
	if c.filter.match == nil {
		return true
	}
	yes, known := c.matched[pair{e.Principal, e.PolicyVersion}]
	if known {
		return yes
	}
	if c.matched == nil || len(c.matched) >= maxMatched {
		c.matched = make(map[pair]bool)
	}
	own := strings.Clone(e.Principal) // the entry may be overwritten
	yes = c.filter.match(own, e.PolicyVersion)
	c.matched[pair{own, e.PolicyVersion}] = yes
	return yes
}

// join adds what o counted; its combinations have the numbers ids here, or the
// same ones if ids is nil.
func (c *counter) join(o *counter, ids []uint32) {
	c.entries += o.entries
	c.matching += o.matching
	c.unknown += o.unknown
	c.excepted += o.excepted
	c.first, c.last = earlier(c.first, o.first), max(c.last, o.last)
	if o.end > 0 {
		c.span(o.begin, o.end)
	}
	if ids == nil {
		c.room(len(o.names))
	}
	for n, sum := range o.names {
		id := uint32(n)
		if ids != nil {
			id = ids[n]
		}
		c.names[id].entries += sum.entries
		c.names[id].values += sum.values
	}
}
