package server_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/policy"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// TestReasonsAreTheContracts holds the vault's reasons, the contract's enum and
// the table of codes together, in both directions.
func TestReasonsAreTheContracts(t *testing.T) {
	table := server.Table()
	for reason, name := range vault.Reasons() {
		if got := cloakroomv1.ErrorReason_name[int32(reason)]; got != "ERROR_REASON_"+name {
			t.Errorf("reason %d is %s in the vault and %q in the contract", reason, name, got)
		}
		if _, ok := table[reason]; !ok {
			t.Errorf("%s has no code", name)
		}
	}
	for number, name := range cloakroomv1.ErrorReason_name {
		if _, ok := vault.Reasons()[vault.Reason(number)]; number != 0 && !ok {
			t.Errorf("the contract's %s is no reason of the vault", name)
		}
	}
	if len(table) != len(vault.Reasons()) {
		t.Errorf("%d codes for %d reasons", len(table), len(vault.Reasons()))
	}
}

// TestCodesAreTheContracts reads the code of each reason from the comment that
// stands at it in the contract's source.
func TestCodesAreTheContracts(t *testing.T) {
	documented := documentedCodes(t)
	for reason, name := range vault.Reasons() {
		want, ok := documented["ERROR_REASON_"+name]
		if !ok {
			t.Errorf("the contract's comment of %s names no code", name)
			continue
		}
		if got := screaming(server.Table()[reason]); got != want {
			t.Errorf("%s is %s, the contract says %s", name, got, want)
		}
	}
}

// screaming is the name of a code as the contract writes it.
func screaming(c codes.Code) string {
	return strings.ToUpper(regexp.MustCompile(`([a-z])([A-Z])`).ReplaceAllString(c.String(), "${1}_$2"))
}

func TestViewsAreTheContracts(t *testing.T) {
	for number, name := range cloakroomv1.View_name {
		if number == 0 {
			continue
		}
		want := strings.ToLower(strings.TrimPrefix(name, "VIEW_"))
		if got := policy.View(number).String(); got != want {
			t.Errorf("view %d is %q in the policy and %q in the contract", number, got, want)
		}
	}
}

// secretCause stands in causes, which only the log of the server may show.
const secretCause = "row 4711 of /var/lib/vault"

func TestFaultsOfTheStore(t *testing.T) {
	r := newRig(t)
	put(t, r, "fault-1", "fault@example.org")
	records := cloakroomv1.NewRecordServiceClient(r.as(t, shop))
	for _, c := range []struct {
		name   string
		cause  error
		code   codes.Code
		reason string
	}{
		{"full", store.ErrFull, codes.ResourceExhausted, "STORE_FULL"},
		{"busy", store.ErrBusy, codes.ResourceExhausted, "BUSY"},
		{"corrupt", store.ErrCorrupt, codes.DataLoss, "DATA_CORRUPT"},
		{"format", store.ErrFormat, codes.DataLoss, "DATA_CORRUPT"},
		{"closed", store.ErrClosed, codes.Unavailable, "STORE_UNAVAILABLE"},
		{"broken", store.ErrBroken, codes.Unavailable, "STORE_UNAVAILABLE"},
		{"ambiguous", store.ErrAmbiguous, codes.Unavailable, "STORE_UNAVAILABLE"},
		{"unheard of", errors.New("unheard of"), codes.Internal, "INTERNAL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			r.Faults.set(fault{get: func() error { return fmt.Errorf("%s: %w", secretCause, c.cause) }})
			defer r.Faults.set(fault{})
			_, err := records.GetRecord(t.Context(), cloakroomv1.GetRecordRequest_builder{
				Collection: "customers", SubjectId: "fault-1",
			}.Build())
			if status.Code(err) != c.code || reasonOf(err) != c.reason {
				t.Errorf("got %s %s, want %s %s", status.Code(err), reasonOf(err), c.code, c.reason)
			}
			if proto.Size(status.Convert(err).Proto()) == 0 || strings.Contains(fmt.Sprint(status.Convert(err).Proto()), secretCause) {
				t.Errorf("the cause reached the caller: %v", status.Convert(err).Proto())
			}
			if !strings.Contains(r.Logs.String(), secretCause) {
				t.Error("the log does not hold the cause")
			}
			delay := retryDelay(err)
			if exhausted := c.code == codes.ResourceExhausted; exhausted != (delay > 0) {
				t.Errorf("retry delay %s with %s", delay, c.code)
			}
		})
	}
}

// retryDelay returns the RetryInfo of a status, 0 without one.
func retryDelay(err error) time.Duration {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.RetryInfo); ok {
			return info.GetRetryDelay().AsDuration()
		}
	}
	return 0
}

func TestErrorInfo(t *testing.T) {
	r := newRig(t)
	const wrong = "4111111111111112"
	_, err := cloakroomv1.NewRecordServiceClient(r.as(t, shop)).PutRecord(withRequestID(t, "info-1"), cloakroomv1.PutRecordRequest_builder{
		Collection: "customers", Record: record("info-1", "card", wrong),
	}.Build())
	var info *errdetails.ErrorInfo
	for _, d := range status.Convert(err).Details() {
		if i, ok := d.(*errdetails.ErrorInfo); ok {
			info = i
		}
	}
	want := &errdetails.ErrorInfo{
		Reason: "INVALID_VALUE", Domain: "cloakroom",
		Metadata: map[string]string{"field": "card", "rule": "luhn", "request_id": "info-1"},
	}
	if !proto.Equal(info, want) || status.Code(err) != codes.InvalidArgument {
		t.Errorf("got %v %v, want %v", status.Code(err), info, want)
	}
	if strings.Contains(fmt.Sprint(status.Convert(err).Proto()), wrong) {
		t.Error("the error repeats the value")
	}
}

// TestEveryMistakeOfAPolicy wants a BadRequest with all of them.
func TestEveryMistakeOfAPolicy(t *testing.T) {
	r := newRig(t)
	document := strings.NewReplacer("basis: contract", "basis: whim", "type: payment_card", "type: credit").Replace(testPolicy)
	_, err := cloakroomv1.NewPolicyServiceClient(r.as(t, admin)).ApplyPolicy(t.Context(), cloakroomv1.ApplyPolicyRequest_builder{
		Document: []byte(document),
	}.Build())
	if status.Code(err) != codes.InvalidArgument || reasonOf(err) != "POLICY_INVALID" {
		t.Fatalf("got %v", err)
	}
	var paths []string
	for _, d := range status.Convert(err).Details() {
		if bad, ok := d.(*errdetails.BadRequest); ok {
			for _, v := range bad.GetFieldViolations() {
				paths = append(paths, v.GetField())
				if v.GetDescription() == "" {
					t.Errorf("%s: no description", v.GetField())
				}
			}
		}
	}
	all := strings.Join(paths, "\n")
	if !strings.Contains(all, "purposes[0].basis") || !strings.Contains(all, "fields[1].type") || !strings.Contains(all, "line ") {
		t.Errorf("violations:\n%s", all)
	}
}
