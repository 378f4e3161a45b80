package command_test

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
	cloakroomv1 "github.com/cloakroom-vault/cloakroom/proto/cloakroom/v1"
)

// longLog fills the stand-in with n persons looked at once each.
func longLog(s *script, n int) {
	entries := make([]*cloakroomv1.AuditEntry, n)
	for i := range entries {
		entries[i] = cloakroomv1.AuditEntry_builder{
			Id: fmt.Sprintf("%032x", i), Time: timestamppb.New(timeOfTests()), Principal: "support", Action: "reveal", View: "plain",
			Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED, Count: 1,
			Items: []*cloakroomv1.AuditItem{cloakroomv1.AuditItem_builder{
				Subject: fmt.Sprintf("%032x", i), Field: "customers.email", Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED,
			}.Build()},
		}.Build()
	}
	s.server.Audit.Append(entries...)
}

// Long results are whole in every form, and written before the last row is there.
func TestLongResults(t *testing.T) {
	const n = 12_345
	s := newScript(t, "")
	longLog(s, n)
	for _, args := range []string{"incident exposure", "audit list --limit 0"} {
		t.Run(args, func(t *testing.T) {
			if problem := s.cloakroom("0", strings.Fields(args)); problem != "" {
				t.Fatal(problem, s.stderr)
			}
			rows := 0
			for line := range strings.Lines(s.stdout) {
				if strings.Contains(line, "customers.email  ") {
					rows++
				}
			}
			if rows != n {
				t.Errorf("the table has %d rows", rows)
			}
			if problem := s.cloakroom("0", append(strings.Fields(args), "-o", "csv")); problem != "" {
				t.Fatal(problem, s.stderr)
			}
			lines, err := csv.NewReader(strings.NewReader(s.stdout)).ReadAll()
			if err != nil || len(lines) != n+1 {
				t.Errorf("CSV has %d lines, %v", len(lines), err)
			}
			if problem := s.cloakroom("0", append(strings.Fields(args), "-o", "json")); problem != "" {
				t.Fatal(problem, s.stderr)
			}
			var object struct{ Rows, Entries []json.RawMessage }
			if err := json.Unmarshal([]byte(s.stdout), &object); err != nil || len(object.Rows)+len(object.Entries) != n {
				t.Errorf("JSON has %d rows, %v", len(object.Rows)+len(object.Entries), err)
			}
		})
	}
}

// What a person's id holds drives neither a terminal nor a spreadsheet.
func TestIdsFromOutside(t *testing.T) {
	s := newScript(t, "")
	id := "=1+1\x1b[2J"
	if problem := s.cloakroom("0", []string{"put", "customers", id, "--field", "full_name=x"}); problem != "" {
		t.Fatal(problem, s.stderr)
	}
	s.server.Audit.Append(cloakroomv1.AuditEntry_builder{
		Time: timestamppb.New(timeOfTests()), Principal: "p\x1b[2J", Action: "reveal", View: "plain",
		Items: []*cloakroomv1.AuditItem{cloakroomv1.AuditItem_builder{
			Subject: handle(id), Field: "customers.email", Outcome: cloakroomv1.AuditOutcome_AUDIT_OUTCOME_ALLOWED,
		}.Build()},
	}.Build())
	for _, args := range []string{"incident exposure", "audit list"} {
		if problem := s.cloakroom("0", strings.Fields(args)); problem != "" || bytes.ContainsRune([]byte(s.stdout), '\x1b') {
			t.Errorf("%s: %s\n%q", args, problem, s.stdout)
		}
	}
	if problem := s.cloakroom("0", []string{"incident", "exposure", "-o", "csv"}); problem != "" || !strings.Contains(s.stdout, ",'=1+1") {
		t.Errorf("%s\n%q", problem, s.stdout)
	}
}

func handle(id string) string { return fakeserver.Handle(id) }

func timeOfTests() time.Time { return time.Date(2026, 11, 22, 6, 0, 0, 0, time.UTC) }
