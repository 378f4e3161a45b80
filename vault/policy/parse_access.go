package policy

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

func (r *reader) roles(top mapping) []roleSpec {
	var list []roleSpec
	rules := 0
	top.each("roles", func(n *yaml.Node, path string) {
		m := r.mapping(n, path, "name", "rules")
		role := roleSpec{place: place{n.Line, path}, Name: m.name("name", true)}
		m.each("rules", func(n *yaml.Node, path string) { role.Rules = append(role.Rules, r.rule(n, path)) })
		m.filled("rules", len(role.Rules), "a role has at least one rule")
		rules += len(role.Rules)
		list = append(list, role)
	})
	top.filled("roles", len(list), "without roles nobody could apply the next policy")
	r.atMost(top, "roles", len(list), MaxRoles)
	if rules > MaxRules {
		r.add(top.values["roles"].Line, "roles", "more than %d rules in all", MaxRules)
	}
	return list
}

func (r *reader) rule(n *yaml.Node, path string) ruleSpec {
	m := r.mapping(n, path, "effect", "actions", "fields", "categories", "purposes", "views", "domains")
	ru := ruleSpec{
		place:      place{n.Line, path},
		Effect:     m.oneOf("effect", true, []string{effectAllow, effectDeny}),
		Actions:    m.refs("actions"),
		Fields:     m.refs("fields"),
		Categories: m.refs("categories"),
		Purposes:   m.refs("purposes"),
		Views:      m.refs("views"),
		Domains:    m.refs("domains"),
	}
	m.filled("actions", len(ru.Actions), "a rule names at least one action")
	known := true
	for _, one := range ru.Actions {
		if _, ok := ParseAction(one.name); !ok {
			known = false
			if one.name != "" {
				r.add(one.line, one.path, "no %s; there are %s", such("action", one.name), listing(actionNames[:]))
			}
		}
	}
	for _, one := range ru.Views {
		if _, ok := ParseView(one.name); !ok && one.name != "" && one.name != every {
			r.add(one.line, one.path, "no %s; there are %s", such("view", one.name), listing(viewNames[:]))
		}
	}
	for _, list := range [][]ref{ru.Fields, ru.Purposes, ru.Views, ru.Domains} {
		r.alone(list)
	}
	if known && len(ru.Actions) > 0 {
		r.shape(m, &ru)
	}
	return ru
}

// shape notes keys that a rule of these actions needs or cannot have.
func (r *reader) shape(m mapping, ru *ruleSpec) {
	actions := ru.actions()
	onFields := actions.any(Action.OnFields)
	if onFields && actions.any(func(a Action) bool { return !a.OnFields() }) {
		r.add(ru.Actions[0].line, m.in("actions"), "rights on the vault as a whole and rights on fields stand in rules of their own")
		return
	}
	forbid := func(why string, keys ...string) {
		for _, key := range keys {
			if m.has(key) {
				r.add(m.values[key].Line, m.in(key), "%s", why)
			}
		}
	}
	if !onFields {
		forbid("a right on the vault as a whole has no fields, purposes, views or domains",
			"fields", "categories", "purposes", "views", "domains")
		return
	}
	if !m.has("fields") && !m.has("categories") {
		r.add(m.line, m.path, "missing: fields or categories that the rule is about")
	}
	present := func(keys ...string) {
		for _, key := range keys {
			if m.has(key) {
				m.filled(key, len(m.values[key].Content), "leave the key out or name something")
			}
		}
	}
	present("fields", "categories", "domains")
	if actions.has(ActionReveal) {
		m.filled("purposes", len(ru.Purposes), `a reveal is for purposes; "*" is every one`)
		m.filled("views", len(ru.Views), `a reveal is in views; "*" is every one`)
	} else {
		forbid("only a rule about reveal has purposes and views", "purposes", "views")
	}
	if !actions.any(Action.inDomain) {
		forbid("only read, tokenize, describe and reveal depend on the domain", "domains")
	}
}

// alone notes a "*" that has company: the other names would say nothing.
func (r *reader) alone(list []ref) {
	for _, one := range list {
		if one.name == every && len(list) > 1 {
			r.add(one.line, one.path, `"*" is everything; no other name beside it`)
		}
	}
}

func (r *reader) principals(top mapping) []principalSpec {
	var list []principalSpec
	top.each("principals", func(n *yaml.Node, path string) {
		m := r.mapping(n, path, "id", "description", "roles")
		p := principalSpec{place: place{n.Line, path}, Roles: m.refs("roles")}
		if id := m.need("id"); id != nil {
			if s, ok := r.scalar(id, m.in("id"), "!!str", "text"); ok {
				if err := CheckPrincipalID(s); err != nil {
					r.add(id.Line, m.in("id"), "%s", strings.TrimPrefix(err.Error(), ErrPrincipal.Error()+": "))
				} else {
					p.ID = s
				}
			}
		}
		if m.has("description") {
			p.Description = r.prose(m.values["description"], m.in("description"), maxProse)
		}
		m.filled("roles", len(p.Roles), "a principal has at least one role")
		list = append(list, p)
	})
	top.filled("principals", len(list), "without principals nobody could apply the next policy")
	r.atMost(top, "principals", len(list), MaxPrincipals)
	return list
}
