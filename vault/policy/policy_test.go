package policy_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault/policy"
)

// compile makes a policy of a document that must be right.
func compile(tb testing.TB, doc []byte) *policy.Policy {
	tb.Helper()
	f := parse(tb, doc)
	reg, err := f.Register(nil)
	if err != nil {
		tb.Fatalf("register: %v", err)
	}
	p, err := policy.Compile(f, reg, 1)
	if err != nil {
		tb.Fatalf("compile: %v", err)
	}
	return p
}

func parse(tb testing.TB, doc []byte) *policy.File {
	tb.Helper()
	f, err := policy.Parse(doc)
	if err != nil {
		tb.Fatalf("parse: %v", err)
	}
	return f
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	doc, err := os.ReadFile(name)
	if err != nil {
		tb.Fatal(err)
	}
	return doc
}

const (
	decisions = "testdata/policy.yaml"
	demo      = "../../server/demo/data/policy.yaml"
)

func TestAccessors(t *testing.T) {
	p := compile(t, read(t, decisions))
	if p.Version() != 1 {
		t.Errorf("version %d, want 1", p.Version())
	}
	email := p.FieldByName("customers", "email")
	switch {
	case email == nil:
		t.Fatal("customers.email is not found")
	case p.Field(email.ID) != email || p.Collection("customers").Field("email") != email:
		t.Error("the ways to find a field differ")
	case email.Collection != p.Collection("customers") || email.Collection != p.CollectionByID(email.Collection.ID):
		t.Error("the field is in another collection")
	case email.Type.Name() != "email" || email.Category != "user.contact.email":
		t.Errorf("type %q, category %q", email.Type.Name(), email.Category)
	case email.Multi != 5 || email.Retention != 730*24*time.Hour:
		t.Errorf("multi %d, retention %v", email.Multi, email.Retention)
	case len(email.Purposes) != 2 || email.Purposes[1] != p.Purpose("newsletter"):
		t.Error("the purposes are not those of the document, in its order")
	case !email.Declares(p.Purpose("support")) || email.Declares(p.Purpose("payment")) || email.Declares(nil):
		t.Error("Declares is wrong")
	case email == p.FieldByName("staff", "email"):
		t.Error("fields of one name in two collections are one")
	}
	if phone := p.FieldByName("customers", "phone"); phone.Multi != 1 || phone.Retention != 0 {
		t.Errorf("without settings: multi %d, retention %v", phone.Multi, phone.Retention)
	}
	news := p.Purpose("newsletter")
	if news.Basis != policy.BasisConsent || news.Channel != policy.ChannelEmail || news.Text["es"] != "Para enviar noticias." {
		t.Errorf("the purpose reads %+v", news)
	}
	if p.PurposeByID(news.ID) != news || p.Purpose("payment").Channel != policy.ChannelNone {
		t.Error("purposes are wrong")
	}
	if d := p.Domain(policy.DefaultDomainName); d == nil || d.ID != policy.DefaultDomain || p.DomainByID(d.ID) != d {
		t.Error("the default domain is not number 1")
	}
	for name, nothing := range map[string]bool{
		"field 0":        p.Field(0) == nil,
		"field 7":        p.Field(7) == nil,
		"field of none":  p.FieldByName("orders", "email") == nil && p.FieldByName("customers", "salary") == nil,
		"collection":     p.Collection("orders") == nil && p.CollectionByID(0) == nil && p.CollectionByID(3) == nil,
		"purpose":        p.Purpose("") == nil && p.PurposeByID(0) == nil && p.PurposeByID(5) == nil,
		"domain":         p.Domain("x") == nil && p.DomainByID(0) == nil && p.DomainByID(4) == nil,
		"principal":      p.Principal("") == nil && p.Principal("spiffe://example.org/nobody") == nil,
		"all in the doc": len(p.Fields()) == 6 && len(p.Collections()) == 2 && len(p.Purposes()) == 4 && len(p.Domains()) == 3 && len(p.Principals()) == 10,
	} {
		if !nothing {
			t.Errorf("%s: found what is not there, or missed what is", name)
		}
	}
	if pr := p.Principal("dns:auditor.example.org"); strings.Join(pr.Roles, " ") != "hands_off_staff describer auditor" {
		t.Errorf("roles %v", pr.Roles)
	}
}

func TestDefaultDomainMayBeListed(t *testing.T) {
	doc := strings.Replace(string(read(t, decisions)), "domains:\n", "domains:\n  - name: default\n", 1)
	p := compile(t, []byte(doc))
	if len(p.Domains()) != 3 || p.Domains()[0].ID != policy.DefaultDomain {
		t.Errorf("%d domains", len(p.Domains()))
	}
}

func TestBootstrap(t *testing.T) {
	const admin = "spiffe://example.org/first"
	p := policy.Bootstrap(admin)
	pr := p.Principal(admin)
	if p.Version() != 0 || pr == nil || len(p.Principals()) != 1 {
		t.Fatalf("version %d, %d principals", p.Version(), len(p.Principals()))
	}
	for a := policy.Action(0); a < 32; a++ {
		want := a == policy.ActionPolicyApply || a == policy.ActionPolicyRead
		if got := p.Decide(pr, policy.Request{Action: a, Field: 1, Purpose: 1, View: 1, Domain: 1}); got.Allowed != want {
			t.Errorf("%v: %v", a, got.Reason)
		}
		if p.Can(pr, a) != want {
			t.Errorf("can %v: %v", a, !want)
		}
		if got := p.Decide(p.Principal("spiffe://example.org/other"), policy.Request{Action: a}); got.Reason != policy.ReasonPrincipalUnknown {
			t.Errorf("%v by another: %v", a, got.Reason)
		}
	}
	if p.Domain(policy.DefaultDomainName) == nil {
		t.Error("no default domain")
	}
	for _, id := range []string{"", "admin", "spiffe://example.org", "spiffe://example.org/a b"} {
		if p := policy.Bootstrap(id); len(p.Principals()) != 0 || p.Principal(id) != nil {
			t.Errorf("%q became an administrator", id)
		}
	}
}

func TestPrincipalID(t *testing.T) {
	long := "spiffe://example.org/" + strings.Repeat("a", 256-21)
	label := strings.Repeat("a", 63)
	for id, ok := range map[string]bool{
		"spiffe://example.org/billing":                  true,
		"spiffe://example.org/ns/prod/sa/Billing-1_a.b": true,
		long:                      true,
		long + "a":                false,
		"dns:billing.example.org": true,
		"dns:localhost":           true,
		"dns:" + label + ".org":   true,
		"dns:" + label + "a.org":  false,
		"dns:" + strings.Repeat("a.", 125) + "aa":     true,
		"dns:" + strings.Repeat("a.", 126) + "a":      false, // a name of 253 bytes is legal, and one too many with "dns:"
		"":                                            false,
		"billing":                                     false,
		"spiffe://example.org":                        false,
		"spiffe://example.org/":                       false,
		"spiffe://Example.org/a":                      false,
		"spiffe:///a":                                 false,
		"spiffe://example.org/a/":                     false,
		"spiffe://example.org/a//b":                   false,
		"spiffe://example.org/a/../b":                 false,
		"spiffe://example.org/.":                      false,
		"spiffe://example.org/a?b":                    false,
		"spiffe://example.org/a\n":                    false,
		"SPIFFE://example.org/a":                      false,
		"https://example.org/a":                       false,
		"dns:":                                        false,
		"dns:Billing.example.org":                     false,
		"dns:-a.org":                                  false,
		"dns:a-.org":                                  false,
		"dns:a..org":                                  false,
		"dns:*.example.org":                           false,
		"oidc:https://issuer.example.org#someone":     false,
		"spiffe://" + strings.Repeat("a", 245) + "/x": true,
		"spiffe://" + strings.Repeat("a", 246) + "/x": false,
		"spiffe://user@example.org/x":                 false,
		"spiffe://example.org:443/x":                  false,
		"spiffe://example.org/%41":                    false,
		"spiffe://example.org/\u0430dmin":             false,
	} {
		err := policy.CheckPrincipalID(id)
		if (err == nil) != ok || err != nil && !errors.Is(err, policy.ErrPrincipal) {
			t.Errorf("%.60q: %v", id, err)
		}
		if err != nil && len(id) > 8 && strings.Contains(err.Error(), id) {
			t.Errorf("the error repeats the id: %v", err)
		}
	}
}
