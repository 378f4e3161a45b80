package boltstore

import (
	"bytes"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// orderedFill is how full a page gets before it is split. Ordered keys do not
// come back to a page, so the half page that bbolt leaves would stay empty.
const orderedFill = 0.95

// groupTx is one transaction of the writer.
type groupTx struct {
	s     *Store
	group []*request
	f     *file // the values file
	tx    *bbolt.Tx
	txid  int
	open  [256]*bbolt.Bucket // of ordered tables, by number

	// Of scattered tables; layers and rows are one snapshot, as in beginRead.
	rows    *bbolt.Tx
	layers  []*layer
	overlay map[string]*version // this group's own changes
	log     *bbolt.Bucket
	seq     uint64
	entries int

	passed                int
	sums                  []int64
	keyBuf, adBuf, rawBuf []byte
}

func (g *groupTx) begin() (err error) {
	for _, r := range g.group {
		if r.scattered {
			if err := g.beginScattered(); err != nil {
				return err
			}
			break
		}
	}
	g.f = g.s.current()
	g.tx, err = g.f.db.Begin(true)
	if err != nil {
		return readError(err)
	}
	g.txid = g.f.id(g.tx)
	return nil
}

func (g *groupTx) beginScattered() (err error) {
	g.s.mem.mu.RLock()
	defer g.s.mem.mu.RUnlock()
	if g.rows, err = g.s.rows.db.Begin(false); err != nil {
		return readError(err)
	}
	// The last layer is changed by this goroutine only, so it may be read
	// after the lock is gone.
	g.layers, g.seq, g.overlay = g.s.mem.layers, g.s.seq, make(map[string]*version)
	return nil
}

func (g *groupTx) release() {
	if g.rows != nil {
		_ = g.rows.Rollback()
	}
}

// run judges a batch and applies it. A rejection goes into r.err; an error
// means that the transaction must be given up.
func (g *groupTx) run(r *request) error {
	if err := g.judge(r.batch); err != nil {
		var conflict *store.ConflictError
		if errors.As(err, &conflict) || errors.Is(err, errCounter) {
			r.err = err
			return nil
		}
		return err
	}
	for i := range r.batch.Writes {
		if err := g.change(&r.batch.Writes[i], g.sums[i]); err != nil {
			return err
		}
	}
	g.passed++
	return nil
}

// errCounter marks the rejection of an add to a row that is no counter.
var errCounter = errors.New("the row of an add is no counter")

// judge checks all preconditions and bounds of b before anything is changed,
// and leaves the new values of counters in g.sums.
func (g *groupTx) judge(b *store.Batch) error {
	for i := range b.Requires {
		q := &b.Requires[i]
		v, exists, err := g.get(q.Table, q.Key)
		if err != nil {
			return err
		}
		if exists == q.Absent || exists && !bytes.Equal(v, q.Value) {
			return &store.ConflictError{Require: i, Write: -1}
		}
	}
	g.sums = g.sums[:0]
	for i := range b.Writes {
		w := &b.Writes[i]
		g.sums = append(g.sums, 0)
		if w.Op != store.OpAdd {
			continue
		}
		old := int64(0)
		v, exists, err := g.get(w.Table, w.Key)
		if err != nil {
			return err
		}
		if exists {
			if old, err = store.Counter(v); err != nil {
				return fmt.Errorf("%w: %w", errCounter, err)
			}
		}
		sum := old + w.Delta
		if (sum > old) != (w.Delta > 0) && w.Delta != 0 || sum < w.Min || sum > w.Max {
			return &store.ConflictError{Require: -1, Write: i}
		}
		g.sums[i] = sum
	}
	return nil
}

// get reads a row as the batches before left it.
func (g *groupTx) get(table uint8, key []byte) ([]byte, bool, error) {
	if g.s.table(table).Kind == store.Ordered {
		b, err := g.bucket(table)
		if err != nil {
			return nil, false, err
		}
		v := b.Get(key)
		return v, v != nil, nil
	}
	g.keyBuf = appendRowKey(g.keyBuf[:0], store.Key{Table: table, Key: key})
	v := g.overlay[string(g.keyBuf)]
	if v == nil {
		v = find(g.layers, g.keyBuf, g.txid)
	}
	if v != nil {
		return v.value, !v.deleted, nil
	}
	b := g.rows.Bucket(bucketTable(table))
	if b == nil {
		return nil, false, missing(g.rows, bucketTable(table))
	}
	value := b.Get(key)
	return value, value != nil, nil
}

func (g *groupTx) bucket(table uint8) (*bbolt.Bucket, error) {
	if b := g.open[table]; b != nil {
		return b, nil
	}
	b := g.tx.Bucket(bucketTable(table))
	if b == nil {
		return nil, missing(g.tx, bucketTable(table))
	}
	b.FillPercent = orderedFill
	g.open[table] = b
	return b, nil
}

// change applies one judged change.
func (g *groupTx) change(w *store.Write, sum int64) error {
	if g.s.table(w.Table).Kind == store.Scattered {
		return g.changeScattered(w, sum)
	}
	b, err := g.bucket(w.Table)
	if err != nil {
		return err
	}
	switch w.Op {
	case store.OpPut:
		value := w.Value
		if value == nil {
			value = []byte{} // bbolt reads a nil value of this transaction as an absent row
		}
		return b.Put(w.Key, value)
	case store.OpAdd:
		return b.Put(w.Key, store.AppendCounter(nil, sum))
	default:
		return b.Delete(w.Key)
	}
}

func (g *groupTx) changeScattered(w *store.Write, sum int64) error {
	v := &version{txid: g.txid}
	switch w.Op {
	case store.OpPut:
		v.value = append([]byte{}, w.Value...)
	case store.OpAdd:
		v.value = store.AppendCounter(nil, sum)
	default:
		v.deleted = true
	}
	active := g.layers[len(g.layers)-1]
	if g.log == nil {
		var err error
		if g.log, err = g.tx.CreateBucketIfNotExists(bucketPending(active.gen)); err != nil {
			return err
		}
		g.log.FillPercent = orderedFill
	}
	g.seq++
	g.entries++
	key := appendRowKey(nil, store.Key{Table: w.Table, Key: w.Key})
	g.overlay[string(key)] = v
	g.rawBuf = appendEntry(g.rawBuf[:0], key, v)
	g.adBuf = entryAD(g.adBuf[:0], g.s.link.id, active.gen, g.seq)
	sealed := g.s.o.Seal.Seal(nil, g.rawBuf, g.adBuf)
	return g.log.Put(bucketPending(g.seq)[1:], sealed)
}

// note names what the committed group has changed.
func (g *groupTx) note(c *changes) {
	for _, r := range g.group {
		if r.err != nil {
			continue
		}
		for i := range r.batch.Writes {
			if w := &r.batch.Writes[i]; g.s.table(w.Table).Kind == store.Ordered {
				c.row(bucketTable(w.Table), w.Key)
			}
		}
	}
	for i := range g.entries {
		c.row(bucketPending(g.layers[len(g.layers)-1].gen), bucketPending(g.seq - uint64(i))[1:])
	}
}
