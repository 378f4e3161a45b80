package cloakroom

import (
	"crypto/rand"
	"fmt"
	"iter"
)

// chunks cuts items into runs of at most maxItems items and, as far as single
// items allow, maxMessage bytes. It gives the position of each run, too.
func chunks[T any](items []T, size func(T) int) iter.Seq2[int, []T] {
	return func(yield func(int, []T) bool) {
		start, total := 0, 0
		for i, item := range items {
			n := size(item)
			if i > start && (i-start == maxItems || total+n > maxMessage) {
				if !yield(start, items[start:i]) {
					return
				}
				start, total = i, 0
			}
			total += n
		}
		if start < len(items) {
			yield(start, items[start:])
		}
	}
}

// stringSize is the size of a token or an id in a message.
func stringSize(s string) int { return len(s) + 2 }

// size is about the size of the record in a message. It is never too small by
// more than a few bytes a value.
func (r RecordInput) size() int {
	n := len(r.SubjectID) + 8
	for name, values := range r.Fields {
		n += len(name) + 8
		for _, v := range values {
			n += v.Len() + 8
		}
	}
	return n
}

// id returns the request id of the run at a position: the caller's own, with
// the position behind it from the second run on, or a random one.
func (c call) id(position int) string {
	switch {
	case c.requestID == "":
		return rand.Text()
	case position == 0:
		return c.requestID
	}
	return fmt.Sprintf("%s/%d", c.requestID, position)
}
