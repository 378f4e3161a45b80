package datatype

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Limits of a Spec.
const (
	// MaxInput is the longest input in bytes that any type reads.
	MaxInput = 65536
	// MaxPattern is the longest Pattern in bytes.
	MaxPattern = 1024
	// MaxScale is the largest Scale of a decimal.
	MaxScale = 18

	defaultScale = 9
)

// Spec is what a policy file says of a field's type.
type Spec struct {
	// Type is a name from Names.
	Type string
	// MaxLength is the longest canonical form, in Unicode code points, for
	// "bytes" in bytes. 0 means the type's default. Types whose form fixes the
	// length (dates, numbers, ...) take no MaxLength.
	MaxLength int
	// Pattern is an RE2 expression that the whole canonical form must match.
	// Type "pattern" needs one; for "national_id" it replaces the default.
	Pattern string
	// Mask is a name from Masks; "" means the type's default.
	Mask string
	// Scale is, for "decimal" only, how many digits may follow the point,
	// trailing zeros not counted: 1 to MaxScale, 0 means 9.
	Scale int
}

// Names returns the names of all types, in the order of their numbers.
func Names() []string {
	defs := definitions()
	names := make([]string, len(defs))
	for i := range defs {
		names[i] = defs[i].name
	}
	return names
}

// Masks returns the names of the masks that a type offers, its default first,
// or nil for an unknown type.
func Masks(typeName string) []string {
	def, ok := definitionOf(typeName)
	if !ok {
		return nil
	}
	return slices.Clone(def.masks)
}

// Compile makes the type that s describes. It returns an error that wraps
// ErrUnknownType, ErrLength, ErrPattern, ErrMask or ErrScale.
func Compile(s Spec) (*Type, error) {
	def, ok := definitionOf(s.Type)
	if !ok {
		return nil, fmt.Errorf("%w %q: want one of %s", ErrUnknownType, s.Type, strings.Join(Names(), ", "))
	}
	t := &Type{def: def, max: def.length, scale: s.Scale}
	if err := t.setLength(s.MaxLength); err != nil {
		return nil, err
	}
	if err := t.setPattern(s.Pattern); err != nil {
		return nil, err
	}
	mask := s.Mask
	if mask == "" {
		mask = def.masks[0]
	}
	if !slices.Contains(def.masks, mask) {
		return nil, fmt.Errorf("%w %q: type %s offers %s", ErrMask, mask, def.name, strings.Join(def.masks, ", "))
	}
	t.mask = maskOf(mask)
	if s.Scale != 0 && !def.scaled {
		return nil, fmt.Errorf("%w: type %s takes no scale", ErrScale, def.name)
	}
	if s.Scale < 0 || s.Scale > MaxScale {
		return nil, fmt.Errorf("%w %d: want 1 to %d, or 0 for %d", ErrScale, s.Scale, MaxScale, defaultScale)
	}
	if t.scale == 0 {
		t.scale = defaultScale
	}
	return t, nil
}

func (t *Type) setLength(n int) error {
	switch {
	case n == 0:
		return nil
	case t.def.ceiling == 0:
		return fmt.Errorf("%w: type %s takes no maximum length, its form fixes it", ErrLength, t.def.name)
	case n < 0 || n > t.def.ceiling:
		return fmt.Errorf("%w %d: type %s takes 1 to %d", ErrLength, n, t.def.name, t.def.ceiling)
	}
	t.max = n
	return nil
}

func (t *Type) setPattern(p string) error {
	switch {
	case t.def.pattern == patternNone:
		if p != "" {
			return fmt.Errorf("%w: type %s takes no pattern", ErrPattern, t.def.name)
		}
		return nil
	case p == "" && t.def.pattern == patternNeeded:
		return fmt.Errorf("%w: type %s needs one", ErrPattern, t.def.name)
	case p == "":
		p = defaultNationalID
	case len(p) > MaxPattern:
		return fmt.Errorf("%w: longer than %d bytes", ErrPattern, MaxPattern)
	}
	// Alone first, so that a stray ")" cannot close the group added below and
	// so escape the anchors.
	if _, err := regexp.Compile(p); err != nil {
		return fmt.Errorf("%w: %w", ErrPattern, err)
	}
	re, err := regexp.Compile(`\A(?:` + p + `)\z`)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrPattern, err)
	}
	t.pattern = re
	return nil
}
