package policy

import (
	"bytes"
	"fmt"

	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/vault/datatype"
)

// File is a policy document without mistakes. It knows names, not numbers.
// It is immutable. Only Parse makes one.
type File struct {
	doc document
}

// Canonical returns the document in one normal form: same meaning, same
// bytes, whatever the comments, the order of keys and the layout. Parsing it
// gives an equal File.
func (f *File) Canonical() []byte {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(f.doc); err != nil {
		// Texts, numbers and lists of them can always be written to memory.
		panic(fmt.Sprintf("policy: cannot write a parsed document: %v", err))
	}
	return b.Bytes()
}

type document struct {
	Version     int              `yaml:"version"`
	Purposes    []purposeSpec    `yaml:"purposes,omitempty"`
	Domains     []domainSpec     `yaml:"domains,omitempty"`
	Collections []collectionSpec `yaml:"collections,omitempty"`
	Roles       []roleSpec       `yaml:"roles"`
	Principals  []principalSpec  `yaml:"principals"`
}

type purposeSpec struct {
	place       `yaml:"-"`
	Name        string            `yaml:"name"`
	Basis       string            `yaml:"basis"`
	Channel     string            `yaml:"channel,omitempty"`
	Text        map[string]string `yaml:"text"`
	RenamedFrom string            `yaml:"renamed_from,omitempty"`
}

type domainSpec struct {
	place       `yaml:"-"`
	Name        string `yaml:"name"`
	RenamedFrom string `yaml:"renamed_from,omitempty"`
}

type collectionSpec struct {
	place       `yaml:"-"`
	Name        string      `yaml:"name"`
	RenamedFrom string      `yaml:"renamed_from,omitempty"`
	Fields      []fieldSpec `yaml:"fields"`
}

type fieldSpec struct {
	place       `yaml:"-"`
	Name        string `yaml:"name"`
	Type        string `yaml:"type"`
	Category    string `yaml:"category"`
	Purposes    []ref  `yaml:"purposes,flow"`
	MaxLength   int    `yaml:"max_length,omitempty"`
	Pattern     string `yaml:"pattern,omitempty"`
	Mask        string `yaml:"mask,omitempty"`
	Scale       int    `yaml:"scale,omitempty"`
	Multi       int    `yaml:"multi,omitempty"`
	Retention   string `yaml:"retention,omitempty"`
	RenamedFrom string `yaml:"renamed_from,omitempty"`

	compiled      *datatype.Type
	retentionDays int
}

type roleSpec struct {
	place `yaml:"-"`
	Name  string     `yaml:"name"`
	Rules []ruleSpec `yaml:"rules"`
}

type ruleSpec struct {
	place      `yaml:"-"`
	Effect     string `yaml:"effect"`
	Actions    []ref  `yaml:"actions,flow"`
	Fields     []ref  `yaml:"fields,flow,omitempty"`
	Categories []ref  `yaml:"categories,flow,omitempty"`
	Purposes   []ref  `yaml:"purposes,flow,omitempty"`
	Views      []ref  `yaml:"views,flow,omitempty"`
	Domains    []ref  `yaml:"domains,flow,omitempty"`
}

type principalSpec struct {
	place       `yaml:"-"`
	ID          string `yaml:"id"`
	Description string `yaml:"description,omitempty"`
	Roles       []ref  `yaml:"roles,flow"`
}

// place is where a part of the document stands.
type place struct {
	line int
	path string
}

// ref is a name that points at something declared elsewhere.
type ref struct {
	place
	name string
}

// MarshalYAML implements yaml.Marshaler.
func (r ref) MarshalYAML() (any, error) { return r.name, nil }

const (
	effectAllow = "allow"
	effectDeny  = "deny"
	effectNone  = "none" // of a suspended rule; no document can say so

	// every stands for all purposes, views, domains or fields of a rule.
	every = "*"
)

// actions returns the actions that the rule names.
func (ru *ruleSpec) actions() actionSet {
	var set actionSet
	for _, one := range ru.Actions {
		if a, ok := ParseAction(one.name); ok {
			set.add(a)
		}
	}
	return set
}

// names reports whether list holds name or stands for everything.
func names(list []ref, name string) bool {
	for _, one := range list {
		if one.name == name || one.name == every {
			return true
		}
	}
	return false
}
