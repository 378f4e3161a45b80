package policy

import (
	"fmt"
	"time"
)

const day = 24 * time.Hour

// Compile builds the policy that f declares, with the numbers of reg, as the
// given version (1 or more). Errors wrap ErrUnregistered when reg does not
// hold the names and types of f, and are Problems when the tables would take
// more memory than a policy may.
func Compile(f *File, reg *Registry, version uint64) (*Policy, error) {
	if version == 0 {
		return nil, ErrVersion
	}
	return compile(f, reg, version)
}

func compile(f *File, reg *Registry, version uint64) (*Policy, error) {
	c := compiler{
		doc:    &f.doc,
		grants: newPool[grant](),
		rights: newPool[right](),
		policy: &Policy{
			version:       version,
			doc:           &f.doc,
			principalByID: map[string]*Principal{},
			roles:         map[string]*roleSpec{},
		},
	}
	if err := c.schema(reg.clone()); err != nil {
		return nil, err
	}
	if err := c.access(); err != nil {
		return nil, err
	}
	return c.policy, nil
}

type compiler struct {
	doc    *document
	policy *Policy
	pairs  int // fields times their purposes

	grants     *pool[grant]
	rights     *pool[right]
	allDomains domainSet
}

// schema builds what the document declares, under the numbers of reg.
func (c *compiler) schema(reg *Registry) error {
	p := c.policy
	purposes, domains := reg.purposes.live(), reg.domains.live()
	for i := range c.doc.Purposes {
		spec := &c.doc.Purposes[i]
		at, ok := purposes[entryKey{name: spec.Name}]
		if !ok {
			return fmt.Errorf("%w: purpose %s", ErrUnregistered, spec.Name)
		}
		basis, _ := ParseBasis(spec.Basis)
		channel, _ := ParseChannel(spec.Channel)
		id := PurposeID(at + 1)
		p.purposes.add(id, spec.Name, &Purpose{
			ID: id, Name: spec.Name, Basis: basis, Channel: channel, Text: spec.Text, index: i,
		})
	}
	for _, d := range withDefault(c.doc.Domains) {
		if p.domains.byName[d.name] != nil {
			continue // the default domain, listed all the same
		}
		at, ok := domains[entryKey{name: d.name}]
		if !ok {
			return fmt.Errorf("%w: domain %s", ErrUnregistered, d.name)
		}
		id, index := DomainID(at+1), len(p.domains.list)
		p.domains.add(id, d.name, &Domain{ID: id, Name: d.name, index: index})
		c.allDomains.add(index)
	}
	collections, fields := reg.collections.live(), reg.fields.live()
	for i := range c.doc.Collections {
		spec := &c.doc.Collections[i]
		at, ok := collections[entryKey{name: spec.Name}]
		if !ok {
			return fmt.Errorf("%w: collection %s", ErrUnregistered, spec.Name)
		}
		collection := &Collection{ID: CollectionID(at + 1), Name: spec.Name, byName: map[string]*Field{}}
		p.collections.add(collection.ID, spec.Name, collection)
		for j := range spec.Fields {
			field := &spec.Fields[j]
			at, ok := fields[entryKey{collection.ID, field.Name}]
			if !ok || reg.fields[at].Type != field.Type {
				return fmt.Errorf("%w: field %s.%s", ErrUnregistered, spec.Name, field.Name)
			}
			c.field(collection, field, FieldID(at+1))
		}
	}
	return nil
}

func (c *compiler) field(collection *Collection, spec *fieldSpec, id FieldID) {
	p := c.policy
	f := &Field{
		ID:         id,
		Name:       spec.Name,
		Collection: collection,
		Type:       spec.compiled,
		Category:   spec.Category,
		Multi:      max(spec.Multi, 1),
		Retention:  time.Duration(spec.retentionDays) * day,
		index:      len(p.fields.list),
		pairs:      c.pairs,
		purposes:   make([]uint16, len(p.purposes.list)),
	}
	for i, one := range spec.Purposes {
		purpose := p.purposes.byName[one.name]
		f.Purposes = append(f.Purposes, purpose)
		f.purposes[purpose.index] = uint16(i + 1)
	}
	c.pairs += len(f.Purposes)
	collection.Fields = append(collection.Fields, f)
	collection.byName[f.Name] = f
	p.fields.add(id, "", f)
}
