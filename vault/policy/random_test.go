package policy_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// A randomPolicy draws documents that are mostly right, with few names, so
// that rules meet and contradict each other.
type randomPolicy struct {
	t          *rapid.T
	purposes   []string
	domains    []string
	fields     []string // collection.field
	categories []string
	declared   map[string][]string // field → purposes
	category   map[string]string
}

func drawPolicy(t *rapid.T) []byte {
	g := &randomPolicy{t: t, declared: map[string][]string{}, category: map[string]string{}}
	doc := "version: 1\npurposes:\n"
	for i := range rapid.IntRange(1, 4).Draw(t, "purposes") {
		g.purposes = append(g.purposes, fmt.Sprintf("p%d", i))
		doc += fmt.Sprintf("  - {name: p%d, basis: contract, text: {en: x}}\n", i)
	}
	g.domains = []string{"default"}
	doc += "domains:\n  - {name: default}\n"
	for i := range rapid.IntRange(0, 3).Draw(t, "domains") {
		g.domains = append(g.domains, fmt.Sprintf("d%d", i))
		doc += fmt.Sprintf("  - {name: d%d}\n", i)
	}
	doc += "collections:\n"
	kinds := []string{"user", "user.contact", "user.contact.email", "user.contacts", "user.financial.card"}
	for i := range rapid.IntRange(1, 2).Draw(t, "collections") {
		doc += fmt.Sprintf("  - name: c%d\n    fields:\n", i)
		for j := range rapid.IntRange(1, 4).Draw(t, "fields") {
			name := fmt.Sprintf("c%d.f%d", i, j)
			category := rapid.SampledFrom(kinds).Draw(t, "category")
			purposes := g.some(g.purposes, "declares")
			g.fields, g.declared[name], g.category[name] = append(g.fields, name), purposes, category
			doc += fmt.Sprintf("      - {name: f%d, type: string, category: %s, purposes: [%s]}\n", j, category, strings.Join(purposes, ", "))
		}
	}
	doc += "roles:\n  - name: root\n    rules:\n      - {effect: allow, actions: [policy.apply]}\n"
	roles := []string{}
	for i := range rapid.IntRange(1, 4).Draw(t, "roles") {
		roles = append(roles, fmt.Sprintf("r%d", i))
		doc += fmt.Sprintf("  - name: r%d\n    rules:\n", i)
		for range rapid.IntRange(1, 4).Draw(t, "rules") {
			doc += "      - " + g.rule() + "\n"
		}
	}
	doc += "principals:\n  - {id: \"spiffe://x/root\", roles: [root]}\n"
	for i := range rapid.IntRange(1, 3).Draw(t, "principals") {
		doc += fmt.Sprintf("  - {id: \"spiffe://x/s%d\", roles: [%s]}\n", i, strings.Join(g.some(roles, "has"), ", "))
	}
	return []byte(doc)
}

// some draws one or more of the words, in any order.
func (g *randomPolicy) some(words []string, label string) []string {
	n := rapid.IntRange(1, len(words)).Draw(g.t, label)
	return rapid.Permutation(words).Draw(g.t, label)[:n]
}

func (g *randomPolicy) rule() string {
	effect := rapid.SampledFrom([]string{"allow", "allow", "deny"}).Draw(g.t, "effect")
	if rapid.IntRange(0, 9).Draw(g.t, "policy") == 0 {
		return fmt.Sprintf("{effect: %s, actions: [policy.read]}", effect)
	}
	actions := g.some([]string{"reveal", "write", "delete", "read", "tokenize", "describe"}, "actions")
	rule := fmt.Sprintf("{effect: %s, actions: [%s]", effect, strings.Join(actions, ", "))
	covered := map[string]bool{}
	switch rapid.IntRange(0, 3).Draw(g.t, "fields") {
	case 0:
		rule += `, fields: ["*"]`
		for _, f := range g.fields {
			covered[f] = true
		}
	case 1:
		collection, _, _ := strings.Cut(rapid.SampledFrom(g.fields).Draw(g.t, "field"), ".")
		rule += fmt.Sprintf(", fields: [%s.*]", collection)
		for _, f := range g.fields {
			covered[f] = strings.HasPrefix(f, collection+".")
		}
	case 2:
		fields := g.some(g.fields, "fields")
		rule += fmt.Sprintf(", fields: [%s]", strings.Join(fields, ", "))
		for _, f := range fields {
			covered[f] = true
		}
	case 3:
		exact := g.category[rapid.SampledFrom(g.fields).Draw(g.t, "field")]
		above, _, below := strings.Cut(exact, ".")
		pattern := exact
		if below && rapid.Bool().Draw(g.t, "below") {
			pattern = above + ".*"
		}
		rule += fmt.Sprintf(", categories: [%s]", pattern)
		for _, f := range g.fields {
			covered[f] = g.category[f] == pattern || pattern != exact && strings.HasPrefix(g.category[f], above+".")
		}
	}
	if slices.Contains(actions, "reveal") {
		rule += fmt.Sprintf(", purposes: [%s]", g.purposesOf(effect, covered))
		views := []string{"plain", "masked", "generalised", "token", "exists"}
		rule += fmt.Sprintf(", views: [%s]", g.starOr(views, "views"))
	}
	if slices.ContainsFunc(actions, func(a string) bool { return a != "write" && a != "delete" }) && rapid.Bool().Draw(g.t, "domains") {
		rule += fmt.Sprintf(", domains: [%s]", g.starOr(g.domains, "domains"))
	}
	return rule + "}"
}

func (g *randomPolicy) starOr(words []string, label string) string {
	if rapid.IntRange(0, 3).Draw(g.t, label) == 0 {
		return `"*"`
	}
	return strings.Join(g.some(words, label), ", ")
}

// purposesOf draws purposes that some covered field declares, which a rule
// that allows must keep to.
func (g *randomPolicy) purposesOf(effect string, covered map[string]bool) string {
	usable := g.purposes
	if effect == "allow" {
		usable = slices.DeleteFunc(slices.Clone(g.purposes), func(p string) bool {
			return !slices.ContainsFunc(g.fields, func(f string) bool { return covered[f] && slices.Contains(g.declared[f], p) })
		})
	}
	return g.starOr(usable, "purposes")
}

// everyRequest lists all requests with numbers that the policy has, and one
// past each.
func everyRequest(p *policy.Policy) []policy.Request {
	var list []policy.Request
	fields, purposes, domains := policy.FieldID(len(p.Fields())+1), policy.PurposeID(len(p.Purposes())+1), policy.DomainID(len(p.Domains())+1)
	for f := range fields + 1 {
		for d := range domains + 1 {
			for a := range policy.ActionPolicyRead + 2 {
				if a != policy.ActionReveal {
					list = append(list, policy.Request{Action: a, Field: f, Domain: d})
					continue
				}
				for u := range purposes + 1 {
					for v := range policy.ViewExists + 2 {
						list = append(list, policy.Request{Action: a, Field: f, Purpose: u, View: v, Domain: d})
					}
				}
			}
		}
	}
	return list
}

// The tables and the rules read one by one decide alike, for every request
// that can be made; Can, Views and Widest say what Decide says.
func TestDecideIsExplain(t *testing.T) {
	reasons := map[policy.Reason]int{}
	rapid.Check(t, func(t *rapid.T) {
		doc := drawPolicy(t)
		f, err := policy.Parse(doc)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		reg, err := f.Register(nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Compile(f, reg, 1)
		if err != nil {
			t.Fatal(err)
		}
		requests := everyRequest(p)
		for _, pr := range append(p.Principals(), nil) {
			id := "spiffe://x/unknown"
			if pr != nil {
				id = pr.ID
			}
			can := map[policy.Action]bool{}
			for _, r := range requests {
				fast, slow := p.Decide(pr, r), p.Explain(id, r)
				if fast != slow.Decision {
					t.Fatalf("%s, %+v: decided %v, explained %v by %s %d\n%s", id, r, fast.Reason, slow.Reason, slow.Role, slow.Rule, doc)
				}
				if fast.Allowed != (fast.Reason == policy.ReasonOK) {
					t.Fatalf("allowed %v and %v", fast.Allowed, fast.Reason)
				}
				reasons[fast.Reason]++
				if !fast.Allowed {
					continue
				}
				can[r.Action] = true
				if r.Action == policy.ActionReveal {
					views := p.Views(pr, r.Field, r.Purpose, r.Domain)
					if !views.Has(r.View) || p.Widest(pr, r.Field, r.Purpose, r.Domain) != views.Widest() {
						t.Fatalf("%s, %+v: views %b", id, r, views)
					}
				}
			}
			for a := range policy.ActionPolicyRead + 2 {
				if p.Can(pr, a) != can[a] {
					t.Fatalf("%s: can %v is %v\n%s", id, a, !can[a], doc)
				}
			}
		}
	})
	for r := policy.ReasonOK; r <= policy.ReasonDenyRule; r++ {
		if reasons[r] == 0 {
			t.Errorf("no request was answered %v: the policies drawn are too tame", r)
		}
	}
}

// What is read is what was written: the canonical form gives the same File,
// decisions included.
func TestCanonicalMeansTheSame(t *testing.T) {
	check := func(fatal func(string, ...any), doc []byte) {
		f, err := policy.Parse(doc)
		if err != nil {
			fatal("%v\n%s", err, doc)
		}
		again, err := policy.Parse(f.Canonical())
		if err != nil {
			fatal("the canonical form is refused: %v\n%s", err, f.Canonical())
		}
		if a, b := string(f.Canonical()), string(again.Canonical()); a != b {
			fatal("the canonical form changes:\n%s\n%s", a, b)
		}
		var policies [2]*policy.Policy
		for i, one := range []*policy.File{f, again} {
			reg, err := one.Register(nil)
			if err == nil {
				policies[i], err = policy.Compile(one, reg, 1)
			}
			if err != nil {
				fatal("%v", err)
			}
		}
		for _, r := range everyRequest(policies[0]) {
			for _, pr := range policies[0].Principals() {
				if a, b := policies[0].Decide(pr, r), policies[1].Decide(policies[1].Principal(pr.ID), r); a != b {
					fatal("%s, %+v: %v before, %v after", pr.ID, r, a.Reason, b.Reason)
				}
			}
		}
	}
	for _, file := range []string{decisions, demo} {
		check(t.Fatalf, read(t, file))
	}
	rapid.Check(t, func(t *rapid.T) { check(t.Fatalf, drawPolicy(t)) })
}

// Numbers survive any chain of documents: a name that stays keeps its number,
// and no number ever stands for two things.
func TestRegisterChain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var reg *policy.Registry
		meaning := map[string]string{} // number → name and type, once given
		last := map[string]policy.FieldID{}
		for range rapid.IntRange(1, 6).Draw(t, "documents") {
			lines := []string{"purpose p"}
			for c := range rapid.IntRange(0, 2).Draw(t, "collections") {
				lines = append(lines, fmt.Sprintf("collection c%d", c))
				for _, f := range rapid.Permutation([]string{"a", "b", "c"}).Draw(t, "fields")[:rapid.IntRange(1, 3).Draw(t, "n")] {
					lines = append(lines, fmt.Sprintf("field %s %s", f, rapid.SampledFrom([]string{"email", "email", "email", "phone"}).Draw(t, "type")))
				}
			}
			f, err := policy.Parse(shape(lines...))
			if err != nil {
				t.Fatal(err)
			}
			next, err := f.Register(reg)
			if err != nil {
				if problems := (policy.Problems)(nil); !errors.As(err, &problems) || !strings.Contains(err.Error(), "a type does not change") {
					t.Fatal(err)
				}
				continue
			}
			p, err := policy.Compile(f, next, 1)
			if err != nil {
				t.Fatal(err)
			}
			now := map[string]policy.FieldID{}
			for _, field := range p.Fields() {
				name := field.Collection.Name + "." + field.Name
				is := fmt.Sprintf("%s in %d, a %s", name, field.Collection.ID, field.Type.Name())
				key := fmt.Sprint(field.ID)
				if was, known := meaning[key]; known && was != is {
					t.Fatalf("number %s was %s and is %s", key, was, is)
				}
				if id, stays := last[name]; stays && id != field.ID {
					t.Fatalf("%s was number %d and is %d", name, id, field.ID)
				} else if !stays && meaning[key] != "" {
					t.Fatalf("%s came back under number %d", name, field.ID)
				}
				meaning[key], now[name] = is, field.ID
			}
			for name, id := range last {
				if _, stays := now[name]; stays == slices.Contains(next.Dropped(reg), id) {
					t.Fatalf("%s: dropped is %v", name, stays)
				}
			}
			reg, last = next, now
		}
	})
}
