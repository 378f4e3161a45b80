package server_test

import (
	"fmt"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
)

func TestRequestIDs(t *testing.T) {
	r := newRig(t)
	records := cloakroomv1.NewRecordServiceClient(r.as(t, shop))
	for _, c := range []struct {
		name  string
		given []string
		kept  bool
	}{
		{"a code", []string{"Order-17_b.2"}, true},
		{"64 bytes", []string{strings.Repeat("x", 64)}, true},
		{"none", nil, false},
		{"empty", []string{""}, false},
		{"65 bytes", []string{strings.Repeat("x", 65)}, false},
		{"an e-mail address", []string{"ada@example.org"}, false},
		{"free text", []string{"for Ada"}, false},
		{"two", []string{"a", "b"}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := records.GetRecord(withRequestID(t, c.given...), cloakroomv1.GetRecordRequest_builder{
				Collection: "customers", SubjectId: "nobody",
			}.Build())
			if reasonOf(err) != "RECORD_NOT_FOUND" {
				t.Fatal(err)
			}
			got := lastEntry(t, r).Request
			switch {
			case c.kept && got != c.given[0]:
				t.Errorf("the log has %q, want %q", got, c.given[0])
			case !c.kept && (got == "" || len(c.given) > 0 && c.given[0] != "" && strings.Contains(got, c.given[0])):
				t.Errorf("the log has %q, want an id of the server's own", got)
			}
		})
	}
}

// TestPanics: one broken call must not end the others, and what it was about
// must not get into the log.
func TestPanics(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "panic-1", "panic@example.org")
	conn := r.as(t, billing)
	reveals := cloakroomv1.NewRevealServiceClient(conn)
	const text = "value panic@example.org"
	r.Faults.set(fault{get: func() error { panic(text) }})
	_, err := reveals.Detokenize(t.Context(), detokenize(token))
	if status.Code(err) != codes.Internal || strings.Contains(err.Error(), text) {
		t.Errorf("unary: got %v, want INTERNAL", err)
	}
	stream, err := reveals.DetokenizeStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if answer := exchange(t, stream, 1, token); answer.GetError().GetReason() != cloakroomv1.ErrorReason_ERROR_REASON_INTERNAL || len(answer.GetItems()) > 0 {
		t.Errorf("stream: got %v, want INTERNAL", answer)
	}
	imports, err := cloakroomv1.NewRecordServiceClient(r.as(t, shop)).ImportRecords(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	r.Faults.set(fault{get: func() error { panic(text) }, commit: func() error { panic(text) }})
	_ = imports.Send(importOf(record("panic-2", "email", "panic@example.org")))
	if _, err := imports.CloseAndRecv(); status.Code(err) != codes.Internal {
		t.Errorf("import: got %v, want INTERNAL", err)
	}
	r.Faults.set(fault{})
	if answer := exchange(t, stream, 2, token); answer.HasError() || answer.GetItems()[0].GetText() != "panic@example.org" {
		t.Errorf("the stream afterwards: %v", answer.GetError())
	}
	if _, err := reveals.Detokenize(t.Context(), detokenize(token)); err != nil {
		t.Errorf("the server afterwards: %v", err)
	}
	if log := r.Logs.String(); !strings.Contains(log, "panicked") || strings.Contains(log, text) {
		t.Errorf("the log must tell of the panic without its text:\n%s", log)
	}
}

func detokenize(tokens ...string) *cloakroomv1.DetokenizeRequest {
	return cloakroomv1.DetokenizeRequest_builder{Tokens: tokens, Purpose: "payment"}.Build()
}

func TestSizes(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "size-1", "size@example.org")
	shopConn, billingConn := r.as(t, shop), r.as(t, billing)
	records := cloakroomv1.NewRecordServiceClient(shopConn)
	reveals := cloakroomv1.NewRevealServiceClient(billingConn)
	many := func(n int) []string {
		out := make([]string, n)
		for i := range out {
			out[i] = token
		}
		return out
	}
	inputs := func(n int) []*cloakroomv1.RecordInput {
		out := make([]*cloakroomv1.RecordInput, n)
		for i := range out {
			out[i] = record(fmt.Sprintf("size-%d-%d", n, i), "email", "size@example.org")
		}
		return out
	}
	items := func(n int) []*cloakroomv1.TokenizeItem {
		out := make([]*cloakroomv1.TokenizeItem, n)
		for i := range out {
			out[i] = cloakroomv1.TokenizeItem_builder{SubjectId: fmt.Sprintf("item-%d-%d", n, i), Value: textValue("size@example.org")}.Build()
		}
		return out
	}
	for name, call := range map[string]func(n int) error{
		"Detokenize": func(n int) error {
			_, err := reveals.Detokenize(t.Context(), detokenize(many(n)...))
			return err
		},
		"DescribeTokens": func(n int) error {
			_, err := cloakroomv1.NewTokenServiceClient(shopConn).DescribeTokens(t.Context(), cloakroomv1.DescribeTokensRequest_builder{Tokens: many(n)}.Build())
			return err
		},
		"Tokenize": func(n int) error {
			_, err := cloakroomv1.NewTokenServiceClient(shopConn).Tokenize(t.Context(), cloakroomv1.TokenizeRequest_builder{
				Collection: "customers", Field: "email", Items: items(n),
			}.Build())
			return err
		},
		"BatchGetRecords": func(n int) error {
			_, err := records.BatchGetRecords(t.Context(), cloakroomv1.BatchGetRecordsRequest_builder{Collection: "customers", SubjectIds: many(n)}.Build())
			return err
		},
		"PutRecords": func(n int) error {
			_, err := records.PutRecords(t.Context(), cloakroomv1.PutRecordsRequest_builder{Collection: "customers", Records: inputs(n)}.Build())
			return err
		},
		"ImportRecords": func(n int) error {
			stream, err := records.ImportRecords(t.Context())
			if err != nil {
				return err
			}
			_ = stream.Send(importOf(inputs(n)...))
			_, err = stream.CloseAndRecv()
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			for n, want := range map[int]string{0: "INVALID_REQUEST", 1: "", 1000: "", 1001: "INVALID_REQUEST"} {
				err := call(n)
				if reasonOf(err) != want || (err == nil) != (want == "") || want != "" && status.Code(err) != codes.InvalidArgument {
					t.Errorf("%d items: got %v, want %q", n, err, want)
				}
			}
		})
	}
}

func TestLargeMessages(t *testing.T) {
	r := newRig(t)
	policies := cloakroomv1.NewPolicyServiceClient(r.as(t, admin))
	document := func(n int) *cloakroomv1.ApplyPolicyRequest {
		return cloakroomv1.ApplyPolicyRequest_builder{Document: make([]byte, n)}.Build()
	}
	if server.MaxRequest != 4<<20 {
		t.Errorf("the limit is %d bytes", server.MaxRequest)
	}
	_, err := policies.ApplyPolicy(t.Context(), document(server.MaxRequest), grpc.MaxCallSendMsgSize(2*server.MaxRequest))
	if status.Code(err) != codes.ResourceExhausted {
		t.Errorf("a message over the limit: %v", err)
	}
	fits := document(server.MaxRequest - 5)
	if size := proto.Size(fits); size != server.MaxRequest {
		t.Fatalf("the message has %d bytes", size)
	}
	if _, err = policies.ApplyPolicy(t.Context(), fits, grpc.MaxCallSendMsgSize(2*server.MaxRequest)); reasonOf(err) != "POLICY_INVALID" {
		t.Errorf("a message at the limit: %v", err)
	}
}
