package server_test

import (
	"context"
	"os"
	"regexp"
	"strings"
	"testing"

	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// record is one record; fields and values alternate.
func record(subject string, fieldsAndValues ...string) *cloakroomv1.RecordInput {
	var fields []*cloakroomv1.FieldValues
	for i := 0; i+1 < len(fieldsAndValues); i += 2 {
		fields = append(fields, cloakroomv1.FieldValues_builder{
			Field: fieldsAndValues[i], Values: []*cloakroomv1.Value{textValue(fieldsAndValues[i+1])},
		}.Build())
	}
	return cloakroomv1.RecordInput_builder{SubjectId: subject, Fields: fields}.Build()
}

func textValue(text string) *cloakroomv1.Value {
	return cloakroomv1.Value_builder{Text: proto.String(text)}.Build()
}

// put stores a record with an e-mail address and returns its token.
func put(t *testing.T, r *rig, subject, email string) string {
	t.Helper()
	out, err := cloakroomv1.NewRecordServiceClient(r.as(t, shop)).PutRecord(t.Context(), cloakroomv1.PutRecordRequest_builder{
		Collection: "customers", Record: record(subject, "email", email),
	}.Build())
	if err != nil {
		t.Fatal(err)
	}
	return out.GetRecord().GetFields()[0].GetTokens()[0]
}

// withRequestID is a context whose calls carry an id for the audit log.
func withRequestID(t *testing.T, ids ...string) context.Context {
	ctx := t.Context()
	for _, id := range ids {
		ctx = metadata.AppendToOutgoingContext(ctx, "cloakroom-request-id", id)
	}
	return ctx
}

// documentedCodes reads the source of the contract: the code that the comment
// of each reason begins with.
func documentedCodes(t *testing.T) map[string]string {
	t.Helper()
	source, err := os.ReadFile("../proto/cloakroom/v1/error.proto")
	if err != nil {
		t.Fatal(err)
	}
	out := make(map[string]string)
	code := ""
	for line := range strings.Lines(string(source)) {
		if m := codeAtStart.FindStringSubmatch(line); m != nil {
			code = m[1]
		} else if m := reasonLine.FindStringSubmatch(line); m != nil {
			out[m[1]] = code
			code = ""
		}
	}
	return out
}

var (
	codeAtStart = regexp.MustCompile(`^  // ([A-Z_]+): `)
	reasonLine  = regexp.MustCompile(`^  (ERROR_REASON_[A-Z_]+) = `)
)

// importOf is one message of an import.
func importOf(records ...*cloakroomv1.RecordInput) *cloakroomv1.ImportRecordsRequest {
	return cloakroomv1.ImportRecordsRequest_builder{Collection: "customers", Records: records}.Build()
}
