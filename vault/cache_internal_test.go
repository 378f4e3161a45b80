package vault

import (
	"testing"
	"time"
)

// A key that is dropped while a reveal reads it from the key store does not
// come back, and a key whose time is over is cleared.
func TestSubjectCache(t *testing.T) {
	now := time.Unix(1000, 0)
	c := newSubjectCache(6400, time.Minute, func() time.Time { return now })
	key := personKey{1}
	var got personKey
	_, missed := c.get(7, 1, now.UnixNano(), &got)
	c.drop(7)
	c.put(7, 1, now.UnixNano(), &key, missed)
	if found, _ := c.get(7, 1, now.UnixNano(), &got); found {
		t.Error("a dropped key came back")
	}
	_, missed = c.get(7, 1, now.UnixNano(), &got)
	c.put(7, 1, now.UnixNano(), &key, missed)
	if found, _ := c.get(7, 2, now.UnixNano(), &got); found {
		t.Error("a key of another generation was used")
	}
	if found, _ := c.get(7, 1, now.UnixNano(), &got); !found || got != key {
		t.Error("a key was not kept")
	}
	now = now.Add(2 * time.Minute)
	c.expire()
	for i := range c.shards {
		for _, slot := range c.shards[i].slots {
			if slot.ref != 0 || slot.key != (personKey{}) {
				t.Error("a key outlived its time")
			}
		}
	}
}
