package vault

import (
	"sync"
	"time"
)

// subjectCache holds persons' keys in clear for a short time, so that a reveal
// need not read and unwrap them again. It is bounded, keeps raw keys of 32
// bytes (a prepared cipher would be forty times larger and slower beyond some
// ten thousand persons), and clears what it drops. A key is used only when its
// generation is the one the header names.
type subjectCache struct {
	now    func() time.Time
	ttl    time.Duration
	shards [64]cacheShard
}

type cacheShard struct {
	mu    sync.Mutex
	drops uint64 // how often a key was dropped
	index map[uint64]int32
	slots []cacheSlot
	hand  int
	bound int
}

type cacheSlot struct {
	ref        uint64 // 0: free
	expires    int64  // Unix nanoseconds
	generation uint32
	used       bool
	key        personKey
}

func newSubjectCache(size int, ttl time.Duration, now func() time.Time) *subjectCache {
	c := &subjectCache{now: now, ttl: ttl}
	bound := max(1, size/len(c.shards))
	for i := range c.shards {
		c.shards[i] = cacheShard{index: make(map[uint64]int32), bound: bound}
	}
	return c
}

// shard spreads refs, which rise by 1, evenly.
func (c *subjectCache) shard(ref uint64) *cacheShard { return &c.shards[ref%uint64(len(c.shards))] }

// get copies the key of a person into key. now is Unix nanoseconds, read once
// a batch. When the key is not there, missed is for the put that follows a
// read of the key store.
func (c *subjectCache) get(ref uint64, generation uint32, now int64, key *personKey) (found bool, missed uint64) {
	s := c.shard(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	i, ok := s.index[ref]
	if !ok {
		return false, s.drops
	}
	slot := &s.slots[i]
	if slot.generation != generation || slot.expires <= now {
		return false, s.drops
	}
	slot.used = true
	*key = slot.key
	return true, 0
}

// put keeps a key that was read from the key store after get had missed it;
// the clock hand makes room when the shard is full. A key that was dropped in
// between stays dropped: its person was erased while it was being read.
func (c *subjectCache) put(ref uint64, generation uint32, now int64, key *personKey, missed uint64) {
	s := c.shard(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.drops != missed {
		return
	}
	i, ok := s.index[ref]
	if !ok {
		i = s.room()
		s.index[ref] = i
	}
	s.slots[i] = cacheSlot{ref: ref, generation: generation, expires: now + int64(c.ttl), used: true, key: *key}
}

// room returns a free slot, dropping one that was not used since the hand came
// by last.
func (s *cacheShard) room() int32 {
	if len(s.slots) < s.bound {
		s.slots = append(s.slots, cacheSlot{})
		return int32(len(s.slots) - 1)
	}
	for {
		i := s.hand
		s.hand = (s.hand + 1) % len(s.slots)
		slot := &s.slots[i]
		if slot.ref != 0 && slot.used {
			slot.used = false
			continue
		}
		delete(s.index, slot.ref)
		*slot = cacheSlot{}
		return int32(i)
	}
}

// drop forgets a person's key.
func (c *subjectCache) drop(ref uint64) {
	s := c.shard(ref)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.drops++
	if i, ok := s.index[ref]; ok {
		delete(s.index, ref)
		s.slots[i] = cacheSlot{}
	}
}

// expire clears the keys whose time is over.
func (c *subjectCache) expire() {
	now := c.now().UnixNano()
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		for j := range s.slots {
			if slot := &s.slots[j]; slot.ref != 0 && slot.expires <= now {
				delete(s.index, slot.ref)
				*slot = cacheSlot{}
			}
		}
		s.mu.Unlock()
	}
}

// clear forgets everything.
func (c *subjectCache) clear() {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		clear(s.index)
		clear(s.slots)
		s.slots = s.slots[:0]
		s.mu.Unlock()
	}
}
