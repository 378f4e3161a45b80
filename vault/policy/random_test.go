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

// everyRequest lists all requests with numbers that the policy has, and one
// past each.
func everyRequest(p *policy.Policy) []policy.Request {
	var list []policy.Request
	fields, purposes, domains := policy.FieldID(len(p.Fields())+1), policy.PurposeID(len(p.Purposes())+1), policy.DomainID(len(p.Domains())+1)
	for f := range fields + 1 {
		for d := range domains + 1 {
			for a := range policy.ActionKeysApprove + 2 {
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
			for a := range policy.ActionKeysApprove + 2 {
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
