package server_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/dynamicpb"

	"google.golang.org/genproto/googleapis/rpc/errdetails"

	"github.com/cloakroom-vault/cloakroom/clients/go/cloakroomtest"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// principals of the matrix, as testPolicy gives them their rights.
const (
	admin     = cloakroomtest.Administrator
	shop      = "spiffe://cloakroom.example/shop"
	billing   = "spiffe://cloakroom.example/billing"
	analytics = "spiffe://cloakroom.example/analytics"
	security  = "spiffe://cloakroom.example/security"
	stranger  = "spiffe://cloakroom.example/stranger"
)

// open marks a method that every authenticated caller may call.
const open = "*"

// matrix says for every method of the contract who may call it. A method
// without a row fails the test, and so does a row without a method.
var matrix = map[string]struct {
	request proto.Message
	allowed []string
}{
	"RecordService/PutRecord": {cloakroomv1.PutRecordRequest_builder{
		Collection: "customers", Record: cloakroomv1.RecordInput_builder{SubjectId: "m-1"}.Build(), Upsert: true,
	}.Build(), []string{shop}},
	"RecordService/PutRecords": {cloakroomv1.PutRecordsRequest_builder{
		Collection: "customers", Records: []*cloakroomv1.RecordInput{cloakroomv1.RecordInput_builder{SubjectId: "m-1"}.Build()}, Upsert: true,
	}.Build(), []string{shop}},
	"RecordService/ImportRecords": {cloakroomv1.ImportRecordsRequest_builder{
		Collection: "customers", Records: []*cloakroomv1.RecordInput{cloakroomv1.RecordInput_builder{SubjectId: "m-1"}.Build()}, Upsert: true,
	}.Build(), []string{shop}},
	"RecordService/GetRecord": {cloakroomv1.GetRecordRequest_builder{
		Collection: "customers", SubjectId: "m-1",
	}.Build(), []string{shop}},
	"RecordService/BatchGetRecords": {cloakroomv1.BatchGetRecordsRequest_builder{
		Collection: "customers", SubjectIds: []string{"m-1"},
	}.Build(), []string{shop}},
	"RecordService/ListRecords": {cloakroomv1.ListRecordsRequest_builder{
		Collection: "customers",
	}.Build(), []string{shop}},
	"RecordService/UpdateRecord": {cloakroomv1.UpdateRecordRequest_builder{
		Collection: "customers", Record: cloakroomv1.RecordInput_builder{
			SubjectId: "m-1", Fields: []*cloakroomv1.FieldValues{cloakroomv1.FieldValues_builder{Field: "email"}.Build()},
		}.Build(),
	}.Build(), []string{shop}},
	"RecordService/DeleteRecord": {cloakroomv1.DeleteRecordRequest_builder{
		Collection: "customers", SubjectId: "m-1",
	}.Build(), []string{shop}},
	"TokenService/Tokenize": {cloakroomv1.TokenizeRequest_builder{
		Collection: "customers", Field: "email", Items: []*cloakroomv1.TokenizeItem{cloakroomv1.TokenizeItem_builder{
			SubjectId: "m-2", Value: cloakroomv1.Value_builder{Text: proto.String("matrix@example.org")}.Build(),
		}.Build()},
	}.Build(), []string{shop}},
	"TokenService/DescribeTokens": {cloakroomv1.DescribeTokensRequest_builder{
		Tokens: []string{"tok_"},
	}.Build(), []string{shop, analytics}},
	"RevealService/Detokenize": {cloakroomv1.DetokenizeRequest_builder{
		Tokens: []string{"tok_"}, Purpose: "payment",
	}.Build(), []string{billing}},
	"RevealService/DetokenizeStream": {cloakroomv1.DetokenizeStreamRequest_builder{
		Tokens: []string{"tok_"}, Purpose: "payment",
	}.Build(), []string{billing}},
	"RevealService/ReadRecord": {cloakroomv1.ReadRecordRequest_builder{
		Collection: "customers", SubjectId: "m-1", Purpose: "payment",
	}.Build(), []string{billing}},
	"PolicyService/ApplyPolicy": {cloakroomv1.ApplyPolicyRequest_builder{
		Document: []byte(testPolicy),
	}.Build(), []string{admin}},
	"PolicyService/GetPolicy": {&cloakroomv1.GetPolicyRequest{}, []string{admin}},
	"PolicyService/WhoAmI":    {&cloakroomv1.WhoAmIRequest{}, []string{open}},

	"AuditService/ListEntries":         {&cloakroomv1.ListEntriesRequest{}, []string{security}},
	"AuditService/WatchEntries":        {&cloakroomv1.WatchEntriesRequest{}, []string{security}},
	"AuditService/ExportEntries":       {&cloakroomv1.ExportEntriesRequest{}, []string{security}},
	"AuditService/GetCheckpoint":       {&cloakroomv1.GetCheckpointRequest{}, []string{security}},
	"AuditService/GetInclusionProof":   {&cloakroomv1.GetInclusionProofRequest{}, []string{security}},
	"AuditService/GetConsistencyProof": {cloakroomv1.GetConsistencyProofRequest_builder{OlderSize: 1}.Build(), []string{security}},
	"IncidentService/Freeze": {cloakroomv1.FreezeRequest_builder{
		Kind: cloakroomv1.FreezeKind_FREEZE_KIND_PRINCIPAL, Target: "spiffe://cloakroom.example/nobody", Reason: "INC-1",
	}.Build(), []string{security}},
	"IncidentService/Thaw":        {cloakroomv1.ThawRequest_builder{Id: 1, Reason: "INC-1"}.Build(), []string{security}},
	"IncidentService/ListFreezes": {&cloakroomv1.ListFreezesRequest{}, []string{security}},
	"IncidentService/Exposure":    {cloakroomv1.ExposureRequest_builder{Reason: "INC-1"}.Build(), []string{security}},
	"IncidentService/MarkHoneyRecord": {cloakroomv1.MarkHoneyRecordRequest_builder{
		SubjectId: "m-1", Reason: "INC-1",
	}.Build(), []string{security}},
	"IncidentService/UnmarkHoneyRecord": {cloakroomv1.UnmarkHoneyRecordRequest_builder{
		SubjectId: "m-1", Reason: "INC-1",
	}.Build(), []string{security}},
	"IncidentService/ListHoneyRecords": {&cloakroomv1.ListHoneyRecordsRequest{}, []string{security}},

	"KeyService/ListKeys":  {&cloakroomv1.ListKeysRequest{}, []string{security}},
	"KeyService/RotateKey": {cloakroomv1.RotateKeyRequest_builder{Key: noKey}.Build(), []string{security}},
	"KeyService/PromoteKey": {cloakroomv1.PromoteKeyRequest_builder{
		Key: noKey, Version: 1,
	}.Build(), []string{security}},
	"KeyService/DisableKey": {cloakroomv1.DisableKeyRequest_builder{
		Key: noKey, Version: 1, Reason: "INC-1",
	}.Build(), []string{security}},
	"KeyService/EnableKey": {cloakroomv1.EnableKeyRequest_builder{
		Key: noKey, Version: 1, Reason: "INC-1",
	}.Build(), []string{security}},
	"KeyService/DestroyKey": {cloakroomv1.DestroyKeyRequest_builder{
		Key: noKey, Version: 1, Reason: "INC-1",
	}.Build(), []string{security}},
	"KeyService/ListKeyRequests":    {&cloakroomv1.ListKeyRequestsRequest{}, []string{security}},
	"KeyService/ApproveKeyRequest":  {cloakroomv1.ApproveKeyRequestRequest_builder{Id: 1, Reason: "INC-1"}.Build(), []string{security}},
	"KeyService/WithdrawKeyRequest": {cloakroomv1.WithdrawKeyRequestRequest_builder{Id: 1, Reason: "INC-1"}.Build(), []string{security}},
	"KeyService/RewrapRoot":         {&cloakroomv1.RewrapRootRequest{}, []string{security}},
	"KeyService/RewrapValues":       {&cloakroomv1.RewrapValuesRequest{}, []string{security}},
	"KeyService/PauseRewrap":        {&cloakroomv1.PauseRewrapRequest{}, []string{security}},
	"KeyService/ResumeRewrap":       {&cloakroomv1.ResumeRewrapRequest{}, []string{security}},
	"KeyService/WatchKeyWork":       {cloakroomv1.WatchKeyWorkRequest_builder{UntilIdle: true}.Build(), []string{security}},
}

// noKey is the name of a key that there is not.
var noKey = cloakroomv1.KeyName_builder{Kind: cloakroomv1.KeyKind_KEY_KIND_FIELD, Name: "customers.nothing"}.Build()

// TestAuthorisationMatrix calls every method of the contract as every kind of
// principal. Who may not call gets PERMISSION_DENIED; who may gets anything
// else, such as a missing record.
func TestAuthorisationMatrix(t *testing.T) {
	s := cloakroomtest.New(t, []byte(testPolicy))
	methods := contractMethods(t)
	for name := range matrix {
		if _, ok := methods[name]; !ok {
			t.Errorf("the matrix has a row for %s, which is not in the contract", name)
		}
	}
	for name, method := range methods {
		row, ok := matrix[name]
		if !ok {
			t.Errorf("%s has no row in the matrix", name)
			continue
		}
		for _, who := range []string{admin, shop, billing, analytics, security, stranger} {
			t.Run(name+" as "+who[strings.LastIndex(who, "/")+1:], func(t *testing.T) {
				err := call(t, dial(t, s, who), method, row.request)
				may := slices.Contains(row.allowed, who) || slices.Contains(row.allowed, open)
				if denied := status.Code(err) == codes.PermissionDenied; denied == may {
					t.Errorf("may call: %t, got %v", may, err)
				} else if denied && reasonOf(err) == "" {
					t.Errorf("refused without a reason: %v", err)
				}
			})
		}
	}
}

// contractMethods are the methods of all services of the package, by
// "Service/Method".
func contractMethods(t *testing.T) map[string]protoreflect.MethodDescriptor {
	t.Helper()
	out := make(map[string]protoreflect.MethodDescriptor)
	protoregistry.GlobalFiles.RangeFilesByPackage("cloakroom.v1", func(f protoreflect.FileDescriptor) bool {
		for i := range f.Services().Len() {
			service := f.Services().Get(i)
			for j := range service.Methods().Len() {
				m := service.Methods().Get(j)
				out[string(service.Name())+"/"+string(m.Name())] = m
			}
		}
		return true
	})
	if len(out) == 0 {
		t.Fatal("the contract has no methods")
	}
	return out
}

// call makes a call of any method; a refusal inside an answer of the stream
// counts as the refusal of the call.
func call(t *testing.T, conn *grpc.ClientConn, m protoreflect.MethodDescriptor, request proto.Message) error {
	t.Helper()
	full := "/" + string(m.Parent().FullName()) + "/" + string(m.Name())
	answer := dynamicpb.NewMessage(m.Output())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	if !m.IsStreamingClient() && !m.IsStreamingServer() {
		return conn.Invoke(ctx, full, request, answer)
	}
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: m.IsStreamingServer(), ClientStreams: true}, full)
	if err != nil {
		return err
	}
	if err := stream.SendMsg(request); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	if err := stream.CloseSend(); err != nil {
		return err
	}
	if err := stream.RecvMsg(answer); err != nil {
		return err
	}
	field := m.Output().Fields().ByName("error")
	if field == nil || !answer.Has(field) {
		return nil
	}
	inner := answer.Get(field).Message()
	fields := inner.Descriptor().Fields()
	st := status.New(codes.Code(inner.Get(fields.ByName("code")).Int()), inner.Get(fields.ByName("message")).String())
	number := inner.Get(fields.ByName("reason")).Enum()
	reason := fields.ByName("reason").Enum().Values().ByNumber(number).Name()
	st, err = st.WithDetails(&errdetails.ErrorInfo{Reason: string(reason)})
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

// reasonOf returns the reason of a status, or "".
func reasonOf(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}
