package cloakroom_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

func TestWhatIsSentAgain(t *testing.T) {
	ctx := t.Context()
	type step struct {
		method string
		do     func(*cloakroom.Client) error
		again  bool
	}
	one := []string{fakeserver.Token("", "C1", "email", 0)}
	steps := []step{
		{"PutRecord", func(c *cloakroom.Client) error { _, err := c.Put(ctx, "customers", ada()); return err }, true},
		{"PutRecords", func(c *cloakroom.Client) error { _, err := c.PutMany(ctx, "customers", people(1)); return err }, true},
		{"GetRecord", func(c *cloakroom.Client) error { _, err := c.Get(ctx, "customers", "C1"); return err }, true},
		{"BatchGetRecords", func(c *cloakroom.Client) error { _, err := c.BatchGet(ctx, "customers", []string{"C1"}); return err }, true},
		{"ListRecords", func(c *cloakroom.Client) error {
			for _, err := range c.List(ctx, "customers") {
				return err
			}
			return nil
		}, true},
		{"UpdateRecord", func(c *cloakroom.Client) error { _, err := c.Update(ctx, "customers", ada()); return err }, true},
		{"Tokenize", func(c *cloakroom.Client) error {
			_, err := c.TokenizeOne(ctx, "customers", "email", "C1", cloakroom.Text("ada@example.org"))
			return err
		}, true},
		{"DescribeTokens", func(c *cloakroom.Client) error { _, err := c.Describe(ctx, one); return err }, true},
		{"Detokenize", func(c *cloakroom.Client) error { _, err := c.Detokenize(ctx, one, "order_updates"); return err }, true},
		{"ReadRecord", func(c *cloakroom.Client) error {
			_, err := c.ReadRecord(ctx, "customers", "C1", "order_updates")
			return err
		}, true},
		{"DeleteRecord", func(c *cloakroom.Client) error { _, err := c.Delete(ctx, "customers", "C1"); return err }, true},
		{"ApplyPolicy", func(c *cloakroom.Client) error { _, err := c.ApplyPolicy(ctx, []byte("a: 1")); return err }, false},
		{"GetPolicy", func(c *cloakroom.Client) error { _, err := c.GetPolicy(ctx, 0); return err }, true},
		{"WhoAmI", func(c *cloakroom.Client) error { _, err := c.WhoAmI(ctx); return err }, true},
		{"Check", func(c *cloakroom.Client) error { return c.Health(ctx) }, true},
	}
	for _, fault := range []struct {
		name  string
		err   error
		again bool
	}{
		{"unavailable", fakeserver.Unavailable(), true},
		{"busy with a delay", fakeserver.Busy(time.Second), true},
		{"busy without a delay", fakeserver.Busy(-1), false},
		{"internal", status.Error(codes.Internal, "x"), false},
		{"aborted", status.Error(codes.Aborted, "x"), false},
		{"denied", status.Error(codes.PermissionDenied, "x"), false},
	} {
		t.Run(fault.name, func(t *testing.T) {
			s := fakeserver.Start(t)
			client := dial(t, s)
			for _, step := range steps {
				s.Fail(step.method, fault.err, fault.err)
				err := step.do(client)
				want := 1
				if step.again && fault.again {
					want = 3
				} else {
					_ = step.do(client) // takes the second fault
					want++
				}
				if got := s.Calls(step.method); got != want {
					t.Errorf("%s: %d calls, want %d", step.method, got, want)
				}
				if (err == nil) != (step.again && fault.again) {
					t.Errorf("%s: %v", step.method, err)
				}
				if !(step.again && fault.again) {
					_ = step.do(client) // what the next steps build on
				}
			}
		})
	}
}

func TestWriteSentAgainIsDoneOnce(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	s.LoseAnswer("PutRecord", fakeserver.Unavailable())
	put, err := client.Put(ctx, "customers", ada())
	if err != nil || !put.Created {
		t.Fatalf("a Put whose answer was lost: created %v, %v", put.Created, err)
	}
	got := s.Received("PutRecord")
	first, second := got[0].(*cloakroomv1.PutRecordRequest), got[1].(*cloakroomv1.PutRecordRequest)
	if first.GetRequestId() == "" || first.GetRequestId() != second.GetRequestId() {
		t.Errorf("request ids %q and %q", first.GetRequestId(), second.GetRequestId())
	}
	s.LoseAnswer("DeleteRecord", fakeserver.Unavailable())
	if n, err := client.Delete(ctx, "customers", "C1"); err != nil || n != 4 {
		t.Errorf("a Delete whose answer was lost: %d, %v", n, err)
	}
	if _, err := client.Put(ctx, "customers", ada()); err != nil {
		t.Fatal(err)
	}
	if last := s.Received("PutRecord")[2].(*cloakroomv1.PutRecordRequest); last.GetRequestId() == first.GetRequestId() {
		t.Error("two calls share a request id")
	}
}

func TestOwnRequestID(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	for range 2 {
		if _, err := client.PutMany(ctx, "customers", people(2001), cloakroom.RequestID("job-7")); err != nil {
			t.Fatal(err)
		}
	}
	var ids []string
	for _, m := range s.Received("PutRecords") {
		ids = append(ids, m.(*cloakroomv1.PutRecordsRequest).GetRequestId())
	}
	want := []string{"job-7", "job-7/1000", "job-7/2000", "job-7", "job-7/1000", "job-7/2000"}
	for i := range want {
		if ids[i] != want[i] {
			t.Errorf("call %d has id %q, want %q", i, ids[i], want[i])
		}
	}
	if _, err := client.Put(ctx, "customers", ada(), cloakroom.RequestID("one")); err != nil {
		t.Fatal(err)
	}
	other := ada()
	other.SubjectID = "C2"
	if _, err := client.Put(ctx, "customers", other, cloakroom.RequestID("one")); !errors.Is(err, cloakroom.ErrRequestIDReused) {
		t.Errorf("another request under the same id: %v", err)
	}
}

func TestDelays(t *testing.T) {
	s := fakeserver.Start(t)
	var waits []time.Duration
	client := dial(t, s, cloakroom.WithRetry(9, 100*time.Millisecond), cloakroom.WithTimeout(time.Hour),
		cloakroom.WithWait(func(_ context.Context, d time.Duration) error { waits = append(waits, d); return nil }))
	for range 9 {
		s.Fail("WhoAmI", fakeserver.Unavailable())
	}
	if _, err := client.WhoAmI(t.Context()); !errors.Is(err, cloakroom.ErrUnavailable) {
		t.Fatal(err)
	}
	if s.Calls("WhoAmI") != 9 || len(waits) != 8 {
		t.Fatalf("%d calls and %d waits, want 9 and 8", s.Calls("WhoAmI"), len(waits))
	}
	for i, most := range []time.Duration{100, 200, 400, 800, 1600, 3200, 5000, 5000} {
		most *= time.Millisecond
		if waits[i] < most/2 || waits[i] > most {
			t.Errorf("wait %d is %v, want %v to %v", i, waits[i], most/2, most)
		}
	}
	waits = nil
	s.Fail("WhoAmI", fakeserver.Busy(7*time.Second))
	if _, err := client.WhoAmI(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(waits) != 1 || waits[0] < 7*time.Second || waits[0] > 9*time.Second {
		t.Errorf("waits %v, want the 7 s asked for and at most a quarter more", waits)
	}
}

func TestNoWaitPastTheDeadline(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s, cloakroom.WithWait(func(context.Context, time.Duration) error {
		t.Error("it waits")
		return nil
	}))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s.Fail("WhoAmI", fakeserver.Busy(2*time.Minute))
	if _, err := client.WhoAmI(ctx); !errors.Is(err, cloakroom.ErrResourceExhausted) {
		t.Errorf("error %v, want the vault's own", err)
	}
}

func TestDeadlines(t *testing.T) {
	s := fakeserver.Start(t)
	t.Run("default", func(t *testing.T) {
		client := dial(t, s, cloakroom.WithTimeout(50*time.Millisecond))
		s.Hang("WhoAmI")
		if _, err := client.WhoAmI(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
	})
	t.Run("canceled", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		client := dial(t, s, cloakroom.WithTimeout(0), cloakroom.WithWait(func(ctx context.Context, _ time.Duration) error {
			cancel()
			return ctx.Err()
		}))
		s.Fail("WhoAmI", fakeserver.Unavailable())
		if _, err := client.WhoAmI(ctx); !errors.Is(err, cloakroom.ErrUnavailable) {
			t.Errorf("error %v, want why the call failed", err)
		}
		if _, err := client.WhoAmI(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("error %v, want canceled", err)
		}
	})
}
