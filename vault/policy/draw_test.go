package policy_test

import (
	"fmt"
	"slices"
	"strings"

	"pgregory.net/rapid"
)

// A randomPolicy draws documents that are mostly right, with few names, so
// that rules meet and contradict each other.
type randomPolicy struct {
	t        *rapid.T
	purposes []string
	domains  []string
	fields   []string            // collection.field
	declared map[string][]string // field → purposes
	category map[string]string
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
		whole := []string{"policy.read", "audit.read", "incident.read", "incident.freeze", "incident.thaw", "incident.honey", "incident.exposure",
			"keys.read", "keys.rotate", "keys.disable", "keys.destroy", "keys.approve"}
		return fmt.Sprintf("{effect: %s, actions: [%s]}", effect, strings.Join(g.some(whole, "whole"), ", "))
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
