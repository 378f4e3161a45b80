package policy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

func TestViewsAndWidest(t *testing.T) {
	p := compile(t, read(t, decisions))
	for _, row := range []struct {
		who, what string
		widest    policy.View
		views     policy.ViewSet
	}{
		{"billing", "reveal customers.card_pan payment - default", policy.ViewPlain, policy.ViewsOf(policy.ViewPlain)},
		{"billing", "reveal customers.card_pan support - default", 0, 0},
		{"helpdesk", "reveal customers.email support - default", policy.ViewMasked, policy.ViewsOf(policy.ViewMasked, policy.ViewExists)},
		{"helpdesk", "reveal customers.email support - partner", 0, 0},
		{"auditor", "reveal customers.card_pan payment - default", policy.ViewGeneralised, policy.ViewsOf(2, 3, 4, 5)},
		{"auditor", "reveal customers.phone support - analytics", 0, 0},
		{"auditor", "reveal customers.phone support - default", policy.ViewPlain, policy.ViewsOf(1, 2, 3, 4, 5)},
		{"auditor", "reveal ? support - default", 0, 0},
		{"auditor", "reveal customers.phone support - ?", 0, 0},
		{"auditor", "reveal customers.phone payment - default", 0, 0},
		{"auditor", "reveal customers.phone - - default", 0, 0},
		{"nobody", "reveal customers.phone support - default", 0, 0},
	} {
		pr := p.Principal("spiffe://example.org/" + row.who)
		r := request(t, p, row.what)
		if got := p.Widest(pr, r.Field, r.Purpose, r.Domain); got != row.widest {
			t.Errorf("%s, %s: widest %v, want %v", row.who, row.what, got, row.widest)
		}
		if got := p.Views(pr, r.Field, r.Purpose, r.Domain); got != row.views {
			t.Errorf("%s, %s: views %b, want %b", row.who, row.what, got, row.views)
		}
	}
}

func TestCan(t *testing.T) {
	p := compile(t, read(t, decisions))
	for who, actions := range map[string]string{
		"nobody":       "",
		"admin":        "policy.apply policy.read",
		"reader":       "policy.read",
		"former_admin": "",
		"shop":         "write delete read tokenize",
		"describer":    "describe",
		"billing":      "reveal",
		"helpdesk":     "describe reveal",
	} {
		var can []string
		for a := policy.Action(0); a < 20; a++ {
			if p.Can(p.Principal("spiffe://example.org/"+who), a) {
				can = append(can, a.String())
			}
		}
		if got := strings.Join(can, " "); got != actions {
			t.Errorf("%s can %q, want %q", who, got, actions)
		}
	}
}

// A principal carries tables of its own policy; with those of another the
// numbers would mean other fields.
func TestPrincipalOfAnotherPolicy(t *testing.T) {
	old, now := compile(t, read(t, decisions)), compile(t, read(t, decisions))
	pr := old.Principal("spiffe://example.org/billing")
	r := request(t, now, "reveal customers.card_pan payment plain default")
	if got := now.Decide(pr, r); got.Reason != policy.ReasonPrincipalUnknown || got.Allowed {
		t.Errorf("decided %v", got.Reason)
	}
	if now.Can(pr, policy.ActionReveal) || now.Widest(pr, r.Field, r.Purpose, r.Domain) != 0 {
		t.Error("a principal of another policy holds rights")
	}
	if !old.Decide(pr, r).Allowed {
		t.Error("the old policy does not know its own principal")
	}
}

// Domains are told apart to the last of as many as there may be.
func TestEveryDomain(t *testing.T) {
	doc := strings.NewReplacer(
		"roles:\n", "roles:\n  - name: all\n    rules:\n      - {effect: allow, actions: [read], fields: [\"*\"], domains: [\"*\"]}\n",
		"principals:\n", "principals:\n  - {id: \"dns:all\", roles: [all]}\n",
	).Replace(string(sized{domains: policy.MaxDomains, listDefault: true}.doc()))
	names := []string{}
	for _, d := range compile(t, []byte(doc)).Domains() {
		names = append(names, d.Name)
	}
	if len(names) != policy.MaxDomains {
		t.Fatalf("%d domains", len(names))
	}
	roles, principals := "", ""
	for i, name := range names {
		rest := slices.Concat(names[:i], names[i+1:])
		roles += fmt.Sprintf("  - name: in%d\n    rules:\n      - {effect: allow, actions: [read], fields: [\"*\"], domains: [%s]}\n", i, name)
		roles += fmt.Sprintf("  - name: not%d\n    rules:\n      - {effect: deny, actions: [read], fields: [\"*\"], domains: [%s]}\n", i, name)
		principals += fmt.Sprintf("  - {id: \"dns:in%d\", roles: [in%d]}\n  - {id: \"dns:but%d\", roles: [all, not%d]}\n", i, i, i, i)
		if i%100 == 99 {
			roles += fmt.Sprintf("  - name: only%d\n    rules:\n      - {effect: deny, actions: [read], fields: [\"*\"], domains: [%s]}\n", i, strings.Join(rest, ", "))
			principals += fmt.Sprintf("  - {id: \"dns:only%d\", roles: [all, only%d]}\n  - {id: \"dns:none%d\", roles: [all, only%d, not%d]}\n", i, i, i, i, i)
		}
	}
	p := compile(t, []byte(strings.Replace(doc, "principals:\n", roles+"principals:\n"+principals, 1)))
	for i := range names {
		for who, wants := range map[string]func(int) bool{
			"in":   func(at int) bool { return at == i },
			"but":  func(at int) bool { return at != i },
			"only": func(at int) bool { return at == i },
			"none": func(int) bool { return false },
		} {
			pr := p.Principal(fmt.Sprintf("dns:%s%d", who, i))
			if pr == nil {
				continue
			}
			for at, d := range p.Domains() {
				r := policy.Request{Action: policy.ActionRead, Field: p.Fields()[0].ID, Domain: d.ID}
				if got := p.Decide(pr, r); got.Allowed != wants(at) {
					t.Fatalf("%s, domain %d of %d: %v", pr.ID, at, len(names), got.Reason)
				}
			}
			if p.Can(pr, policy.ActionRead) != (who != "none") {
				t.Errorf("%s: can is wrong", pr.ID)
			}
		}
	}
}
