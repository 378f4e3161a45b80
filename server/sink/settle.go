package sink

import (
	"errors"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// settle holds the cursor against the log. Another log than the one the cursor
// was made for is delivered from its first entry on: too much is better than
// a part that nobody sees. It reports whether to go on.
func (f *Follower) settle() bool {
	for {
		same, err := f.sameLog()
		if err != nil {
			if !f.failed(err) {
				return false
			}
			continue
		}
		if !same {
			first := f.feed.log.First()
			f.o.Logger.Warn("the audit log is not the one that a sink followed before; the sink begins anew",
				"sink", f.o.Name, "followed", f.at.index, "next", first)
			f.at = cursor{index: first}
			f.mu.Lock()
			f.stats.Next = first
			f.mu.Unlock()
		}
		return true
	}
}

// sameLog reports whether the entry before the cursor is the one that stood
// there. An entry that was pruned cannot tell.
func (f *Follower) sameLog() (bool, error) {
	if f.at.index > f.feed.log.Size() {
		return false, nil
	}
	if !f.at.hasLast || f.at.index <= f.feed.log.First() {
		return true, nil
	}
	same := true
	err := f.feed.log.Read(f.at.index-1, func(index uint64, raw []byte) error {
		if index != f.at.index-1 {
			return errEnough // pruned meanwhile
		}
		e, err := audit.Decode(raw)
		if err != nil {
			return err
		}
		same = e.ID == f.at.last
		return errEnough
	})
	if err != nil && !errors.Is(err, errEnough) {
		return false, err
	}
	return same, nil
}
