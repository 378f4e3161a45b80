package cloakroom_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

func TestImport(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	result, err := client.Import(ctx, "customers", slices.Values(people(2500)))
	if err != nil || result.Created != 2475 || result.Updated != 0 || result.Failed != 25 || len(result.Failures) != 25 {
		t.Fatalf("Import: %d created, %d updated, %d failed, %v", result.Created, result.Updated, result.Failed, err)
	}
	for i, f := range result.Failures {
		if f.Index != int64(100*i+7) || !errors.Is(f.Err, cloakroom.ErrInvalidValue) {
			t.Errorf("failure %d: index %d, %v", i, f.Index, f.Err)
		}
	}
	result, err = client.Import(ctx, "customers", slices.Values(people(100)), cloakroom.Upsert())
	if err != nil || result.Updated != 99 || result.Failed != 1 {
		t.Errorf("Import with Upsert: %+v, %v", result, err)
	}
}

func TestImportMessagesKeepTheLimits(t *testing.T) {
	s := fakeserver.Start(t)
	records := people(2100)
	for i := 2050; i < 2100; i++ {
		records[i].Fields["street"] = cloakroom.Texts(strings.Repeat("x", 60_000))
	}
	records[5].SubjectID = records[4].SubjectID
	if _, err := dial(t, s).Import(t.Context(), "customers", slices.Values(records)); err != nil {
		t.Fatal(err)
	}
	total := 0
	for i, m := range s.Received("ImportRecords") {
		q := m.(*cloakroomv1.ImportRecordsRequest)
		total += len(q.GetRecords())
		seen := map[string]bool{}
		for _, r := range q.GetRecords() {
			if seen[r.GetSubjectId()] {
				t.Errorf("message %d holds a subject twice", i)
			}
			seen[r.GetSubjectId()] = true
		}
		if len(q.GetRecords()) > 1000 || proto.Size(m) > 1<<20+1<<10 {
			t.Errorf("message %d: %d records, %d bytes", i, len(q.GetRecords()), proto.Size(m))
		}
	}
	if total != 2100 {
		t.Errorf("%d records sent, want 2100", total)
	}
}

func TestImportIsNotSentAgain(t *testing.T) {
	s := fakeserver.Start(t)
	s.Fail("ImportRecords", fakeserver.Unavailable())
	_, err := dial(t, s).Import(t.Context(), "customers", slices.Values(people(5000)))
	if !errors.Is(err, cloakroom.ErrUnavailable) || asError(t, err).Reason != "STORE_UNAVAILABLE" {
		t.Errorf("error %v, want the vault's own", err)
	}
	if s.Calls("ImportRecords") != 1 {
		t.Errorf("sent %d times", s.Calls("ImportRecords"))
	}
}

func TestImportEnded(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	t.Run("by the server", func(t *testing.T) {
		w, err := client.OpenImport(t.Context(), "horses")
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; err == nil; i++ {
			err = w.Send(cloakroom.RecordInput{SubjectID: fmt.Sprint(i)})
		}
		if !errors.Is(err, cloakroom.ErrUnknownCollection) {
			t.Errorf("Send: %v", err)
		}
		if _, again := w.Close(); !errors.Is(again, cloakroom.ErrUnknownCollection) {
			t.Errorf("Close after that: %v", again)
		}
	})
	t.Run("by Cancel", func(t *testing.T) {
		w, err := client.OpenImport(t.Context(), "customers")
		if err != nil {
			t.Fatal(err)
		}
		w.Cancel()
		if err := w.Send(ada()); err == nil {
			t.Error("Send after Cancel works")
		}
	})
	t.Run("by Close", func(t *testing.T) {
		w, err := client.OpenImport(t.Context(), "customers")
		if err != nil {
			t.Fatal(err)
		}
		if result, err := w.Close(); err != nil || result.Created != 0 {
			t.Errorf("Close of an empty import: %+v, %v", result, err)
		}
		w.Cancel()
		if err := w.Send(ada()); err == nil {
			t.Error("Send after Close works")
		}
	})
}
