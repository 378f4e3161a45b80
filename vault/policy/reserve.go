package policy

import (
	"fmt"
	"math"
)

// Reserve returns a registry that will give out none of the numbers of fields
// up to the given one, nor the next collections numbers of collections, to a
// new name: after a restore from a backup, those that were given out since are
// known from elsewhere and their names are lost. They count as dropped. r stays
// as it is; nil stands for an empty one. ErrRegistry when there are not so many
// numbers.
func (r *Registry) Reserve(field FieldID, collections int) (*Registry, error) {
	c := r.clone()
	if int(field) > len(c.fields) {
		collections++ // for the fields themselves to be of
	}
	if collections < 0 || len(c.collections)+collections > math.MaxUint16 || field > MaxFieldID {
		return nil, fmt.Errorf("%w: no numbers are left to be kept free", ErrRegistry)
	}
	for range collections {
		number := uint32(len(c.collections) + 1)
		c.collections = append(c.collections, entry{Number: number, Name: fmt.Sprintf("lost_%d", number), Dropped: true})
	}
	for int(field) > len(c.fields) {
		number := uint32(len(c.fields) + 1)
		c.fields = append(c.fields, entry{
			Number: number, Collection: CollectionID(len(c.collections)), Name: fmt.Sprintf("lost_%d", number), Type: "string", Dropped: true,
		})
	}
	return c, nil
}
