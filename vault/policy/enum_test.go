package policy_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// Numbers are stored and sent, so the whole list is written here again: a
// change of order fails.
func TestEnums(t *testing.T) {
	for _, enum := range []struct {
		kind  string
		names string // in the order of the numbers, from 1
		show  func(uint8) string
		parse func(string) (uint8, bool)
	}{
		{
			"action", "write delete read tokenize describe reveal policy.apply policy.read audit.read incident.read incident.freeze incident.thaw incident.honey incident.exposure keys.read keys.rotate keys.disable keys.destroy keys.approve",
			func(n uint8) string { return policy.Action(n).String() },
			func(s string) (uint8, bool) { a, ok := policy.ParseAction(s); return uint8(a), ok },
		},
		{
			"view", "plain masked generalised token exists",
			func(n uint8) string { return policy.View(n).String() },
			func(s string) (uint8, bool) { v, ok := policy.ParseView(s); return uint8(v), ok },
		},
		{
			"basis", "consent contract legal_obligation vital_interest public_task legitimate_interest",
			func(n uint8) string { return policy.Basis(n).String() },
			func(s string) (uint8, bool) { b, ok := policy.ParseBasis(s); return uint8(b), ok },
		},
		{
			"channel", "email sms phone post push",
			func(n uint8) string { return policy.Channel(n).String() },
			func(s string) (uint8, bool) { c, ok := policy.ParseChannel(s); return uint8(c), ok },
		},
		{
			"reason", "OK PRINCIPAL_UNKNOWN ACTION_DENIED FIELD_DENIED PURPOSE_REQUIRED PURPOSE_UNKNOWN " +
				"PURPOSE_NOT_DECLARED PURPOSE_DENIED VIEW_DENIED DOMAIN_DENIED DENY_RULE",
			func(n uint8) string { return policy.Reason(n).String() },
			func(s string) (uint8, bool) { r, ok := policy.ParseReason(s); return uint8(r), ok },
		},
	} {
		t.Run(enum.kind, func(t *testing.T) {
			names := strings.Fields(enum.names)
			for i, name := range names {
				if got := enum.show(uint8(i + 1)); got != name {
					t.Errorf("%d shows as %q, want %q", i+1, got, name)
				}
				if got, ok := enum.parse(name); !ok || int(got) != i+1 {
					t.Errorf("%q reads as %d, %v", name, got, ok)
				}
			}
			for _, n := range []uint8{uint8(len(names) + 1), 255} {
				if got, want := enum.show(n), fmt.Sprintf("%s(%d)", enum.kind, n); got != want {
					t.Errorf("%d shows as %q, want %q", n, got, want)
				}
			}
			for _, bad := range []string{"", "none", "PLAIN", " write", "ok", enum.show(0)} {
				if got, ok := enum.parse(bad); ok || got != 0 {
					t.Errorf("%q reads as %d", bad, got)
				}
			}
		})
	}
}

func TestViewSet(t *testing.T) {
	order := []policy.View{policy.ViewPlain, policy.ViewGeneralised, policy.ViewMasked, policy.ViewToken, policy.ViewExists}
	for i, v := range order {
		set := policy.ViewsOf(order[i:]...)
		if set.Widest() != v {
			t.Errorf("widest of %v is %v", order[i:], set.Widest())
		}
		for j, w := range order {
			if set.Has(w) != (j >= i) {
				t.Errorf("views of %v: %v is wrong", order[i:], w)
			}
		}
	}
	if s := policy.ViewsOf(0, 6, 200); s != 0 || s.Widest() != 0 || s.Has(0) {
		t.Errorf("numbers that are no view make the set %d", s)
	}
}
