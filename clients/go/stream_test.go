package cloakroom_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

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
