package sink

import "time"

// Stats says how a sink is doing. The totals are since Start.
type Stats struct {
	Next      uint64    // index of the entry that comes next
	Lag       uint64    // durable entries of the log that the sink has not passed
	Delivered uint64    // entries taken by the target
	Failures  uint64    // attempts that failed
	Missed    uint64    // entries that retention removed before they were delivered
	Failing   bool      // the last attempt failed
	Since     time.Time // when it began to fail; zero when it does not
}

// Stats returns the present state. It never waits for a delivery.
func (f *Follower) Stats() Stats {
	f.mu.Lock()
	s := f.stats
	f.mu.Unlock()
	if size := f.feed.log.Size(); size > s.Next {
		s.Lag = size - s.Next
	}
	return s
}

// Name returns the sink's name.
func (f *Follower) Name() string { return f.o.Name }

// failed notes a failed attempt, says so if it is the first of a series, and
// waits. It reports whether to go on.
func (f *Follower) failed(err error) bool {
	if f.working.Err() != nil {
		return false // Stop ended the attempt; nothing is wrong
	}
	f.mu.Lock()
	f.stats.Failures++
	first := !f.stats.Failing
	if first {
		f.stats.Failing, f.stats.Since = true, time.Now()
	}
	f.mu.Unlock()
	pause := f.backoff.pause(err)
	if first {
		_ = f.save() // it may be long until the next; an error comes again there
		f.o.Logger.Warn("a sink of the audit log fails; it is tried until it works",
			"sink", f.o.Name, "next", f.at.index, "pause", pause.Round(time.Millisecond), "error", err)
	}
	return f.pause(pause)
}

// worked notes that the follower moved on.
func (f *Follower) worked(delivered int) {
	f.mu.Lock()
	f.stats.Next = f.at.index
	f.stats.Delivered += uint64(delivered)
	f.mu.Unlock()
	f.recovered()
}

// recovered ends a series of failures, if there is one, and says so.
func (f *Follower) recovered() {
	f.backoff.reset()
	f.mu.Lock()
	since, failing := f.stats.Since, f.stats.Failing
	f.stats.Failing, f.stats.Since = false, time.Time{}
	f.mu.Unlock()
	if failing {
		f.o.Logger.Info("a sink of the audit log works again",
			"sink", f.o.Name, "next", f.at.index, "failed_for", time.Since(since).Round(time.Millisecond))
	}
}

// missed notes entries that are gone, and goes on at the first that is there.
func (f *Follower) missed(count, first uint64) {
	f.at = cursor{index: first}
	f.mu.Lock()
	f.stats.Missed += count
	f.stats.Next = first
	f.mu.Unlock()
	f.o.Logger.Warn("a sink of the audit log missed entries that were pruned",
		"sink", f.o.Name, "missed", count, "next", first)
}
