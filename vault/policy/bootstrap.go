package policy

import "fmt"

// Bootstrap returns the policy of a vault that has none yet, version 0: the
// one principal admin may apply and read policies, and nothing else is
// allowed to anybody. When admin is no principal id (see CheckPrincipalID)
// the policy knows nobody.
func Bootstrap(admin string) *Policy {
	f := &File{doc: document{Version: 1}}
	if CheckPrincipalID(admin) == nil {
		const role = "first_administrator"
		f.doc.Roles = []roleSpec{{Name: role, Rules: []ruleSpec{{
			Effect:  effectAllow,
			Actions: []ref{{name: ActionPolicyApply.String()}, {name: ActionPolicyRead.String()}},
		}}}}
		f.doc.Principals = []principalSpec{{ID: admin, Roles: []ref{{name: role}}}}
	}
	p, err := compile(f, nil, 0)
	if err != nil {
		// The document above declares nothing that could be unregistered.
		panic(fmt.Sprintf("policy: the bootstrap policy does not compile: %v", err))
	}
	return p
}
