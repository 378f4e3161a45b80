package cloakroom_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
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

func TestRevealStream(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	tokens, emails := stored(t, client, 3)
	stream, err := client.DetokenizeStream(t.Context(), "order_updates")
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	for i, batch := range [][]string{tokens, nil, tokens[1:]} {
		if sequence, err := stream.Send(batch); err != nil || sequence != uint64(i) {
			t.Fatalf("message %d: sequence %d, %v", i, sequence, err)
		}
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	for i, want := range []int{3, 0, 2} {
		reply, err := stream.Recv()
		if err != nil || reply.Sequence != uint64(i) || len(reply.Results) != want {
			t.Fatalf("answer %d: %+v, %v", i, reply, err)
		}
		if (reply.Err != nil) != (want == 0) {
			t.Errorf("answer %d: %v", i, reply.Err)
		}
		if want == 2 && reply.Results[0].Value.ExposeText() != emails[1] {
			t.Error("answers are mixed up")
		}
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("after the last answer: %v", err)
	}
}

func TestDetokenizeAll(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	tokens, emails := stored(t, client, 2350)
	for _, n := range []int{0, 1, 99, 100, 101, 800, 801, 2350} {
		i := 0
		for r, err := range client.DetokenizeAll(ctx, slices.Values(tokens[:n]), "order_updates") {
			if err != nil || r.Err != nil || r.Value.ExposeText() != emails[i] {
				t.Fatalf("%d tokens, result %d: %+v, %v", n, i, r, err)
			}
			i++
		}
		if i != n {
			t.Errorf("%d results for %d tokens", i, n)
		}
	}
}

func TestDetokenizeAllReadsBoundedlyAhead(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	tokens, _ := stored(t, client, 1)
	taken, given := 0, 0
	endless := func(yield func(string) bool) {
		for yield(tokens[0]) {
			taken++
		}
	}
	for range client.DetokenizeAll(t.Context(), endless, "order_updates") {
		given++
		if taken-given > 900 {
			t.Fatalf("%d tokens taken and %d results given", taken, given)
		}
		if given == 3000 {
			break // must leave nothing behind: goleak looks
		}
	}
}

func TestDetokenizeAllFailures(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	tokens, _ := stored(t, client, 250)

	t.Run("a refused message", func(t *testing.T) {
		list := slices.Clone(tokens)
		list[150] = fakeserver.RefuseMessage
		var bad, good int
		for r, err := range client.DetokenizeAll(ctx, slices.Values(list), "order_updates") {
			switch {
			case err != nil:
				t.Fatal(err)
			case r.Err != nil:
				bad++
			default:
				good++
			}
		}
		if bad != 100 || good != 150 {
			t.Errorf("%d refused and %d revealed, want 100 and 150", bad, good)
		}
	})
	t.Run("a broken stream", func(t *testing.T) {
		s.Fail("DetokenizeStream", fakeserver.Unavailable())
		var errs []error
		for _, err := range client.DetokenizeAll(ctx, slices.Values(tokens), "order_updates") {
			errs = append(errs, err)
		}
		if len(errs) != 1 || !errors.Is(errs[0], cloakroom.ErrUnavailable) {
			t.Errorf("%v, want one error", errs)
		}
	})
	t.Run("a huge token", func(t *testing.T) {
		list := slices.Clone(tokens)
		list[10] = string(bytes.Repeat([]byte("x"), 200_000))
		n := 0
		for r, err := range client.DetokenizeAll(ctx, slices.Values(list), "order_updates") {
			if err != nil || (r.Err != nil) != (n == 10) {
				t.Fatalf("result %d: %v, %v", n, r.Err, err)
			}
			n++
		}
		if n != 250 {
			t.Errorf("%d results", n)
		}
	})
}

// A stream that was left must end at the server while the client lives on.
func TestNoStreamStaysOpen(t *testing.T) {
	for name, leave := range map[string]func(*fakeserver.Server, *cloakroom.Client){
		"DetokenizeAll left early": func(_ *fakeserver.Server, client *cloakroom.Client) {
			tokens, _ := stored(t, client, 300)
			for range client.DetokenizeAll(t.Context(), slices.Values(slices.Repeat(tokens, 9)), "order_updates") {
				break
			}
		},
		"RevealStream closed": func(s *fakeserver.Server, client *cloakroom.Client) {
			stream, err := client.DetokenizeStream(t.Context(), "order_updates")
			if err != nil {
				t.Fatal(err)
			}
			s.WaitForCall("DetokenizeStream")
			stream.Close()
		},
		"Import whose record is refused": func(s *fakeserver.Server, client *cloakroom.Client) {
			records := func(yield func(cloakroom.RecordInput) bool) {
				s.WaitForCall("ImportRecords")
				yield(cloakroom.RecordInput{SubjectID: "\xff"})
			}
			if _, err := client.Import(t.Context(), "customers", records); err == nil {
				t.Error("the bad record is taken")
			}
		},
		"Importer canceled": func(s *fakeserver.Server, client *cloakroom.Client) {
			w, err := client.OpenImport(t.Context(), "customers")
			if err != nil {
				t.Fatal(err)
			}
			s.WaitForCall("ImportRecords")
			w.Cancel()
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := fakeserver.Start(t)
			leave(s, dial(t, s))
			s.WaitForStreams()
		})
	}
}
