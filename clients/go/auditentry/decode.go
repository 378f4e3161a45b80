package auditentry

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// Limits of an entry.
const (
	maxEncoded = 1<<16 - 1
	maxItems   = 1024
	// fixedLen is the length of the part before the first number.
	fixedLen = 1 + 16 + 8 + 1 + 1
	// maxUnix is the first second of the year 2262.
	maxUnix = 9214646400
)

// Bits of the byte that begins an item.
const (
	itemRefused     = 1 << 0
	itemVersion     = 1 << 1
	itemSubject     = 1 << 2
	itemSameSubject = 1 << 3
	itemSameField   = 1 << 4
	itemNumber      = 1 << 5
	itemRefusal     = 1 << 6
	itemHash        = 1 << 7

	itemOutcome1 = 0b11 // in format 1: the outcome's number
)

// Decode reads one encoded entry, of format 1 or 2. Another format gives an
// error that wraps ErrFormat, everything else that is wrong one that wraps
// ErrEntry and names the part, not its content. The result does not share
// memory with data.
func Decode(data []byte) (*Entry, error) {
	switch {
	case len(data) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrEntry)
	case data[0] != 1 && data[0] != 2:
		return nil, fmt.Errorf("%w: number %d", ErrFormat, data[0])
	case len(data) > maxEncoded:
		return nil, fmt.Errorf("%w: more than %d bytes", ErrEntry, maxEncoded)
	case len(data) < fixedLen:
		return nil, fmt.Errorf("%w: cut short", ErrEntry)
	}
	e := &Entry{ID: hex.EncodeToString(data[1:17]), Action: actionText(data[25])}
	r := reader{format: data[0], rest: data[fixedLen:]}
	e.Time = r.time(binary.BigEndian.Uint64(data[17:25]))
	if data[25] == 0 {
		r.fail("action", "is missing")
	}
	e.Outcome = r.outcome(data[26], cloakroom.OutcomeMixed)
	e.PolicyVersion = r.number("policy version", math.MaxUint64)
	e.Count = uint32(r.number("count", math.MaxUint32))
	r.texts(e)
	e.Items = r.items()
	if len(r.rest) > 0 {
		r.fail("end", "bytes are left over")
	}
	if r.err != nil {
		return nil, r.err
	}
	return e, nil
}

// reader takes an encoding apart; after the first error it gives zeros.
type reader struct {
	format byte
	rest   []byte
	err    error
}

func (r *reader) fail(part, rule string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s: %s", ErrEntry, part, rule)
	}
	r.rest = nil
}

func (r *reader) time(ns uint64) time.Time {
	if ns == 0 {
		return time.Time{}
	}
	if t := time.Unix(0, int64(ns)).UTC(); ns <= math.MaxInt64 && t.Unix() < maxUnix {
		return t
	}
	r.fail("time", "out of range")
	return time.Time{}
}

// outcome names an outcome; the last one that may be is given.
func (r *reader) outcome(number byte, last cloakroom.Outcome) cloakroom.Outcome {
	switch {
	case number == 1:
		return cloakroom.OutcomeAllowed
	case number == 2:
		return cloakroom.OutcomeRefused
	case number == 3 && last == cloakroom.OutcomeMixed:
		return cloakroom.OutcomeMixed
	}
	r.fail("outcome", "unknown number")
	return cloakroom.OutcomeAny
}

// number reads a number of at most limit in its shortest form.
func (r *reader) number(part string, limit uint64) uint64 {
	v, n := binary.Uvarint(r.rest)
	switch {
	case n <= 0:
		r.fail(part, "no number")
		return 0
	case n > 1 && r.rest[n-1] == 0:
		r.fail(part, "not in its shortest form")
		return 0
	case v > limit:
		r.fail(part, "out of range")
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

func (r *reader) take(part string, n int) []byte {
	if n > len(r.rest) {
		r.fail(part, "cut short")
		return nil
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b
}

// texts reads the texts in the order of the encoding.
func (r *reader) texts(e *Entry) {
	list := []struct {
		name string
		to   *string
		max  uint64
	}{
		{"request", &e.RequestID, 128}, {"principal", &e.Principal, 256}, {"purpose", &e.Purpose, 128}, {"view", &e.View, 128},
		{"reason", &e.Reason, 128}, {"collection", &e.Collection, 128}, {"refusal", &e.Refusal, 128}, {"object", &e.Object, 512},
	}
	if r.format == 1 {
		list = list[:7]
	}
	for _, text := range list {
		*text.to = string(r.take(text.name, int(r.number(text.name, text.max))))
		if !utf8.ValidString(*text.to) {
			r.fail(text.name, "not UTF-8")
		}
	}
}

// rawItem is an item in numbers, as the next one refers to it.
type rawItem struct {
	subject [16]byte
	field   uint32
	version uint16
}

func (r *reader) items() []Item {
	n := int(r.number("items", maxItems))
	// Every item takes a byte or more.
	if n > len(r.rest) {
		r.fail("items", "cut short")
	}
	if n == 0 || r.err != nil {
		return nil
	}
	items := make([]Item, n)
	var before rawItem
	for i := range items {
		before = r.item(&items[i], before)
	}
	return items
}

// item reads one item that follows before, and returns what the next follows.
func (r *reader) item(it *Item, before rawItem) (raw rawItem) {
	head := r.take("item", 1)
	if head == nil {
		return raw
	}
	flags := head[0]
	if r.format == 1 {
		it.Outcome = r.outcome(flags&itemOutcome1, cloakroom.OutcomeRefused)
		flags &^= itemOutcome1
	} else {
		it.Outcome = r.outcome(1+flags&itemRefused, cloakroom.OutcomeRefused)
	}
	raw.subject = r.subject(flags, before.subject)
	if raw.subject != ([16]byte{}) {
		it.Subject = hex.EncodeToString(raw.subject[:])
	}
	if raw.field = before.field; flags&itemSameField == 0 {
		if raw.field = uint32(r.number("item: field", math.MaxUint32)); raw.field == before.field {
			r.fail("item: field", "is not marked as the same")
		}
	}
	it.Field = raw.field
	if flags&itemNumber != 0 {
		it.Item = r.nonzero("item: number")
	}
	if flags&itemRefusal != 0 {
		it.Refusal = refusalText(r.nonzero("item: refusal"))
	}
	if flags&itemHash != 0 {
		hash := r.block("item: hash")
		it.Hash = hash[:]
	}
	if raw.version = before.version; flags&itemVersion != 0 {
		if raw.version = uint16(r.number("item: key version", math.MaxUint16)); raw.version == before.version {
			r.fail("item: key version", "is not marked as the same")
		}
	}
	it.KeyVersion = raw.version
	return raw
}

func (r *reader) subject(flags byte, before [16]byte) (subject [16]byte) {
	switch {
	case flags&itemSubject != 0 && flags&itemSameSubject != 0:
		r.fail("item: subject", "is given twice")
	case flags&itemSubject != 0:
		if subject = r.block("item: subject"); subject == before {
			r.fail("item: subject", "is not marked as the same")
		}
	case flags&itemSameSubject != 0:
		if subject = before; subject == ([16]byte{}) {
			r.fail("item: subject", "none stands before")
		}
	}
	return subject
}

// block reads 16 bytes, which must not be zero: zero is written as absent.
func (r *reader) block(part string) (block [16]byte) {
	copy(block[:], r.take(part, len(block)))
	if block == ([16]byte{}) {
		r.fail(part, "zero is written as absent")
	}
	return block
}

// nonzero reads a 16-bit number, which must not be zero: zero is written as
// absent.
func (r *reader) nonzero(part string) uint16 {
	v := r.number(part, math.MaxUint16)
	if v == 0 {
		r.fail(part, "zero is written as absent")
	}
	return uint16(v)
}

func refusalText(number uint16) string {
	return strings.TrimPrefix(cloakroomv1.ErrorReason(number).String(), "ERROR_REASON_")
}
