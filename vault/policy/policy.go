package policy

import (
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// A Policy is a compiled policy document. It is immutable and safe for
// concurrent use; so is everything it returns, and slices and maps in it must
// not be changed.
type Policy struct {
	version     uint64
	collections index[Collection, CollectionID]
	fields      index[Field, FieldID] // byName is empty: collections find their fields
	purposes    index[Purpose, PurposeID]
	domains     index[Domain, DomainID]

	principals    []*Principal
	principalByID map[string]*Principal
	roles         map[string]*roleSpec // for Explain
	doc           *document            // for Suspend

	grants []grant // numbered by tables
	rights []right // numbered by grants
}

// Collection is a kind of record.
type Collection struct {
	ID     CollectionID
	Name   string
	Fields []*Field // in the order of the document, at least one

	byName map[string]*Field
}

// Field returns the field of that name, or nil.
func (c *Collection) Field(name string) *Field { return c.byName[name] }

// Field is one declared attribute.
type Field struct {
	ID         FieldID
	Name       string // within its collection
	Collection *Collection
	Type       *datatype.Type
	Category   string        // such as user.contact.email
	Purposes   []*Purpose    // what it may be used for, at least one
	Multi      int           // items it may hold, 1 to MaxItems
	Retention  time.Duration // how long a value is kept, whole days; 0 is no limit

	index    int      // in the order of the document
	pairs    int      // where its purposes begin in a table's pairs
	purposes []uint16 // by purpose index: position in Purposes plus one, or 0
}

// Declares reports whether the field may be used for the purpose.
func (f *Field) Declares(p *Purpose) bool {
	return p != nil && p.index < len(f.purposes) && f.purposes[p.index] != 0
}

// Purpose is a reason why values may be used.
type Purpose struct {
	ID      PurposeID
	Name    string
	Basis   Basis
	Channel Channel           // ChannelNone when it reaches nobody
	Text    map[string]string // plain words by BCP 47 language, at least one

	index int
}

// Domain is a token domain.
type Domain struct {
	ID   DomainID
	Name string

	index int
}

// Principal is a caller that the policy knows.
type Principal struct {
	ID          string
	Description string
	Roles       []string // in the order of the document

	policy *Policy // whose numbers the table is made for
	table  *table
}

// Version returns the version the policy was compiled as; 0 is the bootstrap
// policy.
func (p *Policy) Version() uint64 { return p.version }

// Collection returns the collection of that name, or nil.
func (p *Policy) Collection(name string) *Collection { return p.collections.byName[name] }

// CollectionByID returns the collection of that number, or nil.
func (p *Policy) CollectionByID(id CollectionID) *Collection { return p.collections.get(id) }

// Collections returns all collections in the order of the document.
func (p *Policy) Collections() []*Collection { return p.collections.list }

// Field returns the field of that number, or nil.
func (p *Policy) Field(id FieldID) *Field { return p.fields.get(id) }

// FieldByName returns the field of a collection, or nil.
func (p *Policy) FieldByName(collection, field string) *Field {
	c := p.Collection(collection)
	if c == nil {
		return nil
	}
	return c.Field(field)
}

// Fields returns all fields in the order of the document.
func (p *Policy) Fields() []*Field { return p.fields.list }

// Purpose returns the purpose of that name, or nil.
func (p *Policy) Purpose(name string) *Purpose { return p.purposes.byName[name] }

// PurposeByID returns the purpose of that number, or nil.
func (p *Policy) PurposeByID(id PurposeID) *Purpose { return p.purposes.get(id) }

// Purposes returns all purposes in the order of the document.
func (p *Policy) Purposes() []*Purpose { return p.purposes.list }

// Domain returns the domain of that name, or nil.
func (p *Policy) Domain(name string) *Domain { return p.domains.byName[name] }

// DomainByID returns the domain of that number, or nil.
func (p *Policy) DomainByID(id DomainID) *Domain { return p.domains.get(id) }

// Domains returns all domains, the default one first.
func (p *Policy) Domains() []*Domain { return p.domains.list }

// Principal returns the principal of that id, or nil for one that the policy
// does not know.
func (p *Policy) Principal(id string) *Principal { return p.principalByID[id] }

// HasRole reports whether the policy declares a role of that name.
func (p *Policy) HasRole(name string) bool { return p.roles[name] != nil }

// Principals returns all principals in the order of the document.
func (p *Policy) Principals() []*Principal { return p.principals }

// An index finds declared things by number and by name.
type index[T any, N ~uint16 | ~uint32] struct {
	list     []*T
	byNumber []*T // nil where the number is not in use
	byName   map[string]*T
}

func (x *index[T, N]) get(number N) *T {
	if int(number) >= len(x.byNumber) {
		return nil
	}
	return x.byNumber[number]
}

func (x *index[T, N]) add(number N, name string, thing *T) {
	for int(number) >= len(x.byNumber) {
		x.byNumber = append(x.byNumber, make([]*T, int(number)+1-len(x.byNumber))...)
	}
	x.list, x.byNumber[number] = append(x.list, thing), thing
	if name != "" {
		if x.byName == nil {
			x.byName = map[string]*T{}
		}
		x.byName[name] = thing
	}
}
