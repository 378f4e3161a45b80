package policy_test

import (
	"fmt"
	"strings"
	"testing"
)

// sized writes a document with so many parts of each kind.
type sized struct {
	purposes, domains, collections, fields, roles, rules, principals int
	listDefault                                                      bool
}

func (s sized) doc() []byte {
	var b strings.Builder
	b.WriteString("version: 1\npurposes:\n")
	for i := range max(s.purposes, 1) {
		fmt.Fprintf(&b, "  - {name: p%d, basis: contract, text: {en: x}}\n", i)
	}
	b.WriteString("domains:\n  - {name: analytics}\n")
	if s.listDefault {
		b.WriteString("  - {name: default}\n")
	}
	for i := range s.domains - 2 {
		fmt.Fprintf(&b, "  - {name: d%d}\n", i)
	}
	b.WriteString("collections:\n")
	left := max(s.fields, s.collections, 1)
	for i := range max(s.collections, 1) {
		here := 1
		if i == 0 {
			here = left - max(s.collections, 1) + 1
		}
		fmt.Fprintf(&b, "  - name: c%d\n    fields:\n", i)
		for j := range here {
			fmt.Fprintf(&b, "      - {name: f%d, type: email, category: user, purposes: [p0]}\n", j)
		}
	}
	b.WriteString("roles:\n")
	for i := range max(s.roles, 1) {
		fmt.Fprintf(&b, "  - name: r%d\n    rules:\n      - {effect: allow, actions: [policy.apply]}\n", i)
		if i == 0 {
			for range s.rules - max(s.roles, 1) {
				b.WriteString("      - {effect: allow, actions: [policy.read]}\n")
			}
		}
	}
	b.WriteString("principals:\n")
	for i := range max(s.principals, 1) {
		fmt.Fprintf(&b, "  - {id: \"dns:p%d\", roles: [r0]}\n", i)
	}
	return []byte(b.String())
}

func TestLimits(t *testing.T) {
	for _, c := range []struct {
		name    string
		most    sized
		tooMuch sized
		problem string
	}{
		{"purposes", sized{purposes: 256}, sized{purposes: 257}, "purposes: more than 256 entries"},
		{"domains", sized{domains: 256}, sized{domains: 257}, "domains: more than 255 entries"},
		{"domains with the default listed", sized{domains: 256, listDefault: true}, sized{domains: 257, listDefault: true}, "domains: more than 255 entries"},
		{"collections", sized{collections: 256}, sized{collections: 257}, "collections: more than 256 entries"},
		{"fields", sized{fields: 4096}, sized{fields: 4097}, "collections: more than 4096 fields in all"},
		{"fields of several collections", sized{collections: 3, fields: 4096}, sized{collections: 3, fields: 4097}, "collections: more than 4096 fields in all"},
		{"roles", sized{roles: 1024}, sized{roles: 1025}, "roles: more than 1024 entries"},
		{"rules", sized{roles: 2, rules: 4096}, sized{roles: 2, rules: 4097}, "roles: more than 4096 rules in all"},
		{"principals", sized{principals: 4096}, sized{principals: 4097}, "principals: more than 4096 entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			parse(t, c.most.doc())
			problems := problemsOf(t, c.tooMuch.doc())
			if len(problems) != 1 || !strings.HasSuffix(problems[0].String(), c.problem) {
				t.Errorf("%v", problems)
			}
		})
	}
}

// The tables of a policy are bounded, not only its text.
func TestTablesAreBounded(t *testing.T) {
	doc := strings.Split(string(sized{fields: 4096, roles: 1024}.doc()), "principals:\n")[0] + "principals:\n  - {id: \"dns:root\", roles: [r0]}\n"
	for i := range 1023 {
		doc += fmt.Sprintf("  - {id: \"dns:p%d\", roles: [r%d, r%d]}\n", i, i, i+1)
	}
	// Equal roles in another order need no table of their own.
	doc += "  - {id: \"dns:same\", roles: [r1, r0]}\n"
	parse(t, []byte(doc))
	doc += "  - {id: \"dns:last\", roles: [r0, r2]}\n"
	problems := problemsOf(t, []byte(doc))
	if len(problems) != 1 || problems[0].Path != "principals" || !strings.Contains(problems[0].Message, "too many different sets of roles") {
		t.Errorf("%v", problems)
	}
}
