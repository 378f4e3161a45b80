package cloakroomtest_test

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	shop    = "spiffe://cloakroom.example/shop"
	courier = "spiffe://cloakroom.example/courier"
)

// TestVaultsAreApart: each test has its own, with an authority of its own.
func TestVaultsAreApart(t *testing.T) {
	first, second := cloakroomtest.New(t, []byte(shopPolicy)), cloakroomtest.New(t, []byte(shopPolicy))
	token, err := Register(t.Context(), first.Client(shop), "4711", "ada@example.org")
	if err != nil {
		t.Fatal(err)
	}
	if err := Notify(t.Context(), second.Client(courier), token, func(string) {}); err == nil {
		t.Error("a token of one vault opens in another")
	}
	c, err := cloakroom.Dial(second.Address, first.TLS(shop), cloakroom.WithRetry(1, time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := c.WhoAmI(t.Context()); err == nil {
		t.Error("a certificate of one vault is good for another")
	}
}

// TestCertificates: each principal has one, made once.
func TestCertificates(t *testing.T) {
	vault := cloakroomtest.New(t, nil)
	ca, cert, key := vault.Files(shop)
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil {
		t.Error(err)
	}
	ca2, cert2, _ := vault.Files(shop)
	if ca2 != ca || cert2 != cert {
		t.Error("a second certificate for the same principal")
	}
	if _, other, _ := vault.Files(courier); other == cert {
		t.Error("one certificate for two principals")
	}
	who, err := vault.Client(shop).WhoAmI(t.Context())
	if err != nil || who.Principal != shop || who.Known || who.PolicyVersion != 0 {
		t.Errorf("a vault without a policy takes the shop for %+v, %v", who, err)
	}
}

// failing is a test that notes how it failed.
type failing struct {
	testing.TB
	ctx      context.Context
	fatal    string
	cleanups []func()
}

func (f *failing) Helper()                   {}
func (f *failing) Context() context.Context  { return f.ctx }
func (f *failing) Cleanup(fn func())         { f.cleanups = append(f.cleanups, fn) }
func (f *failing) Fatalf(s string, _ ...any) { f.fatal = s; panic(f) }

// TestABadPolicy fails the user's test at once, and ends what was started.
func TestABadPolicy(t *testing.T) {
	f := &failing{TB: t, ctx: t.Context()}
	func() {
		defer func() {
			if r := recover(); r != nil && r != any(f) {
				panic(r)
			}
			for i := len(f.cleanups) - 1; i >= 0; i-- {
				f.cleanups[i]()
			}
		}()
		cloakroomtest.New(f, []byte("version: 2\n"))
	}()
	if !strings.Contains(f.fatal, "apply the policy") {
		t.Errorf("the test failed with %q", f.fatal)
	}
}
