package cloakroom_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

func TestErrorOfACall(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	for _, tc := range []struct {
		name string
		sent error
		want cloakroom.Error
		text string
	}{
		{
			"reason, field and rule", fakeserver.Refusal(codes.InvalidArgument, "INVALID_VALUE", "not a card number", "card", "luhn"),
			cloakroom.Error{Code: codes.InvalidArgument, Reason: "INVALID_VALUE", Message: "not a card number", Field: "card", Rule: "luhn"},
			"not a card number (INVALID_VALUE)",
		},
		{
			"a reason this client does not know", fakeserver.Refusal(codes.NotFound, "BRAND_NEW", "no", "", ""),
			cloakroom.Error{Code: codes.NotFound, Reason: "BRAND_NEW", Message: "no"}, "no (BRAND_NEW)",
		},
		{
			"no details", status.Error(codes.PermissionDenied, "a proxy says no"),
			cloakroom.Error{Code: codes.PermissionDenied, Message: "a proxy says no"}, "a proxy says no (PermissionDenied)",
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s.Fail("WhoAmI", tc.sent)
			_, err := client.WhoAmI(t.Context())
			if diff := cmp.Diff(tc.want, *asError(t, err)); diff != "" {
				t.Error(diff)
			}
			if err.Error() != tc.text {
				t.Errorf("text %q", err)
			}
		})
	}
}

func TestErrorsAreTheirKinds(t *testing.T) {
	e := fmt.Errorf("ship the parcel: %w", &cloakroom.Error{Code: codes.FailedPrecondition, Reason: "CONSENT_REQUIRED"})
	for _, is := range []error{cloakroom.ErrConsentRequired, cloakroom.ErrFailedPrecondition} {
		if !errors.Is(e, is) {
			t.Errorf("is not %v", is)
		}
	}
	for _, not := range []error{cloakroom.ErrKeyDestroyed, cloakroom.ErrNotFound, cloakroom.ErrUnavailable, context.Canceled, errors.New("consent required")} {
		if errors.Is(e, not) {
			t.Errorf("is %v", not)
		}
	}
}

func TestPolicy(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if p, err := client.GetPolicy(ctx, 0); err != nil || p.Version != 0 || !p.ApplyTime.IsZero() {
		t.Errorf("no policy yet: %+v, %v", p, err)
	}
	if a, err := client.ApplyPolicy(ctx, []byte("a: 1"), cloakroom.ValidateOnly()); err != nil || a.Version != 1 || a.Changed {
		t.Errorf("ValidateOnly: %+v, %v", a, err)
	}
	if a, err := client.ApplyPolicy(ctx, []byte("a: 1"), cloakroom.ExpectVersion(0)); err != nil || a.Version != 1 || !a.Changed {
		t.Errorf("the first: %+v, %v", a, err)
	}
	if _, err := client.ApplyPolicy(ctx, []byte("a: 2"), cloakroom.ExpectVersion(0)); !errors.Is(err, cloakroom.ErrPolicyVersionMismatch) {
		t.Errorf("a stale version: %v", err)
	}
	_, err := client.ApplyPolicy(ctx, []byte("mistake"))
	want := []cloakroom.Violation{
		{Path: "collections.customers.email.type", Description: "unknown type"},
		{Path: "purposes.support", Description: "no text in the default language"},
	}
	if diff := cmp.Diff(want, asError(t, err).Violations); diff != "" || !errors.Is(err, cloakroom.ErrPolicyInvalid) {
		t.Errorf("mistakes: %v %s", err, diff)
	}
	if p, err := client.GetPolicy(ctx, 1); err != nil || string(p.Document) != "a: 1" || p.AppliedBy != "tester" || p.ApplyTime.IsZero() {
		t.Errorf("version 1: %+v, %v", p, err)
	}
	if _, err := client.GetPolicy(ctx, 9); !errors.Is(err, cloakroom.ErrNotFound) {
		t.Errorf("version 9: %v", err)
	}
	me, err := client.WhoAmI(ctx)
	if diff := cmp.Diff(cloakroom.Identity{Principal: "tester", Known: true, Roles: []string{"orders", "support"}, PolicyVersion: 1}, me); diff != "" || err != nil {
		t.Errorf("WhoAmI: %v %s", err, diff)
	}
}

func TestHealth(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	if err := client.Health(t.Context()); err != nil {
		t.Error(err)
	}
	s.Health.SetServingStatus("", grpc_health_v1.HealthCheckResponse_NOT_SERVING)
	if err := client.Health(t.Context()); !errors.Is(err, cloakroom.ErrUnavailable) {
		t.Errorf("not serving: %v", err)
	}
}
