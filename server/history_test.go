package server_test

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
)

// look makes a record and reveals it once, and returns its token.
func look(t *testing.T, r *rig, subject string) string {
	t.Helper()
	token := put(t, r, subject, subject+"@example.org")
	if _, err := cloakroomv1.NewRevealServiceClient(r.as(t, billing)).Detokenize(t.Context(), detokenize(token)); err != nil {
		t.Fatal(err)
	}
	return token
}

func TestListEntries(t *testing.T) {
	r := newRig(t)
	token := look(t, r, "list-1")
	audits := cloakroomv1.NewAuditServiceClient(r.as(t, security))
	got, err := audits.ListEntries(t.Context(), cloakroomv1.ListEntriesRequest_builder{Filter: cloakroomv1.AuditFilter_builder{
		SubjectIds: []string{"list-1"}, Actions: []string{"reveal"}, Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED,
		Since: timestamppb.New(time.Now().Add(-time.Hour)),
	}.Build()}.Build())
	if err != nil {
		t.Fatal(err)
	}
	if len(got.GetEntries()) != 1 || got.GetLogSize() == 0 || got.GetNextPageToken() != "" {
		t.Fatalf("%d entries of %d", len(got.GetEntries()), got.GetLogSize())
	}
	e := got.GetEntries()[0]
	if e.GetPrincipal() != billing || e.GetAction() != "reveal" || e.GetPurpose() != "payment" || e.GetView() != "plain" ||
		e.GetRequestId() == "" || len(e.GetId()) != 32 || e.GetTime() == nil || e.GetPolicyVersion() != 1 || e.GetCount() != 1 {
		t.Errorf("the entry: %s", e)
	}
	it := e.GetItems()[0]
	if it.GetField() != "customers.email" || len(it.GetSubject()) != 32 || it.GetKeyVersion() != 1 || it.GetOutcome() != cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED {
		t.Errorf("the item: %s", it)
	}
	if text := e.String(); strings.Contains(text, token) || strings.Contains(text, "list-1") {
		t.Errorf("the entry names the token or the person: %s", text)
	}
	_, err = audits.ListEntries(t.Context(), cloakroomv1.ListEntriesRequest_builder{PageSize: -1}.Build())
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a page of -1: %v", err)
	}
	_, err = audits.ListEntries(t.Context(), cloakroomv1.ListEntriesRequest_builder{Filter: cloakroomv1.AuditFilter_builder{Outcome: 257}.Build()}.Build())
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("an outcome of 257, which is 1 in eight bits: %v", err)
	}
}

// TestWatchEntries: what happens is seen at once; the watch ends with the
// server, and does not hold it up.
func TestWatchEntries(t *testing.T) {
	r := newRig(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	stream, err := cloakroomv1.NewAuditServiceClient(r.as(t, security)).WatchEntries(ctx, cloakroomv1.WatchEntriesRequest_builder{
		Filter: cloakroomv1.AuditFilter_builder{Actions: []string{"reveal"}}.Build(), FromIndex: proto.Uint64(0),
	}.Build())
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || first.HasEntry() || first.GetNextIndex() == 0 {
		t.Fatalf("the watch does not say where it is: %v %v", first, err)
	}
	look(t, r, "watch-1")
	for {
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		if m.HasEntry() {
			if m.GetEntry().GetPrincipal() != billing || m.GetNextIndex() != m.GetEntry().GetIndex()+1 {
				t.Errorf("the watch shows %s", m)
			}
			break
		}
	}
	r.Server.Stop(time.Hour)
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("the watch ended with %v", err)
	}
}

// TestProofs verifies what the server says of its log with public tools alone.
func TestProofs(t *testing.T) {
	r := newRig(t)
	look(t, r, "proof-1")
	r.publish(t)
	audits := cloakroomv1.NewAuditServiceClient(r.as(t, security))
	c, err := audits.GetCheckpoint(t.Context(), &cloakroomv1.GetCheckpointRequest{})
	if err != nil {
		t.Fatal(err)
	}
	key, err := note.NewVerifier(c.GetVerifierKey())
	if err != nil {
		t.Fatal(err)
	}
	n, err := note.Open(c.GetCheckpoint(), note.VerifierList(key))
	if err != nil {
		t.Fatal(err)
	}
	root, err := tlog.ParseHash(strings.Split(n.Text, "\n")[2])
	if err != nil {
		t.Fatal(err)
	}
	hashes := func(list [][]byte) []tlog.Hash {
		var out []tlog.Hash
		for _, h := range list {
			out = append(out, tlog.Hash(h))
		}
		return out
	}
	size := int64(c.GetSize())
	for i := range size {
		p, err := audits.GetInclusionProof(t.Context(), cloakroomv1.GetInclusionProofRequest_builder{Index: uint64(i), Size: c.GetSize()}.Build())
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckRecord(hashes(p.GetHashes()), size, root, i, tlog.RecordHash(p.GetEntry())); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
		if tlog.Hash(p.GetLeafHash()) != tlog.RecordHash(p.GetEntry()) {
			t.Errorf("entry %d: the leaf is another", i)
		}
	}
	p, err := audits.GetConsistencyProof(t.Context(), cloakroomv1.GetConsistencyProofRequest_builder{OlderSize: 1, NewerSize: c.GetSize()}.Build())
	if err != nil {
		t.Fatal(err)
	}
	stream, err := audits.ExportEntries(t.Context(), cloakroomv1.ExportEntriesRequest_builder{ToIndex: c.GetSize()}.Build())
	if err != nil {
		t.Fatal(err)
	}
	var leaves []tlog.Hash
	for {
		m, err := stream.Recv()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil || m.GetFirstIndex() != uint64(len(leaves)) {
			t.Fatalf("from %d: %v", m.GetFirstIndex(), err)
		}
		for _, raw := range m.GetEntries() {
			leaves = append(leaves, tlog.RecordHash(raw))
		}
	}
	if int64(len(leaves)) != size {
		t.Fatalf("%d entries were exported, the checkpoint has %d", len(leaves), size)
	}
	if err := tlog.CheckTree(hashes(p.GetHashes()), size, root, 1, leaves[0]); err != nil {
		t.Errorf("consistency: %v", err)
	}
	_, err = audits.GetInclusionProof(t.Context(), cloakroomv1.GetInclusionProofRequest_builder{Index: 1 << 40}.Build())
	if status.Code(err) != codes.NotFound || reasonOf(err) != "ENTRY_NOT_FOUND" {
		t.Errorf("an entry that there is not: %v", err)
	}
}

// TestFrozenOnAnOpenStream: a freeze binds the next message of a stream that
// was opened before, and a thaw gives it back.
func TestFrozenOnAnOpenStream(t *testing.T) {
	r := newRig(t)
	token := look(t, r, "frozen-1")
	stream, err := cloakroomv1.NewRevealServiceClient(r.as(t, billing)).DetokenizeStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ask := func() *cloakroomv1.DetokenizeStreamResponse {
		t.Helper()
		q := &cloakroomv1.DetokenizeStreamRequest{}
		q.SetTokens([]string{token})
		q.SetPurpose("payment")
		if err := stream.Send(q); err != nil {
			t.Fatal(err)
		}
		m, err := stream.Recv()
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	if m := ask(); m.GetItems()[0].GetText() == "" {
		t.Fatalf("before: %v", m.GetError())
	}
	incidents := cloakroomv1.NewIncidentServiceClient(r.as(t, security))
	for kind, target := range map[cloakroomv1.FreezeKind]string{
		cloakroomv1.FreezeKind_FREEZE_KIND_PRINCIPAL: billing, cloakroomv1.FreezeKind_FREEZE_KIND_ROLE: "billing",
		cloakroomv1.FreezeKind_FREEZE_KIND_FIELD: "customers.email", cloakroomv1.FreezeKind_FREEZE_KIND_COLLECTION: "customers",
		cloakroomv1.FreezeKind_FREEZE_KIND_VAULT: "",
	} {
		f, err := incidents.Freeze(t.Context(), cloakroomv1.FreezeRequest_builder{Kind: kind, Target: target, Reason: "INC-1"}.Build())
		if err != nil {
			t.Fatal(err)
		}
		m := ask()
		reason := m.GetError().GetReason()
		if !m.HasError() && len(m.GetItems()) == 1 {
			reason = m.GetItems()[0].GetError().GetReason()
		}
		if reason != cloakroomv1.ErrorReason_ERROR_REASON_FROZEN || strings.Contains(m.String(), "@") {
			t.Errorf("%v: %v", kind, reason)
		}
		listed, err := incidents.ListFreezes(t.Context(), &cloakroomv1.ListFreezesRequest{})
		if err != nil || len(listed.GetFreezes()) != 1 || !proto.Equal(listed.GetFreezes()[0], f.GetFreeze()) || f.GetFreeze().GetFrozenBy() != security {
			t.Errorf("%v: the list: %v %v", kind, listed, err)
		}
		if _, err := incidents.Thaw(t.Context(), cloakroomv1.ThawRequest_builder{Id: f.GetFreeze().GetId(), Reason: "INC-1"}.Build()); err != nil {
			t.Fatal(err)
		}
		if m := ask(); m.GetItems()[0].GetText() == "" {
			t.Errorf("%v: thawed: %v", kind, m)
		}
	}
	_, err = incidents.Freeze(t.Context(), cloakroomv1.FreezeRequest_builder{Kind: 257, Target: billing, Reason: "INC-1"}.Build())
	if status.Code(err) != codes.InvalidArgument {
		t.Errorf("a kind of 257, which is 1 in eight bits: %v", err)
	}
}

func TestExposureOverTheWire(t *testing.T) {
	r := newRig(t)
	look(t, r, "exposed-1")
	stream, err := cloakroomv1.NewIncidentServiceClient(r.as(t, security)).Exposure(t.Context(), cloakroomv1.ExposureRequest_builder{
		Principals: []string{billing}, Fields: []string{"customers.email"}, KeyVersions: []uint32{1}, Reason: "INC-1",
	}.Build())
	if err != nil {
		t.Fatal(err)
	}
	first, err := stream.Recv()
	if err != nil || !first.HasSummary() {
		t.Fatalf("the first message: %v %v", first, err)
	}
	s := first.GetSummary()
	if s.GetReveals() != 1 || s.GetSubjects() != 1 || s.GetEntries() != 1 || s.GetEndIndex() == 0 || s.GetAsOf() == nil ||
		s.GetPrincipals()[0].GetName() != billing || s.GetFields()[0].GetName() != "customers.email" || s.GetViews()[0].GetName() != "plain" || s.GetPurposes()[0].GetReveals() != 1 {
		t.Errorf("the summary: %s", s)
	}
	second, err := stream.Recv()
	if err != nil || len(second.GetRows()) != 1 {
		t.Fatalf("the second message: %v %v", second, err)
	}
	row := second.GetRows()[0]
	if row.GetSubjectId() != "exposed-1" || len(row.GetSubject()) != 32 || row.GetField() != "customers.email" || row.GetReveals() != 1 ||
		row.GetFirstTime() == nil || row.GetLastTime() == nil || row.GetViews()[0] != "plain" || row.GetPrincipals()[0] != billing || row.GetPurposes()[0] != "payment" {
		t.Errorf("the row: %s", row)
	}
	if _, err := stream.Recv(); !errors.Is(err, io.EOF) {
		t.Errorf("more: %v", err)
	}
}

// TestLoginOnceAConnection: an administrator's connection leaves one entry of
// its login, before its first call is answered, and others leave none.
func TestLoginOnceAConnection(t *testing.T) {
	r := newRig(t)
	logins := func() (n int) {
		for _, e := range r.Log.Entries() {
			if e.Action == audit.ActionLogin {
				n++
			}
		}
		return n
	}
	before := logins()
	for range 2 {
		conn := r.as(t, security)
		for range 3 {
			if _, err := cloakroomv1.NewPolicyServiceClient(conn).WhoAmI(t.Context(), &cloakroomv1.WhoAmIRequest{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	look(t, r, "login-1")
	if got := logins() - before; got != 2 {
		t.Errorf("%d logins are in the log, want one for each of two connections", got)
	}
	r.Log.Fail(errors.New("the disk is gone"))
	_, err := cloakroomv1.NewPolicyServiceClient(r.as(t, security)).WhoAmI(t.Context(), &cloakroomv1.WhoAmIRequest{})
	if status.Code(err) != codes.Unavailable {
		t.Errorf("a login that cannot be entered: %v", err)
	}
}

func TestEntryJSON(t *testing.T) {
	e := &audit.Entry{ID: [16]byte{15: 1}, Time: time.Unix(1, 0), Action: audit.ActionFreeze, Object: "role support", Outcome: audit.Allowed,
		Items: []audit.Item{{Subject: [16]byte{15: 2}, Field: 7, Outcome: audit.Refused, Refusal: 44}}}
	got, err := server.EntryJSON(func(n uint32) string { return map[uint32]string{7: "customers.email"}[n] }, 3, e)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"index":"3"`, `"id":"00000000000000000000000000000001"`, `"action":"freeze"`, `"object":"role support"`, `"field":"customers.email"`, `"refusal":"ERROR_REASON_FROZEN"`} {
		if !strings.Contains(strings.ReplaceAll(string(got), " ", ""), strings.ReplaceAll(want, " ", "")) {
			t.Errorf("%s lacks %s", got, want)
		}
	}
	if strings.ContainsAny(string(got), "\n\r") {
		t.Error("the line is more than one")
	}
}
