package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// shape writes a document from lines such as "purpose payment",
// "domain analytics was old_name", "collection customers", "field email phone
// was old_name"; a field line is "field name type" in the collection before it.
func shape(lines ...string) []byte {
	parts := map[string]string{}
	collections := ""
	used := "p"
	for _, line := range lines {
		words := strings.Fields(line)
		was := ""
		if n := len(words); n > 2 && words[n-2] == "was" {
			was, words = ", renamed_from: "+words[n-1], words[:n-2]
		}
		switch words[0] {
		case "purpose":
			used = words[1]
			parts["purposes"] += fmt.Sprintf("  - {name: %s, basis: contract, text: {en: x}%s}\n", words[1], was)
		case "domain":
			parts["domains"] += fmt.Sprintf("  - {name: %s%s}\n", words[1], was)
		case "collection":
			collections += fmt.Sprintf("  - name: %s\n", words[1])
			if was != "" {
				collections += "    " + was[2:] + "\n"
			}
			collections += "    fields:\n"
		case "field":
			collections += fmt.Sprintf("      - {name: %s, type: %s, category: user, purposes: [%s]%s}\n", words[1], words[2], used, was)
		}
	}
	doc := "version: 1\n"
	for _, key := range []string{"purposes", "domains"} {
		if parts[key] != "" {
			doc += key + ":\n" + parts[key]
		}
	}
	if collections != "" {
		doc += "collections:\n" + collections
	}
	return []byte(doc + `roles:
  - name: administrator
    rules:
      - {effect: allow, actions: [policy.apply]}
principals:
  - {id: "spiffe://example.org/admin", roles: [administrator]}
`)
}

func TestRegister(t *testing.T) {
	base := []string{"purpose p", "purpose q", "purpose p0", "domain analytics", "collection customers", "field email email", "field phone phone", "collection staff", "field email email"}
	for _, c := range []struct {
		name    string
		next    []string
		dropped []string // of the first registry
		numbers string   // of the second
		wrong   string   // or the problem
	}{
		{
			name: "the same again", next: base,
			numbers: "p=1 q=2 p0=3 default=1 analytics=2 customers=1 staff=2 customers.email=1 customers.phone=2 staff.email=3",
		},
		{
			name:    "another order",
			next:    []string{"purpose q", "purpose p0", "purpose p", "domain default", "domain analytics", "collection staff", "field email email", "collection customers", "field phone phone", "field email email"},
			numbers: "q=2 p0=3 p=1 default=1 analytics=2 staff=2 customers=1 staff.email=3 customers.phone=2 customers.email=1",
		},
		{
			name:    "new names",
			next:    append([]string{"purpose r", "domain partner"}, append(slices.Clone(base), "field salary decimal", "collection orders", "field email email")...),
			numbers: "r=4 p=1 q=2 p0=3 default=1 partner=3 analytics=2 customers=1 staff=2 orders=3 customers.email=1 customers.phone=2 staff.email=3 staff.salary=4 orders.email=5",
		},
		{
			name:    "renames keep numbers",
			next:    []string{"purpose p", "purpose qq was q", "purpose p0", "domain stats was analytics", "collection clients was customers", "field mail email was email", "field phone phone", "collection staff", "field email email"},
			numbers: "p=1 qq=2 p0=3 default=1 stats=2 clients=1 staff=2 clients.mail=1 clients.phone=2 staff.email=3",
		},
		{
			name:    "a rename that was done",
			next:    []string{"purpose p", "purpose q was older", "purpose p0", "domain analytics was older", "collection customers was older", "field email email was older", "field phone phone", "collection staff", "field email email"},
			numbers: "p=1 q=2 p0=3 default=1 analytics=2 customers=1 staff=2 customers.email=1 customers.phone=2 staff.email=3",
		},
		{
			name:    "dropped fields",
			next:    []string{"purpose p0", "collection customers", "field phone phone"},
			dropped: []string{"customers.email", "staff.email"},
			numbers: "p0=3 default=1 customers=1 customers.phone=2",
		},
		{
			name:    "everything dropped",
			next:    nil,
			dropped: []string{"customers.email", "customers.phone", "staff.email"},
			numbers: "default=1",
		},
		{
			name:    "a field in a new collection, renamed from nothing there",
			next:    append(slices.Clone(base), "collection orders", "field mail email was email"),
			numbers: "p=1 q=2 p0=3 default=1 analytics=2 customers=1 staff=2 orders=3 customers.email=1 customers.phone=2 staff.email=3 orders.mail=4",
		},
		{
			name:  "a type changes",
			next:  []string{"purpose p", "collection customers", "field email email", "field phone string"},
			wrong: "line 8: collections[0].fields[1].type: the field has the type phone; a type does not change, declare a new field",
		},
		{
			name:  "a type changes with a rename",
			next:  []string{"purpose p", "collection customers", "field mail string was email"},
			wrong: "line 7: collections[0].fields[0].type: the field has the type email; a type does not change, declare a new field",
		},
		{
			name:  "renamed from nothing",
			next:  []string{"purpose p", "collection customers", "field mail email was e_mail"},
			wrong: `line 7: collections[0].fields[0].renamed_from: the policy in force has no "e_mail"`,
		},
		{
			name:  "renamed from another collection's",
			next:  []string{"purpose p", "collection staff", "field fon phone was phone"},
			wrong: `line 7: collections[0].fields[0].renamed_from: the policy in force has no "phone"`,
		},
		{
			name:  "a purpose renamed from nothing",
			next:  []string{"purpose r was s"},
			wrong: `line 3: purposes[0].renamed_from: the policy in force has no "s"`,
		},
		{
			name:  "two made one",
			next:  []string{"purpose p was q"},
			wrong: `line 3: purposes[0].renamed_from: both "q" and "p" exist; a rename cannot make one of two`,
		},
		{
			name:  "collections made one",
			next:  []string{"purpose p", "collection customers was staff", "field email email"},
			wrong: `line 5: collections[0].renamed_from: both "staff" and "customers" exist; a rename cannot make one of two`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			prev, err := parse(t, shape(base...)).Register(nil)
			if err != nil {
				t.Fatal(err)
			}
			before := store(t, prev)
			f := parse(t, shape(c.next...))
			next, err := f.Register(prev)
			if after := store(t, prev); before != after {
				t.Errorf("the old registry changed:\n%s\n%s", before, after)
			}
			if c.wrong != "" {
				var problems policy.Problems
				if !errors.As(err, &problems) || len(problems) != 1 || problems[0].String() != c.wrong || next != nil {
					t.Fatalf("got %v\nwant %s", err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var dropped []string
			for _, id := range next.Dropped(prev) {
				dropped = append(dropped, next.FieldName(id))
			}
			if diff := cmp.Diff(c.dropped, dropped); diff != "" {
				t.Errorf("dropped (-want +got):\n%s", diff)
			}
			p, err := policy.Compile(f, next, 2)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.numbers, numbers(p)); diff != "" {
				t.Errorf("numbers (-want +got):\n%s", diff)
			}
		})
	}
}

// numbers lists every name of a policy with its number.
func numbers(p *policy.Policy) string {
	var out []string
	for _, x := range p.Purposes() {
		out = append(out, fmt.Sprintf("%s=%d", x.Name, x.ID))
	}
	for _, x := range p.Domains() {
		out = append(out, fmt.Sprintf("%s=%d", x.Name, x.ID))
	}
	for _, x := range p.Collections() {
		out = append(out, fmt.Sprintf("%s=%d", x.Name, x.ID))
	}
	for _, x := range p.Fields() {
		out = append(out, fmt.Sprintf("%s.%s=%d", x.Collection.Name, x.Name, x.ID))
	}
	return strings.Join(out, " ")
}

// Numbers stand in keys and ciphertexts for ever, so a name that comes back
// after it was dropped is a new thing.
func TestNumbersAreNeverReused(t *testing.T) {
	full := []string{"purpose p", "purpose q", "domain analytics", "collection customers", "field email email", "field phone phone"}
	var reg *policy.Registry
	var err error
	seen := map[string]bool{}
	for round := range 4 {
		f := parse(t, shape(full...))
		if reg, err = f.Register(reg); err != nil {
			t.Fatal(err)
		}
		p, err := policy.Compile(f, reg, 1)
		if err != nil {
			t.Fatal(err)
		}
		for _, one := range strings.Fields(numbers(p)) {
			if one == "p=1" || one == "default=1" {
				continue // these stay
			}
			if seen[one] {
				t.Errorf("round %d: %s again", round, one)
			}
			seen[one] = true
		}
		if reg, err = parse(t, shape("purpose p")).Register(reg); err != nil {
			t.Fatal(err)
		}
	}
	want := `{"format":1,"collections":[{"number":1,"name":"customers","dropped":true},{"number":2,"name":"customers","dropped":true},` +
		`{"number":3,"name":"customers","dropped":true},{"number":4,"name":"customers","dropped":true}],` +
		`"fields":[{"number":1,"collection":1,"name":"email","type":"email","dropped":true},{"number":2,"collection":1,"name":"phone","type":"phone","dropped":true},` +
		`{"number":3,"collection":2,"name":"email","type":"email","dropped":true},{"number":4,"collection":2,"name":"phone","type":"phone","dropped":true},` +
		`{"number":5,"collection":3,"name":"email","type":"email","dropped":true},{"number":6,"collection":3,"name":"phone","type":"phone","dropped":true},` +
		`{"number":7,"collection":4,"name":"email","type":"email","dropped":true},{"number":8,"collection":4,"name":"phone","type":"phone","dropped":true}],` +
		`"purposes":[{"number":1,"name":"p"},{"number":2,"name":"q","dropped":true},{"number":3,"name":"q","dropped":true},{"number":4,"name":"q","dropped":true},{"number":5,"name":"q","dropped":true}],` +
		`"domains":[{"number":1,"name":"default"},{"number":2,"name":"analytics","dropped":true},{"number":3,"name":"analytics","dropped":true},` +
		`{"number":4,"name":"analytics","dropped":true},{"number":5,"name":"analytics","dropped":true}]}`
	if diff := cmp.Diff(want, store(t, reg)); diff != "" {
		t.Errorf("stored form (-want +got):\n%s", diff)
	}
}

// A rename of something dropped would bring its number back to life.
func TestRenameOfDropped(t *testing.T) {
	first, err := parse(t, shape("purpose p", "purpose q")).Register(nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := parse(t, shape("purpose p")).Register(first)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parse(t, shape("purpose p", "purpose r was q")).Register(second); err == nil {
		t.Error("a dropped purpose was renamed")
	}
}

func TestCompileRefuses(t *testing.T) {
	f := parse(t, shape("purpose p", "domain d", "collection c", "field f email"))
	for _, registered := range [][]string{
		nil,
		{"purpose p", "domain d"},
		{"purpose p", "domain d", "collection c", "field g email"},
		{"purpose p", "domain d", "collection c", "field f phone"},
		{"purpose p", "domain d", "collection d", "field f email"},
		{"purpose q", "domain d", "collection c", "field f email"},
		{"purpose p", "domain e", "collection c", "field f email"},
	} {
		reg, err := parse(t, shape(registered...)).Register(nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := policy.Compile(f, reg, 1); !errors.Is(err, policy.ErrUnregistered) {
			t.Errorf("registered %q: %v", registered, err)
		}
	}
	if _, err := policy.Compile(f, nil, 1); !errors.Is(err, policy.ErrUnregistered) {
		t.Errorf("no registry: %v", err)
	}
	reg, err := f.Register(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := policy.Compile(f, reg, 0); !errors.Is(err, policy.ErrVersion) {
		t.Errorf("version 0: %v", err)
	}
}
