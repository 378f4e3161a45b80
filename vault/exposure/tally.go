package exposure

import (
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// Tally is an answer that grows. It is not safe for concurrent use. After an
// error it is incomplete: every later Add and Merge returns that error, and
// what it holds is no answer.
type Tally struct {
	grid *grid
	part counter
	err  error
}

// New returns an empty tally of the question. If q breaks a rule, Add and
// Merge return what q.Validate returns.
func New(q Query) *Tally {
	g := newGrid(q.maxRows())
	return &Tally{grid: g, part: counter{filter: newFilter(&q), grid: g}, err: q.Validate()}
}

// Add counts the entry with that index, if it meets the question. Entries may
// come in any order; each of them must come once. Nothing of e is kept. A
// bound that is reached gives a *LimitError.
func (t *Tally) Add(index uint64, e *audit.Entry) error {
	if t.err == nil {
		t.part.span(index, index+1)
		t.err = t.part.add(index, e)
	}
	return t.err
}

// Merge adds what o counted: the same question asked of other entries of the
// same log. o is not changed and shares nothing with t afterwards. The bounds
// of t hold: a *LimitError says that they were reached. An error that o met is
// returned.
func (t *Tally) Merge(o *Tally) error {
	if t.err == nil {
		t.err = o.err
	}
	if t.err == nil {
		t.err = t.merge(o)
	}
	return t.err
}

func (t *Tally) merge(o *Tally) error {
	theirs := o.grid.labels.all()
	ids := make([]uint32, len(theirs)) // their number -> ours
	for n, x := range theirs {
		id, err := t.part.label(x)
		if err != nil {
			return err
		}
		ids[n] = id
	}
	t.part.join(&o.part, ids)
	for i := range o.grid.shards {
		if err := t.grid.join(&t.grid.shards[i], &o.grid.shards[i], ids); err != nil {
			return err
		}
	}
	return nil
}

// join adds the rows of o, whose combinations have the numbers ids here.
func (g *grid) join(s, o *shard, ids []uint32) error {
	numbers := make([]uint32, o.n) // their row -> ours
	for n := range o.n {
		d := *o.row(n)
		d.label = ids[d.label&^furtherLabels]
		number, err := g.put(s, &d)
		if err != nil {
			return err
		}
		numbers[n] = number
	}
	for key := range o.further {
		if err := g.addLabel(s, numbers[key>>32], ids[uint32(key)]); err != nil {
			return err
		}
	}
	return nil
}
