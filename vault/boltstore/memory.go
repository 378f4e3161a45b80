package boltstore

import (
	"sync"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// version is one state of a scattered row.
type version struct {
	txid    int // transaction of the values file that wrote it, as file.id; 0 when replayed
	deleted bool
	value   []byte   // never changed after it was set
	prev    *version // the state before, for readers of older snapshots
}

// at returns the newest version that a reader at txid may see, or nil.
func (v *version) at(txid int) *version {
	for ; v != nil; v = v.prev {
		if v.txid <= txid {
			return v
		}
	}
	return nil
}

// rowOverhead is about what a row in memory costs beside its bytes.
const rowOverhead = 160

// layer holds the rows of one generation of the pending log. Only the last
// layer is written to; the others are being merged.
type layer struct {
	gen     uint64
	rows    map[string]*version // by table number and key
	entries int                 // of the pending log
	bytes   int                 // about, of memory
}

func newLayer(gen uint64) *layer { return &layer{gen: gen, rows: make(map[string]*version)} }

// memory holds the scattered rows that are not in their file yet.
type memory struct {
	mu      sync.RWMutex  // guards all, and the rows of the last layer; see Store.Get
	layers  []*layer      // rising generations; the last takes writes
	drained chan struct{} // closed and replaced when layers are dropped or a merge fails
	failed  error         // why the last merge failed, or nil
}

func newMemory(layers []*layer) *memory {
	return &memory{layers: layers, drained: make(chan struct{})}
}

func (m *memory) active() *layer { return m.layers[len(m.layers)-1] }

// find returns the version of a row at txid, newest layer first, or nil.
func find(layers []*layer, key []byte, txid int) *version {
	for i := len(layers) - 1; i >= 0; i-- {
		if v := layers[i].rows[string(key)].at(txid); v != nil {
			return v
		}
	}
	return nil
}

// insert adds the rows of a group that is about to commit, before its
// transaction can be seen, so that who sees the transaction finds them. No
// reader is between its two transactions while mu is held, so versions older
// than the last committed one can go.
func (m *memory) insert(rows map[string]*version, entries int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.active()
	for key, v := range rows {
		if old := l.rows[key]; old != nil {
			old.prev = nil
			v.prev = old
			l.bytes -= len(old.value)
		} else {
			l.bytes += len(key) + rowOverhead
		}
		l.bytes += len(v.value)
		l.rows[key] = v
	}
	l.entries += entries
}

// remove takes back what insert added, when the commit failed.
func (m *memory) remove(rows map[string]*version, entries int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l := m.active()
	for key, v := range rows {
		l.bytes -= len(v.value)
		if v.prev != nil {
			l.rows[key] = v.prev
			l.bytes += len(v.prev.value)
		} else {
			delete(l.rows, key)
			l.bytes -= len(key) + rowOverhead
		}
	}
	l.entries -= entries
}

// drop forgets the first layer, which is in the file now.
func (m *memory) drop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.layers = append([]*layer(nil), m.layers[1:]...) // readers may hold the old slice
	m.failed = nil
	m.wake()
}

// fail records why a merge failed.
func (m *memory) fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err
	m.wake()
}

// wake ends the waiting of callers for room. Call with mu held.
func (m *memory) wake() {
	close(m.drained)
	m.drained = make(chan struct{})
}

// pending returns how many rows wait for their file.
func (m *memory) pending() int {
	m.mu.RLock()
	defer m.mu.RUnlock()
	n := 0
	for _, l := range m.layers {
		n += len(l.rows)
	}
	return n
}

// room returns nil when another batch may be added, or else what to wait for;
// or the error of the merge that failed to make room.
func (m *memory) room(entries, bytes int) (<-chan struct{}, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	haveEntries, haveBytes := 0, 0
	for _, l := range m.layers {
		haveEntries += l.entries
		haveBytes += l.bytes
	}
	if haveEntries <= entries && haveBytes <= bytes {
		return nil, nil
	}
	return m.drained, m.failed
}

// appendRowKey builds the key of a row in memory.
func appendRowKey(dst []byte, k store.Key) []byte {
	return append(append(dst, k.Table), k.Key...)
}
