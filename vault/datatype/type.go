package datatype

import (
	"fmt"
	"regexp"
	"time"
	"unicode/utf8"
)

// Type checks and converts the values of one field. It is immutable and safe
// for concurrent use. Compile makes one.
type Type struct {
	def     definition
	max     int // code points (bytes for "bytes"); 0: the form fixes the length
	scale   int
	pattern *regexp.Regexp
	mask    maskFunc
}

// Name returns the type's name as policies write it.
func (t *Type) Name() string { return t.def.name }

// Number returns the type's number on disk. It is stable and never reused.
func (t *Type) Number() uint8 { return t.def.number }

// Binary reports whether values are bytes that need not be text.
func (t *Type) Binary() bool { return t.def.binary }

// MatchVersion returns the version of the match form. Index entries and
// pseudonyms made under another version do not compare.
func (t *Type) MatchVersion() uint16 { return t.def.version }

// Canonical returns the stored form of in, or a *RuleError. now is the
// present time; only "birth_date" looks at it. The result shares no memory
// with in, which is not changed. Canonicalising a result at the same now
// returns it unchanged.
func (t *Type) Canonical(in []byte, now time.Time) ([]byte, error) {
	// Before any work, so that a huge input costs nothing.
	if len(in) > MaxInput {
		return nil, tooLong(MaxInput, "bytes")
	}
	out, err := t.def.canonical(t, in, now)
	if err != nil {
		return nil, err
	}
	if t.max == 0 {
		return out, nil
	}
	if t.def.binary {
		if len(out) > t.max {
			return nil, tooLong(t.max, "bytes")
		}
		return out, nil
	}
	// Code points are never more than bytes, so most values need no count.
	if len(out) > t.max && utf8.RuneCount(out) > t.max {
		return nil, tooLong(t.max, "characters")
	}
	return out, nil
}

// Match returns the search form of a canonical value: equal forms mean "the
// same" to who searches. It may return canonical itself; neither may be
// changed while the other is in use.
func (t *Type) Match(canonical []byte) []byte {
	if t.def.match == nil {
		return canonical
	}
	return t.def.match(canonical)
}

// AppendMask appends the masked form of a canonical value to dst, which must
// not overlap it. Whatever the bytes, no more is shown than the package
// documentation says of the mask, and what is appended never contains
// canonical, unless that is nothing but one to three stars.
func (t *Type) AppendMask(dst, canonical []byte) []byte {
	return appendMask(dst, canonical, t.mask)
}

func tooLong(limit int, unit string) error {
	return refuse(RuleTooLong, fmt.Sprintf("must be at most %d %s long", limit, unit))
}

// canonicalBytes copies: the caller may wipe its input.
func canonicalBytes(_ *Type, in []byte, _ time.Time) ([]byte, error) {
	if len(in) == 0 {
		return nil, refuse(RuleEmpty, "must not be empty")
	}
	return append([]byte(nil), in...), nil
}
