package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
)

// registryFormat is the number of the stored form.
const registryFormat = 1

type registryJSON struct {
	Format      int     `json:"format"`
	Collections entries `json:"collections"`
	Fields      entries `json:"fields"`
	Purposes    entries `json:"purposes"`
	Domains     entries `json:"domains"`
}

// MarshalJSON implements json.Marshaler. Equal registries give equal bytes.
func (r *Registry) MarshalJSON() ([]byte, error) {
	c := r.clone()
	for _, list := range []*entries{&c.collections, &c.fields, &c.purposes} {
		if *list == nil {
			*list = entries{} // written as [], like one that was read
		}
	}
	return json.Marshal(registryJSON{registryFormat, c.collections, c.fields, c.purposes, c.domains})
}

// UnmarshalJSON implements json.Unmarshaler. It checks everything that
// Register relies on; errors wrap ErrRegistry, and r is then unchanged.
func (r *Registry) UnmarshalJSON(data []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	decoder.DisallowUnknownFields()
	var stored registryJSON
	if err := decoder.Decode(&stored); err != nil {
		return fmt.Errorf("%w: %w", ErrRegistry, err)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return fmt.Errorf("%w: something follows it", ErrRegistry)
	}
	if stored.Format != registryFormat {
		return fmt.Errorf("%w: format %d, want %d", ErrRegistry, stored.Format, registryFormat)
	}
	for _, part := range []struct {
		kind  string
		list  entries
		limit int
	}{
		{"collections", stored.Collections, math.MaxUint16},
		{"fields", stored.Fields, int(MaxFieldID)},
		{"purposes", stored.Purposes, math.MaxUint16},
		{"domains", stored.Domains, math.MaxUint16},
	} {
		if err := part.list.check(part.kind, part.limit, stored.Collections); err != nil {
			return err
		}
	}
	if d := stored.Domains; len(d) == 0 || d[0].Name != DefaultDomainName || d[0].Dropped {
		return fmt.Errorf("%w: domain %d is not the default one", ErrRegistry, DefaultDomain)
	}
	*r = Registry{stored.Collections, stored.Fields, stored.Purposes, stored.Domains}
	return nil
}

func (es entries) check(kind string, limit int, collections entries) error {
	if len(es) > limit {
		return fmt.Errorf("%w: %s: more than %d", ErrRegistry, kind, limit)
	}
	seen := make(map[entryKey]bool, len(es))
	for i := range es {
		e, isField := &es[i], kind == "fields"
		key := entryKey{e.Collection, e.Name}
		switch {
		case e.Number != uint32(i+1):
			return fmt.Errorf("%w: %s: entry %d has the wrong number", ErrRegistry, kind, i+1)
		case len(e.Name) > maxName || !lowerSnake.MatchString(e.Name):
			return fmt.Errorf("%w: %s: number %d has no proper name", ErrRegistry, kind, i+1)
		case isField != (e.Type != "") || isField != (e.Collection != 0):
			return fmt.Errorf("%w: %s: number %d: type and collection go with fields", ErrRegistry, kind, i+1)
		case int(e.Collection) > len(collections):
			return fmt.Errorf("%w: %s: number %d is in an unknown collection", ErrRegistry, kind, i+1)
		case isField && !e.Dropped && collections[e.Collection-1].Dropped:
			return fmt.Errorf("%w: %s: number %d is in a dropped collection", ErrRegistry, kind, i+1)
		case !e.Dropped && seen[key]:
			return fmt.Errorf("%w: %s: the name of number %d is given twice", ErrRegistry, kind, i+1)
		}
		if !e.Dropped {
			seen[key] = true
		}
	}
	return nil
}
