package server_test

import (
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/encoding"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/emptypb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// wire sends bytes as they are, as a program that breaks the rules of the
// encoding would.
type wire []byte

type wireCodec struct{ encoding.CodecV2 }

func (c wireCodec) Marshal(v any) (mem.BufferSlice, error) {
	if raw, ok := v.(wire); ok {
		return mem.BufferSlice{mem.SliceBuffer(raw)}, nil
	}
	return c.CodecV2.Marshal(v)
}

func TestRequestsOutOfForm(t *testing.T) {
	r := newRig(t)
	conn := r.as(t, shop)
	putRecord := func(in *cloakroomv1.RecordInput) func() error {
		return func() error {
			_, err := cloakroomv1.NewRecordServiceClient(conn).PutRecord(t.Context(), cloakroomv1.PutRecordRequest_builder{
				Collection: "customers", Record: in,
			}.Build())
			return err
		}
	}
	fields := func(field string, values ...*cloakroomv1.Value) *cloakroomv1.RecordInput {
		return cloakroomv1.RecordInput_builder{SubjectId: "form-1", Fields: []*cloakroomv1.FieldValues{
			cloakroomv1.FieldValues_builder{Field: field, Values: values}.Build(),
		}}.Build()
	}
	raw := func(method string, message []byte) func() error {
		return func() error {
			return conn.Invoke(t.Context(), method, wire(message), new(emptypb.Empty), grpc.ForceCodecV2(wireCodec{encoding.GetCodecV2("proto")}))
		}
	}
	whole := marshal(t, cloakroomv1.GetRecordRequest_builder{Collection: "customers", SubjectId: "form-1"}.Build())
	for _, c := range []struct {
		name   string
		call   func() error
		code   codes.Code
		reason string
	}{
		{"no record", putRecord(nil), codes.InvalidArgument, "INVALID_REQUEST"},
		{"no subject", putRecord(&cloakroomv1.RecordInput{}), codes.InvalidArgument, "INVALID_REQUEST"},
		{"no name of a field", putRecord(fields("")), codes.InvalidArgument, "UNKNOWN_FIELD"},
		{"value that is not set", putRecord(fields("email", &cloakroomv1.Value{})), codes.InvalidArgument, "INVALID_VALUE"},
		{"note that is not set", putRecord(fields("note", &cloakroomv1.Value{})), codes.InvalidArgument, "INVALID_VALUE"},
		{"photo that is not set", putRecord(fields("photo", &cloakroomv1.Value{})), codes.InvalidArgument, "INVALID_VALUE"},
		{"bytes for text", putRecord(fields("email", cloakroomv1.Value_builder{Data: []byte("a@example.org")}.Build())), codes.InvalidArgument, "INVALID_VALUE"},
		{"text for bytes", putRecord(fields("photo", textValue("a"))), codes.InvalidArgument, "INVALID_VALUE"},
		{"too many values", putRecord(fields("email", textValue("a@example.org"), textValue("b@example.org"))), codes.FailedPrecondition, "TOO_MANY_VALUES"},
		{"message that is cut off", raw(cloakroomv1.RecordService_GetRecord_FullMethodName, whole[:len(whole)-1]), codes.Internal, ""},
		{"text that is not UTF-8", raw(cloakroomv1.RecordService_GetRecord_FullMethodName, []byte("\x0a\x09customers\x12\x02\xff\xfe")), codes.Internal, ""},
		{"no such method", raw("/cloakroom.v1.RecordService/Sesame", nil), codes.Unimplemented, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.call()
			if status.Code(err) != c.code || reasonOf(err) != c.reason {
				t.Errorf("got %v, want %s %s", err, c.code, c.reason)
			}
		})
	}
	if entries := r.Log.Size(); entries == 0 {
		t.Error("nothing of it is in the audit log")
	}
}

func marshal(t *testing.T, m proto.Message) []byte {
	t.Helper()
	out, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestViewsThatAreNone: a number past those of the contract must not be taken
// for one that is in it when it is cut to fewer bits.
func TestViewsThatAreNone(t *testing.T) {
	r := newRig(t)
	token := put(t, r, "view-1", "view@example.org")
	reveals := cloakroomv1.NewRevealServiceClient(r.as(t, billing))
	for _, view := range []cloakroomv1.View{-1, 6, 255, 256, 257, -255, 1 << 30} {
		q := detokenize(token)
		q.SetView(view)
		if _, err := reveals.Detokenize(t.Context(), q); reasonOf(err) != "INVALID_REQUEST" {
			t.Errorf("view %d: got %v, want INVALID_REQUEST", view, err)
		}
		_, err := reveals.ReadRecord(t.Context(), cloakroomv1.ReadRecordRequest_builder{
			Collection: "customers", SubjectId: "view-1", Purpose: "payment", View: view,
		}.Build())
		if reasonOf(err) != "INVALID_REQUEST" {
			t.Errorf("view %d of a record: got %v, want INVALID_REQUEST", view, err)
		}
	}
}
