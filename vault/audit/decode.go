package audit

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
)

// Decode reads one encoded entry. It accepts exactly the bytes that
// Entry.Append gives for a valid entry, or gave in format 1: every byte is
// accounted for, and no entry has two encodings in one format. Another format
// byte gives ErrFormat, everything else that is wrong ErrEntry. The result does
// not share memory with b.
//
// An action without a name is accepted, since a newer version may have
// written it.
func Decode(b []byte) (*Entry, error) {
	e := new(Entry)
	if err := decode(b, e, nil); err != nil {
		return nil, err
	}
	return e, nil
}

// decode reads b into e, which is empty, with memory of d, or new memory if d
// is nil.
func decode(b []byte, e *Entry, d *Decoder) error {
	if len(b) == 0 {
		return fmt.Errorf("%w: format: missing", ErrEntry)
	}
	if b[0] != formatEntry && b[0] != formatEntry1 {
		return fmt.Errorf("%w: entry format %d", ErrFormat, b[0])
	}
	if len(b) > MaxEncodedLen {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrEntry, len(b), MaxEncodedLen)
	}
	if len(b) < fixedLen {
		return fmt.Errorf("%w: cut short", ErrEntry)
	}
	e.Action, e.Outcome = Action(b[25]), Outcome(b[26])
	copy(e.ID[:], b[1:17])
	if ns := binary.BigEndian.Uint64(b[17:25]); ns > math.MaxInt64 {
		return fmt.Errorf("%w: time: out of range", ErrEntry)
	} else if ns != 0 {
		e.Time = time.Unix(0, int64(ns)).UTC()
	}
	r := reader{format: b[0], rest: b[fixedLen:]}
	e.PolicyVersion = r.uvarint("policy version", math.MaxUint64)
	e.Count = uint32(r.uvarint("count", math.MaxUint32))
	r.texts(e, d)
	e.Items = r.items(d)
	if r.err == nil && len(r.rest) > 0 {
		r.fail("end: bytes are left over")
	}
	if r.err != nil {
		return r.err
	}
	return e.check()
}

// reader takes an encoding apart; after the first error it gives zeros.
type reader struct {
	format byte
	rest   []byte
	err    error
}

func (r *reader) fail(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", ErrEntry, what)
	}
	r.rest = nil
}

// uvarint reads a number of at most limit in its shortest form.
func (r *reader) uvarint(name string, limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	switch {
	case n <= 0:
		r.fail(name + ": no number")
		return 0
	case n > 1 && r.rest[n-1] == 0:
		r.fail(name + ": number not in its shortest form")
		return 0
	case v > limit:
		r.fail(name + ": number out of range")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) take(name string, n int) []byte {
	if n > len(r.rest) {
		r.fail(name + ": cut short")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// block reads 16 bytes, which must not be zero: zero is written as absent.
func (r *reader) block(name string) (block [16]byte) {
	copy(block[:], r.take(name, len(block)))
	if block == ([16]byte{}) {
		r.fail(name + ": zero is written as absent")
	}
	return block
}

// texts reads the texts of e.
func (r *reader) texts(e *Entry, d *Decoder) {
	n := textCount
	if r.format == formatEntry1 {
		n = textCount1
	}
	var pieces [textCount][]byte
	for i := range n {
		name := textLimits[i].name
		pieces[i] = r.take(name, int(r.uvarint(name, uint64(textLimits[i].max))))
	}
	switch {
	case r.err != nil:
	case d != nil:
		d.texts(e, &pieces)
	default:
		newTexts(e, &pieces)
	}
}

// newTexts sets the texts of e, which share one allocation.
func newTexts(e *Entry, pieces *[textCount][]byte) {
	size := 0
	for _, piece := range pieces {
		size += len(piece)
	}
	var all strings.Builder
	all.Grow(size)
	for _, piece := range pieces {
		all.Write(piece)
	}
	rest := all.String()
	for i, text := range e.texts() {
		*text, rest = rest[:len(pieces[i])], rest[len(pieces[i]):]
	}
}

func (r *reader) items(d *Decoder) []Item {
	n := int(r.uvarint("items", MaxItems))
	// Every item takes a byte or more, so no allocation beyond the input's size
	// times a constant is made on the word of a number.
	if n == 0 || n > len(r.rest) {
		if n > 0 {
			r.fail("items: cut short")
		}
		return nil
	}
	var items []Item
	if d != nil {
		items = d.zeros(n)
	} else {
		items = make([]Item, n)
	}
	before := &Item{}
	for i := range items {
		r.item(&items[i], before)
		before = &items[i]
	}
	return items
}

// item reads one item that follows before.
func (r *reader) item(it, before *Item) {
	head := r.take("item", 1)
	if head == nil {
		return
	}
	flags := head[0]
	if r.format == formatEntry1 {
		it.Outcome = Outcome(flags & itemOutcome1)
		flags &^= itemOutcome1
	} else if it.Outcome = Allowed; flags&itemRefused != 0 {
		it.Outcome = Refused
	}
	switch {
	case flags&itemSubject != 0 && flags&itemSameSubject != 0:
		r.fail("item: subject is given twice")
	case flags&itemSubject != 0:
		if it.Subject = r.block("item: subject"); it.Subject == before.Subject {
			r.fail("item: subject is not marked as the same")
		}
	case flags&itemSameSubject != 0:
		if it.Subject = before.Subject; it.Subject == ([16]byte{}) {
			r.fail("item: no subject stands before")
		}
	}
	if flags&itemSameField != 0 {
		it.Field = before.Field
	} else if it.Field = uint32(r.uvarint("item: field", math.MaxUint32)); it.Field == before.Field {
		r.fail("item: field is not marked as the same")
	}
	if flags&itemNumber != 0 {
		it.Item = r.nonzero("item: number")
	}
	if flags&itemRefusal != 0 {
		it.Refusal = r.nonzero("item: refusal")
	}
	if flags&itemHash != 0 {
		it.Hash = r.block("item: hash")
	}
	if it.KeyVersion = before.KeyVersion; flags&itemVersion != 0 {
		it.KeyVersion = uint16(r.uvarint("item: key version", math.MaxUint16))
		if it.KeyVersion == before.KeyVersion {
			r.fail("item: key version is not marked as the same")
		}
	}
}

// nonzero reads a 16-bit number, which must not be zero: zero is written as
// absent.
func (r *reader) nonzero(name string) uint16 {
	v := r.uvarint(name, math.MaxUint16)
	if v == 0 {
		r.fail(name + ": zero is written as absent")
	}
	return uint16(v)
}
