package rows

import (
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/cloakroom-vault/cloakroom/vault/store"
)

const recordFormat = 1

// Record says what a person has in one collection. It stays, not live and
// without items, when the record is deleted while the person has others, so
// that item numbers are never given out twice.
//
//	format 1 | live 1 | version 8 | created ms 8 | updated ms 8 | fields…
//	a field: field 3 | next item 2 | items 2 | item 2 …
type Record struct {
	Live    bool
	Version uint64 // rises by 1 with each change; the etag
	Created int64  // Unix milliseconds
	Updated int64  // Unix milliseconds
	Fields  []FieldItems
}

// FieldItems are the items of one field, in their order.
type FieldItems struct {
	Field uint32
	Next  uint16 // number of the next new item; the first is 1
	Items []uint16
}

// Find returns the items of a field, or nil.
func (r *Record) Find(field uint32) *FieldItems {
	i, ok := slices.BinarySearchFunc(r.Fields, field, func(f FieldItems, n uint32) int { return int(f.Field) - int(n) })
	if !ok {
		return nil
	}
	return &r.Fields[i]
}

// Of returns the items of a field, adding an empty list when there is none.
// The pointer is valid until the next call.
func (r *Record) Of(field uint32) *FieldItems {
	i, ok := slices.BinarySearchFunc(r.Fields, field, func(f FieldItems, n uint32) int { return int(f.Field) - int(n) })
	if !ok {
		r.Fields = slices.Insert(r.Fields, i, FieldItems{Field: field, Next: 1})
	}
	return &r.Fields[i]
}

// Clone returns a deep copy.
func (r *Record) Clone() *Record {
	c := *r
	c.Fields = slices.Clone(r.Fields)
	for i := range c.Fields {
		c.Fields[i].Items = slices.Clone(c.Fields[i].Items)
	}
	return &c
}

// Append encodes r.
func (r *Record) Append(dst []byte) []byte {
	dst = append(dst, recordFormat, 0)
	if r.Live {
		dst[len(dst)-1] = 1
	}
	dst = binary.BigEndian.AppendUint64(dst, r.Version)
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Created))
	dst = binary.BigEndian.AppendUint64(dst, uint64(r.Updated))
	for i := range r.Fields {
		f := &r.Fields[i]
		dst = append(dst, byte(f.Field>>16), byte(f.Field>>8), byte(f.Field))
		dst = binary.BigEndian.AppendUint16(dst, f.Next)
		dst = binary.BigEndian.AppendUint16(dst, uint16(len(f.Items)))
		for _, n := range f.Items {
			dst = binary.BigEndian.AppendUint16(dst, n)
		}
	}
	return dst
}

// ParseRecord decodes a record row.
func ParseRecord(b []byte) (*Record, error) {
	if len(b) == 0 || b[0] != recordFormat {
		return nil, fmt.Errorf("%w: a record", store.ErrFormat)
	}
	corrupt := fmt.Errorf("%w: a record", store.ErrCorrupt)
	if len(b) < 26 || b[1] > 1 {
		return nil, corrupt
	}
	r := &Record{
		Live:    b[1] == 1,
		Version: binary.BigEndian.Uint64(b[2:]),
		Created: int64(binary.BigEndian.Uint64(b[10:])),
		Updated: int64(binary.BigEndian.Uint64(b[18:])),
	}
	for b = b[26:]; len(b) > 0; {
		if len(b) < 7 {
			return nil, corrupt
		}
		f := FieldItems{
			Field: uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]),
			Next:  binary.BigEndian.Uint16(b[3:]),
		}
		n := int(binary.BigEndian.Uint16(b[5:]))
		b = b[7:]
		if len(b) < 2*n || f.Next == 0 || (len(r.Fields) > 0 && f.Field <= r.Fields[len(r.Fields)-1].Field) {
			return nil, corrupt
		}
		if n > 0 {
			f.Items = make([]uint16, n)
			for i := range f.Items {
				f.Items[i] = binary.BigEndian.Uint16(b[2*i:])
				if f.Items[i] == 0 || f.Items[i] >= f.Next {
					return nil, corrupt
				}
			}
		}
		b = b[2*n:]
		r.Fields = append(r.Fields, f)
	}
	return r, nil
}
