package alarm

import "slices"

// mark is n items at one time.
type mark struct {
	at int64 // nanoseconds since 1970
	n  int64
}

// series counts the items of one rule and one principal in a sliding window.
// It is exact: the mark of an entry is kept as long as the younger ones alone
// do not fill the window.
type series struct {
	marks  []mark
	raised int64 // when the last alarm of this run was, 0 for none
	since  int64 // items since
	about  subjects
}

// add counts n > 0 items at time t. When that makes an alarm, it returns the
// alarm's count; about still holds the subjects then.
func (s *series) add(t, n int64, c Series) (count uint64, raise bool) {
	within := int64(c.Within)
	s.marks = slices.DeleteFunc(s.marks, func(m mark) bool { return apart(t, m.at, within) })
	if len(s.marks) == 0 { // the run was broken
		s.raised, s.since, s.about = 0, 0, nil
	}
	s.marks = append(s.marks, mark{t, n})
	s.since += n
	total := int64(0)
	for _, m := range s.marks {
		total += m.n
	}
	if total >= int64(c.Count) && (s.raised == 0 || apart(t, s.raised, within)) {
		raise, count = true, uint64(total)
		if s.raised != 0 {
			count = uint64(s.since)
		}
		s.raised, s.since = t, 0
	}
	s.trim(total, int64(c.Count))
	return count, raise
}

// trim forgets the oldest marks without which the window is full all the same.
// Only a quiet run is that full, and it counts by since.
func (s *series) trim(total, enough int64) {
	drop := 0
	for drop < len(s.marks)-1 && total-s.marks[drop].n >= enough {
		total -= s.marks[drop].n
		drop++
	}
	s.marks = slices.Delete(s.marks, 0, drop)
}

// apart reports whether two times are a window or more apart, whichever is
// the earlier: a clock that stepped back must not keep a window open.
func apart(a, b, window int64) bool { return a-b >= window || b-a >= window }
