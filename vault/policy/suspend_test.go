package policy_test

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// What is left of a policy without some roles is what the same document gives
// when those roles only deny.
func TestSuspend(outer *testing.T) {
	lost := 0
	rapid.Check(outer, func(t *rapid.T) {
		p := compile(outer, drawPolicy(t))
		roles := []string{"no_such_role"}
		for _, name := range []string{"root", "r0", "r1", "r2", "r3"} {
			if rapid.Bool().Draw(t, name) {
				roles = append(roles, name)
			}
		}
		less, err := p.Suspend(roles...)
		if err != nil {
			t.Fatal(err)
		}
		if less.Version() != p.Version() || !slices.Equal(less.Fields(), p.Fields()) || !slices.Equal(less.Purposes(), p.Purposes()) {
			t.Fatal("the schema changed with the roles")
		}
		for _, full := range p.Principals() {
			pr := less.Principal(full.ID)
			if pr == nil || pr == full || !slices.Equal(pr.Roles, full.Roles) {
				t.Fatalf("%s is not the same principal", full.ID)
			}
			for _, r := range everyRequest(p) {
				was, now := p.Explain(full.ID, r), less.Decide(pr, r)
				if slow := less.Explain(full.ID, r); slow.Decision != now {
					t.Fatalf("%s, %+v: %v by the tables, %v by the rules", full.ID, r, now.Reason, slow.Reason)
				}
				switch {
				case now.Allowed && !was.Allowed:
					t.Fatalf("%s, %+v: allowed only without a role", full.ID, r)
				case now.Allowed && slices.Contains(roles, less.Explain(full.ID, r).Role):
					t.Fatalf("%s, %+v: allowed by a suspended role", full.ID, r)
				case was.Allowed && !slices.Contains(roles, was.Role) && !now.Allowed:
					t.Fatalf("%s, %+v: lost, though %s allows it: %v", full.ID, r, was.Role, now.Reason)
				case was.Reason == policy.ReasonDenyRule && now.Allowed:
					t.Fatalf("%s, %+v: a deny rule went with its role", full.ID, r)
				case was.Allowed && !now.Allowed:
					lost++
				}
			}
		}
		again, err := less.Suspend()
		if err != nil {
			t.Fatal(err)
		}
		for _, pr := range less.Principals() {
			for _, r := range everyRequest(p) {
				if less.Decide(pr, r) != again.Decide(again.Principal(pr.ID), r) {
					t.Fatal("a suspended role came back")
				}
			}
		}
	})
	if lost == 0 {
		outer.Error("no right was ever lost: the policies drawn are too tame")
	}
}

func TestPrivileged(t *testing.T) {
	p := compile(t, read(t, decisions))
	for who, want := range map[string]bool{"admin": true, "reader": true, "former_admin": false, "shop": false, "billing": false, "nobody": false} {
		if got := p.Privileged(p.Principal("spiffe://example.org/" + who)); got != want {
			t.Errorf("%s: %t", who, got)
		}
	}
	if other := compile(t, read(t, decisions)); other.Privileged(p.Principal("spiffe://example.org/admin")) {
		t.Error("a principal of another policy is privileged")
	}
}
