package store

// Rows holds the answer of a Get: one entry a key, in order. All values share
// one buffer, so that a reply of a thousand rows costs no allocation a row.
// The zero value is ready to use; it is not safe for concurrent use.
type Rows struct {
	buf   []byte
	spans []span
}

type span struct{ start, end int } // start -1: absent

// Reset empties r and keeps its memory.
func (r *Rows) Reset() { r.buf, r.spans = r.buf[:0], r.spans[:0] }

// Len returns the number of entries.
func (r *Rows) Len() int { return len(r.spans) }

// Value returns entry i and whether the row exists. The slice is valid until
// the next Reset and must not be appended to.
func (r *Rows) Value(i int) ([]byte, bool) {
	s := r.spans[i]
	if s.start < 0 {
		return nil, false
	}
	return r.buf[s.start:s.end:s.end], true
}

// Append adds a copy of value as the next entry. For engines.
func (r *Rows) Append(value []byte) {
	start := len(r.buf)
	r.buf = append(r.buf, value...)
	r.spans = append(r.spans, span{start, len(r.buf)})
}

// AppendAbsent adds an absent entry. For engines.
func (r *Rows) AppendAbsent() { r.spans = append(r.spans, span{-1, -1}) }

// Resize makes r hold n absent entries, for engines that fill out of order
// with Set.
func (r *Rows) Resize(n int) {
	r.Reset()
	for range n {
		r.AppendAbsent()
	}
}

// Set makes entry i a copy of value. For engines.
func (r *Rows) Set(i int, value []byte) {
	start := len(r.buf)
	r.buf = append(r.buf, value...)
	r.spans[i] = span{start, len(r.buf)}
}
