package cloakroom_test

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

func TestRecordLife(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()

	put, err := client.Put(ctx, "customers", ada())
	if err != nil || !put.Created || put.Err != nil {
		t.Fatalf("Put: %+v, %v", put, err)
	}
	day := time.Date(2026, 11, 22, 9, 30, 0, 0, time.UTC)
	want := cloakroom.Record{Collection: "customers", SubjectID: "C1", ETag: "e1", CreateTime: day, UpdateTime: day,
		Fields: []cloakroom.FieldTokens{
			{Field: "email", Tokens: []string{fakeserver.Token("", "C1", "email", 0)}},
			{Field: "phone", Tokens: []string{fakeserver.Token("", "C1", "phone", 0), fakeserver.Token("", "C1", "phone", 1)}},
			{Field: "photo", Tokens: []string{fakeserver.Token("", "C1", "photo", 0)}},
		}}
	if diff := cmp.Diff(want, put.Record); diff != "" {
		t.Error(diff)
	}
	if token := put.Record.Token("email"); !regexp.MustCompile("^" + cloakroom.TokenPattern + "$").MatchString(token) {
		t.Error("the token does not match TokenPattern")
	}
	if put.Record.Token("iban") != "" || put.Record.Tokens("iban") != nil || len(put.Record.Tokens("phone")) != 2 {
		t.Error("Token or Tokens answers wrongly")
	}

	if _, err = client.Put(ctx, "customers", ada()); !errors.Is(err, cloakroom.ErrRecordExists) || !errors.Is(err, cloakroom.ErrAlreadyExists) {
		t.Errorf("second Put: %v", err)
	}
	if put, err = client.Put(ctx, "customers", ada(), cloakroom.Upsert()); err != nil || put.Created {
		t.Errorf("Put with Upsert: created %v, %v", put.Created, err)
	}

	got, err := client.Get(ctx, "customers", "C1", cloakroom.InDomain("analytics"))
	if err != nil || got.Token("email") != fakeserver.Token("analytics", "C1", "email", 0) {
		t.Errorf("Get in another domain: %v", err)
	}
	if _, err = client.Get(ctx, "customers", "C2"); !errors.Is(err, cloakroom.ErrRecordNotFound) {
		t.Errorf("Get of nobody: %v", err)
	}
	if _, err = client.Get(ctx, "horses", "C1"); !errors.Is(err, cloakroom.ErrUnknownCollection) {
		t.Errorf("Get in an unknown collection: %v", err)
	}

	change := cloakroom.RecordInput{SubjectID: "C1", Fields: cloakroom.Fields{"email": cloakroom.Texts("ada@example.net")}}
	if _, err = client.Update(ctx, "customers", change, cloakroom.IfETag("e1")); !errors.Is(err, cloakroom.ErrETagMismatch) {
		t.Errorf("Update with a stale etag: %v", err)
	}
	got, err = client.Update(ctx, "customers", change, cloakroom.IfETag("e2"), cloakroom.Clear("phone"))
	if err != nil || got.Token("email") == "" || got.Tokens("phone") != nil || got.Token("photo") == "" {
		t.Errorf("Update with Clear: %+v, %v", got, err)
	}

	if _, err = client.Delete(ctx, "customers", "C1", cloakroom.IfETag("e1")); !errors.Is(err, cloakroom.ErrAborted) {
		t.Errorf("Delete with a stale etag: %v", err)
	}
	if n, err := client.Delete(ctx, "customers", "C1", cloakroom.IfETag("e3")); err != nil || n != 2 {
		t.Errorf("Delete: %d values, %v", n, err)
	}
}

func TestUpdateMask(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	for _, tc := range []struct {
		name    string
		options []cloakroom.UpdateOption
		want    []string
	}{
		{"fields given", nil, nil},
		{"Mask as it is", []cloakroom.UpdateOption{cloakroom.Mask("email", "iban")}, []string{"email", "iban"}},
		{"Clear beside the fields given", []cloakroom.UpdateOption{cloakroom.Clear("iban", "iban")}, []string{"email", "phone", "photo", "iban"}},
		{"Clear beside Mask", []cloakroom.UpdateOption{cloakroom.Clear("iban"), cloakroom.Mask("phone")}, []string{"phone", "iban"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, _ = client.Update(t.Context(), "customers", ada(), tc.options...)
			all := s.Received("UpdateRecord")
			got := all[len(all)-1].(*cloakroomv1.UpdateRecordRequest).GetUpdateMask().GetPaths()
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func people(n int) []cloakroom.RecordInput {
	all := make([]cloakroom.RecordInput, n)
	for i := range all {
		email := fmt.Sprintf("p%d@example.org", i)
		if i%100 == 7 {
			email = "call me"
		}
		all[i] = cloakroom.RecordInput{SubjectID: fmt.Sprintf("P%d", i), Fields: cloakroom.Fields{"email": cloakroom.Texts(email)}}
	}
	return all
}

func TestPutManyAndBatchGetSplitInOrder(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	for _, n := range []int{0, 1, 1000, 1001, 2500} {
		before := s.Calls("PutRecords")
		results, err := client.PutMany(ctx, "customers", people(n), cloakroom.Upsert())
		if err != nil || len(results) != n || s.Calls("PutRecords")-before != (n+999)/1000 {
			t.Fatalf("PutMany of %d: %d results, %d calls, %v", n, len(results), s.Calls("PutRecords")-before, err)
		}
		for i, r := range results {
			if bad := i%100 == 7; bad {
				if e := asError(t, r.Err); !errors.Is(r.Err, cloakroom.ErrInvalidValue) || e.Field != "email" || e.Rule != "email_syntax" {
					t.Fatalf("record %d: %v", i, r.Err)
				}
			} else if r.Err != nil || r.Record.SubjectID != fmt.Sprintf("P%d", i) {
				t.Fatalf("record %d: %+v", i, r)
			}
		}
	}
	ids := make([]string, 2500)
	for i := range ids {
		ids[i] = fmt.Sprintf("P%d", i)
	}
	got, err := client.BatchGet(ctx, "customers", ids)
	if err != nil || len(got) != 2500 || s.Calls("BatchGetRecords") != 3 {
		t.Fatalf("BatchGet: %d results, %d calls, %v", len(got), s.Calls("BatchGetRecords"), err)
	}
	for i, r := range got {
		if bad := i%100 == 7; bad != errors.Is(r.Err, cloakroom.ErrNotFound) || !bad && r.Record.SubjectID != ids[i] {
			t.Fatalf("id %d: %+v", i, r)
		}
	}
}

func TestPutManyKeepsResultsBeforeAFailure(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s)
	s.Fail("PutRecords", nil, fakeserver.Busy(-1))
	results, err := client.PutMany(t.Context(), "customers", people(1500))
	if !errors.Is(err, cloakroom.ErrResourceExhausted) || len(results) != 1000 {
		t.Errorf("%d results, %v", len(results), err)
	}
}

func TestPutManySplitsBySize(t *testing.T) {
	s := fakeserver.Start(t)
	records := people(60)
	for i := range records {
		records[i].Fields["street"] = cloakroom.Texts(strings.Repeat("x", 60_000))
	}
	if _, err := dial(t, s).PutMany(t.Context(), "customers", records); err != nil {
		t.Fatal(err)
	}
	for i, m := range s.Received("PutRecords") {
		if n := len(m.(*cloakroomv1.PutRecordsRequest).GetRecords()); n > 17 {
			t.Errorf("message %d holds %d records of 60 kB", i, n)
		}
	}
}

func TestList(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	if _, err := client.PutMany(ctx, "customers", people(7)); err != nil {
		t.Fatal(err)
	}
	n := 0
	for record, err := range client.List(ctx, "customers", cloakroom.PageSize(3)) {
		if want := fmt.Sprintf("P%d", n); err != nil || record.SubjectID != want {
			t.Fatalf("record %d: %q, %v", n, record.SubjectID, err)
		}
		n++
	}
	if n != 7 || s.Calls("ListRecords") != 3 {
		t.Errorf("%d records by %d calls, want 7 by 3", n, s.Calls("ListRecords"))
	}
	for range client.List(ctx, "customers", cloakroom.PageSize(3)) {
		break
	}
	if s.Calls("ListRecords") != 4 {
		t.Error("a loop that was left went on fetching")
	}
	s.Fail("ListRecords", nil, fakeserver.Busy(-1))
	var errs []error
	for _, err := range client.List(ctx, "customers", cloakroom.PageSize(4)) {
		errs = append(errs, err)
	}
	if len(errs) != 5 || !errors.Is(errs[4], cloakroom.ErrResourceExhausted) {
		t.Errorf("a failing page gave %v", errs)
	}
}

func TestDomainOfTheClient(t *testing.T) {
	s := fakeserver.Start(t)
	client := dial(t, s, cloakroom.WithDomain("analytics"))
	put, err := client.Put(t.Context(), "customers", ada())
	if err != nil || put.Record.Token("email") != fakeserver.Token("analytics", "C1", "email", 0) {
		t.Errorf("Put: token of another domain, %v", err)
	}
	got, err := client.Get(t.Context(), "customers", "C1", cloakroom.InDomain("default"))
	if err != nil || got.Token("email") != fakeserver.Token("default", "C1", "email", 0) {
		t.Errorf("Get: InDomain does not win, %v", err)
	}
}

// Text that is not UTF-8 must not reach gRPC, which would fail the neighbours.
func TestTextThatIsNotUTF8(t *testing.T) {
	s := fakeserver.Start(t)
	client, ctx := dial(t, s), t.Context()
	bad := cloakroom.RecordInput{SubjectID: "B", Fields: cloakroom.Fields{"city": cloakroom.Texts("K\xf6ln")}}
	for name, do := range map[string]func() error{
		"Put":     func() error { _, err := client.Put(ctx, "customers", bad); return err },
		"PutMany": func() error { _, err := client.PutMany(ctx, "customers", append(people(3), bad)); return err },
		"Update":  func() error { _, err := client.Update(ctx, "customers", bad); return err },
		"Tokenize": func() error {
			_, err := client.TokenizeOne(ctx, "customers", "city", "B", bad.Fields["city"][0])
			return err
		},
	} {
		err := do()
		if e := asError(t, err); !errors.Is(err, cloakroom.ErrInvalidValue) || e.Field != "city" || e.Rule != "utf8" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := client.Put(ctx, "customers", cloakroom.RecordInput{SubjectID: "\xff"}); !errors.Is(err, cloakroom.ErrInvalidArgument) {
		t.Errorf("subject id: %v", err)
	}
	if n := s.Calls("PutRecord") + s.Calls("PutRecords") + s.Calls("UpdateRecord") + s.Calls("Tokenize"); n != 0 {
		t.Errorf("%d calls were sent", n)
	}

	w, err := client.OpenImport(ctx, "customers")
	if err != nil {
		t.Fatal(err)
	}
	defer w.Cancel()
	if err := w.Send(bad); !errors.Is(err, cloakroom.ErrInvalidValue) {
		t.Errorf("Send: %v", err)
	}
	if err := w.Send(ada()); err != nil {
		t.Errorf("Send after it: %v", err)
	}
	if result, err := w.Close(); err != nil || result.Created != 1 {
		t.Errorf("Close: %+v, %v", result, err)
	}
}
