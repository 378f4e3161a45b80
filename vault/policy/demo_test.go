package policy_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// demoRights is everything that the demo's policy allows: who, action,
// fields, and where the action has them purpose, view and domain.
var demoRights = []string{
	"admin     policy.apply",
	"admin     policy.read",
	"security  policy.read",
	"security  audit.read",
	"security  incident.read",
	"security  incident.freeze",
	"security  incident.thaw",
	"security  incident.honey",
	"security  incident.exposure",
	"security  keys.read",
	"security  keys.rotate",
	"security  keys.disable",
	"security  keys.destroy",
	"officer   keys.read",
	"officer   keys.approve",
	"director  keys.read",
	"director  keys.approve",
	"shop      write    *",
	"shop      delete   *",
	"shop      read     * default",
	"shop      tokenize * default",
	"shop      describe * default",
	"billing   reveal   full_name,iban,card_pan payment plain default",
	"support   reveal   full_name support plain default",
	"support   reveal   email,phone,card_pan support masked default",
	"shipping  reveal   full_name,street,city,postal_code,country delivery plain default",
	"mailer    reveal   email newsletter plain default",
	"analytics read     !national_id,iban,card_pan analytics",
	"analytics describe !national_id,iban,card_pan analytics",
}

// rightsWanted spells demoRights out, one right a line.
func rightsWanted() []string {
	all := []string{"full_name", "email", "phone", "birth_date", "national_id", "street", "city", "postal_code", "country", "iban",
		"card_pan", "ip_address", "location", "marketing_email_opt_in", "marketing_sms_opt_in", "analytics_opt_in", "signed_up_at",
		"lifetime_value", "favourite_category", "locale"}
	var list []string
	for _, line := range demoRights {
		words := strings.Fields(line)
		if len(words) == 2 {
			list = append(list, strings.Join(words, " "))
			continue
		}
		var fields []string
		switch but, isBut := strings.CutPrefix(words[2], "!"); {
		case words[2] == "*":
			fields = all
		case isBut:
			fields = slices.DeleteFunc(slices.Clone(all), func(f string) bool { return slices.Contains(strings.Split(but, ","), f) })
		default:
			fields = strings.Split(words[2], ",")
		}
		for _, field := range fields {
			list = append(list, strings.Join(append([]string{words[0], words[1], field}, words[3:]...), " "))
		}
	}
	slices.Sort(list)
	return list
}

// rightsOf asks Decide for everything there is to ask, in the same form.
func rightsOf(p *policy.Policy) []string {
	found := map[string]bool{}
	for _, pr := range p.Principals() {
		who := pr.ID[strings.LastIndex(pr.ID, "/")+1:]
		for _, r := range everyRequest(p) {
			if !p.Decide(pr, r).Allowed {
				continue
			}
			right := who + " " + r.Action.String()
			if r.Action.OnFields() {
				right += " " + p.Field(r.Field).Name
			}
			if r.Action == policy.ActionReveal {
				right += fmt.Sprintf(" %s %v", p.PurposeByID(r.Purpose).Name, r.View)
			}
			if r.Action.OnFields() && r.Action != policy.ActionWrite && r.Action != policy.ActionDelete {
				right += " " + p.DomainByID(r.Domain).Name
			}
			found[right] = true
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func TestDemoRights(t *testing.T) {
	p := compile(t, read(t, demo))
	if diff := cmp.Diff(rightsWanted(), rightsOf(p)); diff != "" {
		t.Errorf("rights (-want +got):\n%s", diff)
	}
	for _, purpose := range p.Purposes() {
		for _, language := range []string{"en", "es", "ru", "zh"} {
			if purpose.Text[language] == "" {
				t.Errorf("purpose %s says nothing in %s", purpose.Name, language)
			}
		}
		consent := purpose.Name == "newsletter" || purpose.Name == "analytics"
		if (purpose.Basis == policy.BasisConsent) != consent {
			t.Errorf("purpose %s rests on %v", purpose.Name, purpose.Basis)
		}
	}
}

// Every rule of the demo's policy, and every entry of its lists, matters:
// without it, or turned round, or widened, the rights are others (or the
// policy is refused).
func TestDemoMutations(t *testing.T) {
	wanted := rightsWanted()
	tried := 0
	try := func(what string, change func(rule *yaml.Node) bool, role, rule int) {
		var root yaml.Node
		if err := yaml.Unmarshal(read(t, demo), &root); err != nil {
			t.Fatal(err)
		}
		if !change(at(at(at(at(root.Content[0], "roles"), role), "rules"), rule)) {
			return
		}
		tried++
		doc, err := yaml.Marshal(&root)
		if err != nil {
			t.Fatal(err)
		}
		f, err := policy.Parse(doc)
		if err != nil {
			return // noticed
		}
		reg, err := f.Register(nil)
		if err != nil {
			t.Fatal(err)
		}
		p, err := policy.Compile(f, reg, 1)
		if err != nil {
			t.Fatal(err)
		}
		if slices.Equal(rightsOf(p), wanted) {
			t.Errorf("roles[%d].rules[%d]: %s, and nobody notices", role, rule, what)
		}
	}
	var root yaml.Node
	if err := yaml.Unmarshal(read(t, demo), &root); err != nil {
		t.Fatal(err)
	}
	roles := at(root.Content[0], "roles")
	for i := range roles.Content {
		for j := range at(at(roles, i), "rules").Content {
			try("removed", func(rule *yaml.Node) bool {
				// A role needs a rule; this one gives nothing to anybody here.
				return yaml.Unmarshal([]byte("{effect: deny, actions: [policy.read]}"), rule) == nil && unwrap(rule)
			}, i, j)
			try("turned round", func(rule *yaml.Node) bool {
				effect := at(rule, "effect")
				effect.Value = map[string]string{"allow": "deny", "deny": "allow"}[effect.Value]
				return true
			}, i, j)
			for _, key := range []string{"actions", "fields", "categories", "purposes", "views", "domains"} {
				list := at(at(at(at(roles, i), "rules"), j), key)
				if list != nil && len(list.Content) > 1 {
					for n := range list.Content {
						try(fmt.Sprintf("without %s[%d]", key, n), func(rule *yaml.Node) bool {
							mutated := at(rule, key)
							mutated.Content = slices.Delete(mutated.Content, n, n+1)
							return true
						}, i, j)
					}
				}
				if key == "purposes" || key == "views" || key == "domains" {
					try("every one of "+key, func(rule *yaml.Node) bool {
						return at(rule, "effect").Value == "allow" && widen(rule, key)
					}, i, j)
				}
			}
		}
	}
	if tried < 50 {
		t.Errorf("%d changes tried", tried)
	}
}

// at returns the value of a key or the element of a list, or nil.
func at[K string | int](n *yaml.Node, key K) *yaml.Node {
	switch key := any(key).(type) {
	case int:
		return n.Content[key]
	case string:
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == key {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// unwrap replaces a document node by what is in it.
func unwrap(n *yaml.Node) bool {
	*n = *n.Content[0]
	return true
}

// widen sets a list of a rule to every one there is; a rule on the policy has none.
func widen(rule *yaml.Node, key string) bool {
	if at(rule, "fields") == nil && at(rule, "categories") == nil {
		return false
	}
	if key != "domains" && at(rule, key) == nil {
		return false
	}
	star := &yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{{Kind: yaml.ScalarNode, Tag: "!!str", Value: "*", Style: yaml.DoubleQuotedStyle}}}
	if list := at(rule, key); list != nil {
		*list = *star
		return true
	}
	rule.Content = append(rule.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, star)
	return true
}
