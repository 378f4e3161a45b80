package cloakroom_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// stored puts n people and returns the tokens of their e-mails and the e-mails.
func stored(t testing.TB, client *cloakroom.Client, n int) (tokens, emails []string) {
	t.Helper()
	items := make([]cloakroom.TokenizeItem, n)
	for i := range items {
		emails = append(emails, fmt.Sprintf("p%d@example.org", i))
		items[i] = cloakroom.TokenizeItem{SubjectID: fmt.Sprintf("P%d", i), Value: cloakroom.Text(emails[i])}
	}
	results, err := client.Tokenize(t.Context(), "customers", "email", items)
	if err != nil || len(results) != n {
		t.Fatalf("Tokenize: %d results, %v", len(results), err)
	}
	for _, r := range results {
		if r.Err != nil || !r.Stored {
			t.Fatalf("Tokenize: %+v", r)
		}
		tokens = append(tokens, r.Token)
	}
	return tokens, emails
}

func TestTokenize(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	tokens, emails := stored(t, client, 1001)
	if s.Calls("Tokenize") != 2 {
		t.Errorf("%d calls for 1,001 items", s.Calls("Tokenize"))
	}
	again, err := client.TokenizeOne(ctx, "customers", "email", "P3", cloakroom.Text(emails[3]))
	if err != nil || again != tokens[3] {
		t.Errorf("the same value gave another token, %v", err)
	}
	if _, err = client.TokenizeOne(ctx, "customers", "email", "P3", cloakroom.Text("other@example.org")); !errors.Is(err, cloakroom.ErrValueExists) {
		t.Errorf("another value: %v", err)
	}
	if _, err = client.TokenizeOne(ctx, "customers", "email", "P9999", cloakroom.Text("call me")); !errors.Is(err, cloakroom.ErrInvalidValue) {
		t.Errorf("a wrong value: %v", err)
	}
	if _, err = client.TokenizeOne(ctx, "customers", "hat_size", "P3", cloakroom.Text("58")); !errors.Is(err, cloakroom.ErrUnknownField) {
		t.Errorf("an unknown field: %v", err)
	}
}

func TestDescribe(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	tokens, _ := stored(t, client, 1500)
	tokens[700] = "tok_oops"
	got, err := client.Describe(t.Context(), tokens)
	if err != nil || len(got) != 1500 || s.Calls("DescribeTokens") != 2 {
		t.Fatalf("%d results, %v", len(got), err)
	}
	if !errors.Is(got[700].Err, cloakroom.ErrMalformedToken) {
		t.Errorf("a mistyped token: %+v", got[700])
	}
	if d := got[1499]; d.Err != nil || d.Field != "email" || d.Domain != "default" || !d.Latest || len(d.Purposes) != 2 {
		t.Errorf("a token: %+v", d)
	}
}

func TestDetokenize(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	tokens, emails := stored(t, client, 2500)
	tokens[1200] = fakeserver.Token("", "nobody", "email", 0)
	results, err := client.Detokenize(ctx, tokens, "order_updates", cloakroom.Reason("T-1"))
	if err != nil || len(results) != 2500 || s.Calls("Detokenize") != 3 {
		t.Fatalf("%d results by %d calls, %v", len(results), s.Calls("Detokenize"), err)
	}
	for i, r := range results {
		if i == 1200 {
			if !errors.Is(r.Err, cloakroom.ErrTokenNotFound) || !r.Value.IsZero() {
				t.Errorf("an unknown token: %+v", r)
			}
		} else if r.Err != nil || r.Value.ExposeText() != emails[i] || r.View != cloakroom.ViewPlain {
			t.Fatalf("token %d: %+v", i, r)
		}
	}
	if q := s.Received("Detokenize")[0].(*cloakroomv1.DetokenizeRequest); q.GetReason() != "T-1" || q.GetView() != cloakroomv1.View_VIEW_UNSPECIFIED {
		t.Errorf("reason %q, view %v", q.GetReason(), q.GetView())
	}
	one, err := client.DetokenizeOne(ctx, tokens[0], "support")
	if err != nil || one.View != cloakroom.ViewMasked || one.Value.ExposeText() != "***" {
		t.Errorf("the widest view held: %+v, %v", one, err)
	}
	for name, tc := range map[string]struct {
		purpose string
		view    cloakroom.View
		want    error
	}{
		"view not held":  {"support", cloakroom.ViewPlain, cloakroom.ErrPermissionDenied},
		"no consent":     {"marketing", "", cloakroom.ErrConsentRequired},
		"no purpose":     {"", "", cloakroom.ErrPurposeRequired},
		"bad purpose":    {"curiosity", "", cloakroom.ErrUnknownPurpose},
		"view not known": {"support", "naked", cloakroom.ErrInvalidArgument},
	} {
		if _, err := client.DetokenizeOne(ctx, tokens[0], tc.purpose, cloakroom.AsView(tc.view)); !errors.Is(err, tc.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestReadRecord(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	got, err := client.ReadRecord(ctx, "customers", "C1", "order_updates")
	if err != nil || got.ETag != "e1" || got.UpdateTime.IsZero() || len(got.Fields) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if phone := got.Fields[1]; phone.Field != "phone" || len(phone.Items) != 2 || phone.Items[1].Value.ExposeText() != "+4930222" {
		t.Errorf("phone: %+v", phone)
	}
	if photo := got.Fields[2].Items[0].Value; !photo.IsBytes() || !bytes.Equal(photo.ExposeBytes(), []byte{0, 1, 0xff}) {
		t.Error("photo: other bytes")
	}
	got, err = client.ReadRecord(ctx, "customers", "C1", "support", cloakroom.OnlyFields("iban", "hat_size", "email"), cloakroom.AsView(cloakroom.ViewMasked))
	if err != nil || len(got.Fields) != 3 {
		t.Fatalf("%+v, %v", got, err)
	}
	if len(got.Fields[0].Items) != 0 || !errors.Is(got.Fields[1].Err, cloakroom.ErrUnknownField) || got.Fields[2].Items[0].Value.ExposeText() != "***" {
		t.Errorf("named fields: %+v", got.Fields)
	}
}
