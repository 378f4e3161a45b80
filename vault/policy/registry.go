package policy

import (
	"fmt"
	"slices"
)

// A Registry holds the numbers given to names, those of dropped names too: a
// number is given out once. The zero value has given out none. It is
// immutable but for UnmarshalJSON.
//
// Its stored form is JSON, the same bytes for the same content:
//
//	{"format":1,
//	 "collections":[{"number":1,"name":"customers"}],
//	 "fields":[{"number":1,"collection":1,"name":"email","type":"email"},
//	           {"number":2,"collection":1,"name":"fax","type":"phone","dropped":true}],
//	 "purposes":[{"number":1,"name":"payment"}],
//	 "domains":[{"number":1,"name":"default"}]}
//
// Numbers rise by one from 1 in each list. Unknown keys and formats are refused.
type Registry struct {
	collections, fields, purposes, domains entries
}

// An entry is one number given out. Its number is its index plus one.
type entry struct {
	Number     uint32       `json:"number"`
	Collection CollectionID `json:"collection,omitempty"` // fields only
	Name       string       `json:"name"`
	Type       string       `json:"type,omitempty"` // fields only
	Dropped    bool         `json:"dropped,omitempty"`
}

type entries []entry

// entryKey finds an entry: the collection is 0 for what is no field.
type entryKey struct {
	collection CollectionID
	name       string
}

// live returns the indexes of entries that are not dropped.
func (es entries) live() map[entryKey]int {
	m := make(map[entryKey]int, len(es))
	for i := range es {
		if !es[i].Dropped {
			m[entryKey{es[i].Collection, es[i].Name}] = i
		}
	}
	return m
}

// Dropped returns the numbers of the fields that prev holds and r has
// dropped, in rising order. What becomes of their stored values is the
// vault's decision. A nil prev holds none.
func (r *Registry) Dropped(prev *Registry) []FieldID {
	var list []FieldID
	if prev == nil {
		return nil
	}
	for i := range prev.fields {
		if !prev.fields[i].Dropped && (i >= len(r.fields) || r.fields[i].Dropped) {
			list = append(list, FieldID(i+1))
		}
	}
	return list
}

// FieldName returns the name of a field as "collection.field", that of a
// dropped one too; "" for a number that was never given out.
func (r *Registry) FieldName(id FieldID) string {
	if r == nil || id == 0 || int(id) > len(r.fields) {
		return ""
	}
	f := &r.fields[id-1]
	return fmt.Sprintf("%s.%s", r.collections[f.Collection-1].Name, f.Name)
}

func (r *Registry) clone() *Registry {
	if r == nil {
		r = &Registry{}
	}
	c := &Registry{
		collections: slices.Clone(r.collections),
		fields:      slices.Clone(r.fields),
		purposes:    slices.Clone(r.purposes),
		domains:     slices.Clone(r.domains),
	}
	if len(c.domains) == 0 {
		c.domains = entries{{Number: uint32(DefaultDomain), Name: DefaultDomainName}}
	}
	return c
}
