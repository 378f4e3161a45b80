package boltstore

import "sync"

// changes notes which rows of a file are written while a copy of it is made.
//
// A writer notes a row after its transaction has committed; the copier takes
// the notes before it begins to read. So whatever is not in the notes taken
// is either seen by that reading or among the next notes.
type changes struct {
	mu   sync.Mutex
	rows notes
}

// notes are names of buckets and keys in them. A bucket is noted with no key
// when it was dropped. Names of buckets that were dropped are not used again.
type notes map[string]map[string]struct{}

func newChanges() *changes { return &changes{rows: make(notes)} }

// bucket notes a bucket that was dropped.
func (c *changes) bucket(name []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys(name)
}

// row notes a row that was put or deleted.
func (c *changes) row(bucket, key []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys(bucket)[string(key)] = struct{}{}
}

func (c *changes) keys(bucket []byte) map[string]struct{} {
	keys := c.rows[string(bucket)]
	if keys == nil {
		keys = make(map[string]struct{})
		c.rows[string(bucket)] = keys
	}
	return keys
}

// take returns what was noted since the last call.
func (c *changes) take() notes {
	c.mu.Lock()
	defer c.mu.Unlock()
	taken := c.rows
	c.rows = make(notes)
	return taken
}

func (n notes) len() (sum int) {
	for _, keys := range n {
		sum += len(keys)
	}
	return sum
}

func touchLink(c *changes) { c.row(bucketMeta, rowScattered) }

// touchNothing is for transactions while no copy can be under way.
func touchNothing(*changes) {}
