package server_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
	"github.com/cloakroom-vault/cloakroom/server"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

type importStream = grpc.ClientStreamingClient[cloakroomv1.ImportRecordsRequest, cloakroomv1.ImportRecordsResponse]

func openImport(t *testing.T, ctx context.Context, r *rig) importStream {
	t.Helper()
	stream, err := cloakroomv1.NewRecordServiceClient(r.as(t, shop)).ImportRecords(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return stream
}

func send(t *testing.T, s importStream, q *cloakroomv1.ImportRecordsRequest) {
	t.Helper()
	if err := s.Send(q); err != nil {
		t.Fatal(err)
	}
}

func TestImportCounts(t *testing.T) {
	r := newRig(t)
	put(t, r, "import-0", "old@example.org")
	stream := openImport(t, t.Context(), r)
	send(t, stream, importOf(
		record("import-0", "email", "new@example.org"),                               // 0: is there
		record("import-1", "email", "one@example.org"),                               // 1
		record("import-2", "email", "no address"),                                    // 2: wrong
		record("import-3", "nowhere", "x"),                                           // 3: no such field
		record("import-1", "email", "twice@example.org"),                             // 4: twice in a message
		record("", "email", "nobody@example.org"),                                    // 5: nobody
		record("import-6", "card", "4111 1111 1111 1111"),                            // 6
		record("import-7", "email", "seven@example.org", "card", "4111111111111112"), // 7: one of two wrong
	))
	second := importOf(record("import-1", "email", "again@example.org"), record("import-8", "email", "eight@example.org"))
	second.SetCollection("") // the same
	second.SetUpsert(true)   // not of the first message: does not count
	send(t, stream, second)
	answer, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetCreated() != 3 || answer.GetUpdated() != 0 || answer.GetFailed() != 7 {
		t.Errorf("created %d, updated %d, failed %d, want 3, 0, 7", answer.GetCreated(), answer.GetUpdated(), answer.GetFailed())
	}
	want := []string{
		"0 RECORD_EXISTS  ", "2 INVALID_VALUE email email_syntax", "3 UNKNOWN_FIELD nowhere ",
		"4 INVALID_REQUEST subject_id ", "5 INVALID_REQUEST subject_id ", "7 INVALID_VALUE card luhn", "8 RECORD_EXISTS  ",
	}
	wantFailures(t, answer, want)
	for subject, there := range map[string]bool{"import-1": true, "import-2": false, "import-6": true, "import-7": false, "import-8": true} {
		if has(t, r, subject) != there {
			t.Errorf("%s is there: %t", subject, !there)
		}
	}
	if got := revealed(t, r, "import-1"); got != "one@example.org" {
		t.Errorf("import-1 has %q: a refused record changed it", got)
	}
}

func wantFailures(t *testing.T, answer *cloakroomv1.ImportRecordsResponse, want []string) {
	t.Helper()
	if len(answer.GetFailures()) != len(want) {
		t.Errorf("%d failures, want %d", len(answer.GetFailures()), len(want))
	}
	for i, f := range answer.GetFailures() {
		e := f.GetError()
		got := fmt.Sprintf("%d %s %s %s", f.GetIndex(), e.GetReason().String()[len("ERROR_REASON_"):], e.GetField(), e.GetRule())
		if i < len(want) && got != want[i] {
			t.Errorf("failure %d: got %q, want %q", i, got, want[i])
		}
	}
}

// has tells whether a record is there.
func has(t *testing.T, r *rig, subject string) bool {
	t.Helper()
	_, err := cloakroomv1.NewRecordServiceClient(r.as(t, shop)).GetRecord(t.Context(), cloakroomv1.GetRecordRequest_builder{
		Collection: "customers", SubjectId: subject,
	}.Build())
	if err != nil && reasonOf(err) != "RECORD_NOT_FOUND" {
		t.Fatal(err)
	}
	return err == nil
}

// revealed returns the first value of a record.
func revealed(t *testing.T, r *rig, subject string) string {
	t.Helper()
	answer, err := cloakroomv1.NewRevealServiceClient(r.as(t, billing)).ReadRecord(t.Context(), cloakroomv1.ReadRecordRequest_builder{
		Collection: "customers", SubjectId: subject, Purpose: "payment",
	}.Build())
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range answer.GetFields() {
		for _, it := range f.GetItems() {
			return it.GetText()
		}
	}
	return ""
}

func TestImportUpserts(t *testing.T) {
	r := newRig(t)
	put(t, r, "upsert-1", "old@example.org")
	stream := openImport(t, t.Context(), r)
	first := importOf(record("upsert-1", "email", "new@example.org"))
	first.SetUpsert(true)
	send(t, stream, first)
	send(t, stream, importOf(record("upsert-1", "email", "newer@example.org"), record("upsert-2", "email", "two@example.org")))
	answer, err := stream.CloseAndRecv()
	if err != nil || answer.GetCreated() != 1 || answer.GetUpdated() != 2 || answer.GetFailed() != 0 {
		t.Errorf("got %v, %v, want 1 created and 2 updated", answer, err)
	}
	if got := revealed(t, r, "upsert-1"); got != "newer@example.org" {
		t.Errorf("revealed %q", got)
	}
}

// TestImportListsTenThousand failures and counts them all.
func TestImportListsTenThousand(t *testing.T) {
	r := newRig(t)
	stream := openImport(t, t.Context(), r)
	const batches = 11
	for b := range batches {
		var records []*cloakroomv1.RecordInput
		for i := range 1000 {
			records = append(records, record(fmt.Sprintf("list-%d-%d", b, i), "email", "no address"))
		}
		send(t, stream, importOf(records...))
	}
	answer, err := stream.CloseAndRecv()
	if err != nil {
		t.Fatal(err)
	}
	if answer.GetFailed() != batches*1000 || len(answer.GetFailures()) != server.MaxFailures || server.MaxFailures != 10_000 {
		t.Errorf("failed %d, listed %d", answer.GetFailed(), len(answer.GetFailures()))
	}
	for i, f := range answer.GetFailures() {
		if f.GetIndex() != int64(i) {
			t.Fatalf("failure %d has index %d", i, f.GetIndex())
		}
	}
}

func TestImportsThatAreRefused(t *testing.T) {
	r := newRig(t)
	good := record("refused-1", "email", "refused@example.org")
	for _, c := range []struct {
		name     string
		messages []*cloakroomv1.ImportRecordsRequest
		code     codes.Code
		reason   string
		stored   bool
	}{
		{"empty stream", nil, codes.InvalidArgument, "INVALID_REQUEST", false},
		{"no collection", []*cloakroomv1.ImportRecordsRequest{cloakroomv1.ImportRecordsRequest_builder{Records: []*cloakroomv1.RecordInput{good}}.Build()}, codes.InvalidArgument, "UNKNOWN_COLLECTION", false},
		{"message without records", []*cloakroomv1.ImportRecordsRequest{importOf()}, codes.InvalidArgument, "INVALID_REQUEST", false},
		{"other collection later", []*cloakroomv1.ImportRecordsRequest{importOf(good), cloakroomv1.ImportRecordsRequest_builder{
			Collection: "suppliers", Records: []*cloakroomv1.RecordInput{record("refused-2", "email", "refused@example.org")},
		}.Build()}, codes.InvalidArgument, "INVALID_REQUEST", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			stream := openImport(t, t.Context(), r)
			for _, m := range c.messages {
				send(t, stream, m)
			}
			answer, err := stream.CloseAndRecv()
			if status.Code(err) != c.code || reasonOf(err) != c.reason {
				t.Errorf("got %v, want %s %s", err, c.code, c.reason)
			}
			if answer.GetCreated()+answer.GetUpdated()+answer.GetFailed() != 0 {
				t.Errorf("counts of nothing: %v", answer)
			}
			if has(t, r, "refused-1") != c.stored || has(t, r, "refused-2") {
				t.Error("what came before the refusal must be stored, and nothing else")
			}
		})
	}
}

// TestImportThatBreaks at each of its commits leaves whole records only, and
// says of every record that is missing that it is.
func TestImportThatBreaks(t *testing.T) {
	r := newRig(t)
	const size = 20
	for at := 1; ; at++ {
		commits := 0
		var mu sync.Mutex
		r.Faults.set(fault{commit: func() error {
			mu.Lock()
			defer mu.Unlock()
			if commits++; commits >= at {
				return fmt.Errorf("the disk: %w", store.ErrFull)
			}
			return nil
		}})
		stream := openImport(t, t.Context(), r)
		for n := range 2 {
			var records []*cloakroomv1.RecordInput
			for i := range size {
				records = append(records, record(fmt.Sprintf("break-%d-%d-%d", at, n, i), "email", "break@example.org", "card", "4111111111111111"))
			}
			_ = stream.Send(importOf(records...))
		}
		answer, err := stream.CloseAndRecv()
		r.Faults.set(fault{})
		stored := countWhole(t, r, at, size)
		if err == nil && answer.GetCreated() == 2*size {
			if at < 3 {
				t.Errorf("the import ended well after %d commits", at-1)
			}
			return // nothing was left to break
		}
		if err != nil && (status.Code(err) != codes.ResourceExhausted || reasonOf(err) != "STORE_FULL") {
			t.Errorf("break %d: got %v, want STORE_FULL", at, err)
		}
		for _, f := range answer.GetFailures() {
			if f.GetError().GetReason() != cloakroomv1.ErrorReason_ERROR_REASON_STORE_FULL {
				t.Errorf("break %d: record %d: %v", at, f.GetIndex(), f.GetError())
			}
		}
		if err == nil && stored != answer.GetCreated() {
			t.Errorf("break %d: %d records are there, %d were acknowledged", at, stored, answer.GetCreated())
		}
	}
}

// countWhole counts the records that are there, and wants all their values.
func countWhole(t *testing.T, r *rig, at, size int) (there int64) {
	t.Helper()
	records := cloakroomv1.NewRecordServiceClient(r.as(t, shop))
	for n := range 2 {
		for i := range size {
			answer, err := records.GetRecord(t.Context(), cloakroomv1.GetRecordRequest_builder{
				Collection: "customers", SubjectId: fmt.Sprintf("break-%d-%d-%d", at, n, i),
			}.Build())
			switch {
			case reasonOf(err) == "RECORD_NOT_FOUND":
				continue
			case err != nil:
				t.Errorf("record %d of message %d: %v", i, n, err)
			case len(answer.GetRecord().GetFields()) != 2:
				t.Errorf("record %d of message %d has %d fields", i, n, len(answer.GetRecord().GetFields()))
			}
			there++
		}
	}
	return there
}

// TestImportOfAClientThatGoes: what was sent may be stored, in whole records.
func TestImportOfAClientThatGoes(t *testing.T) {
	r := newRig(t)
	const size = 20
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	arrived := make(chan struct{})
	var once sync.Once
	r.Faults.set(fault{commit: func() error {
		once.Do(func() { close(arrived) })
		return nil
	}})
	stream := openImport(t, ctx, r)
	for n := range 2 {
		var records []*cloakroomv1.RecordInput
		for i := range size {
			records = append(records, record(fmt.Sprintf("break-0-%d-%d", n, i), "email", "break@example.org", "card", "4111111111111111"))
		}
		send(t, stream, importOf(records...))
	}
	<-arrived // in the midst of it
	cancel()
	if _, err := stream.CloseAndRecv(); status.Code(err) != codes.Canceled {
		t.Errorf("got %v, want CANCELLED", err)
	}
	countWhole(t, r, 0, size)
	put(t, r, "afterwards", "after@example.org")
}
