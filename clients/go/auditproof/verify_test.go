package auditproof_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	cloakroom "github.com/cloakroom-vault/cloakroom/clients/go"
	"github.com/cloakroom-vault/cloakroom/clients/go/auditproof"
	"github.com/cloakroom-vault/cloakroom/clients/go/fakeserver"
)

func TestVerifyLogThatHolds(t *testing.T) {
	for _, tc := range []struct{ size, first, earlier int }{
		{0, 0, -1}, {0, 0, 0}, {1, 0, -1}, {1, 0, 0}, {2, 0, 1}, {7, 0, 7}, {256, 0, 100}, {1000, 0, 999},
		{2, 1, -1}, {7, 6, 3}, {8, 4, 4}, {300, 255, 10}, {300, 256, 280}, {300, 299, 299}, {301, 77, 77},
	} {
		t.Run(fmt.Sprintf("%+v", tc), func(t *testing.T) {
			s, client, key := rig(t, max(tc.earlier, 0))
			var o auditproof.Options
			if tc.earlier >= 0 {
				o.Earlier = kept(t, client, key)
			}
			s.Audit.Append(fakeserver.SampleEntries(tc.size)[max(tc.earlier, 0):]...)
			s.Audit.Prune(tc.first)
			report, err := auditproof.VerifyLog(t.Context(), client, key, o)
			if err != nil {
				t.Fatal(err)
			}
			if report.Checkpoint.Size != uint64(tc.size) || report.FirstIndex != uint64(tc.first) || report.Entries != uint64(tc.size-tc.first) ||
				report.Checkpoint.Origin != fakeserver.Origin {
				t.Errorf("report %+v of %+v", report, report.Checkpoint)
			}
		})
	}
}

// Every kind of deceit is found, and named.
func TestVerifyLogNamesTheFault(t *testing.T) {
	for _, tc := range []struct {
		name  string
		keep  bool // a checkpoint is kept from before
		lie   func(*testing.T, *fakeserver.Server)
		want  error
		entry uint64 // of an *EntryError
		text  string
	}{
		{"an altered checkpoint", false, func(_ *testing.T, s *fakeserver.Server) { s.Audit.AlterRoot() }, auditproof.ErrCheckpoint, 0, "no good signature"},
		{"another key of the same name", false, func(t *testing.T, s *fakeserver.Server) { s.Audit.SignAs(t, fakeserver.Origin, 2) }, auditproof.ErrCheckpoint, 0, "no good signature"},
		{"another log", false, func(t *testing.T, s *fakeserver.Server) { s.Audit.SignAs(t, "cloakroom.vault/other", 1) }, auditproof.ErrCheckpoint, 0, "no good signature"},
		{"put back", true, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Rollback(2990) }, auditproof.ErrRolledBack, 0, "2990 entries and had 3000"},
		{"put back and grown", true, func(_ *testing.T, s *fakeserver.Server) {
			s.Audit.Rollback(2990)
			more := fakeserver.SampleEntries(60)
			more[0].SetPrincipal("other")
			s.Audit.Append(more...)
		}, auditproof.ErrRewritten, 0, "first 3000"},
		{"written anew", true, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Rewrite(17) }, auditproof.ErrRewritten, 0, "3000 entries are not those"},
		{"consistency without its last hash", true, func(_ *testing.T, s *fakeserver.Server) {
			s.Audit.Append(fakeserver.SampleEntries(7)...)
			s.Audit.DropHash()
		}, auditproof.ErrRewritten, 0, "nothing proves"},
		{"inclusion without its last hash", false, func(_ *testing.T, s *fakeserver.Server) {
			s.Audit.Prune(100)
			s.Audit.DropHash()
		}, auditproof.ErrProof, 0, "entry 100"},
		{"a wrong proof of the first entry kept", false, func(_ *testing.T, s *fakeserver.Server) {
			s.Audit.Prune(100)
			s.Audit.AlterProofs(0)
		}, auditproof.ErrProof, 0, "entry 100"},
		{"an export that ends early", false, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Truncate(1234) }, auditproof.ErrIncomplete, 0, "ends before entry 1234"},
		{"an export of nothing", false, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Truncate(0) }, auditproof.ErrIncomplete, 0, "ends before entry 0"},
		{"the first two entries swapped", false, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Swap(0) }, auditproof.ErrEntry, 0, ""},
		{"two entries swapped", false, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Swap(1777) }, auditproof.ErrEntry, 1777, ""},
		{"the last two entries swapped", false, func(_ *testing.T, s *fakeserver.Server) { s.Audit.Swap(2998) }, auditproof.ErrEntry, 2998, ""},
		{"two entries swapped in a pruned log", false, func(_ *testing.T, s *fakeserver.Server) {
			s.Audit.Prune(1500)
			s.Audit.Swap(1500)
		}, auditproof.ErrEntry, 1500, ""},
		{"two entries swapped, and no proof which", false, func(_ *testing.T, s *fakeserver.Server) {
			s.Audit.Swap(1777)
			s.Audit.AlterProofs(1)
		}, auditproof.ErrEntry, 0, "which is not known"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, client, key := rig(t, 3000)
			var o auditproof.Options
			if tc.keep {
				o.Earlier = kept(t, client, key)
			}
			if _, err := auditproof.VerifyLog(t.Context(), client, key, o); err != nil {
				t.Fatalf("before the lie: %v", err)
			}
			tc.lie(t, s)
			_, err := auditproof.VerifyLog(t.Context(), client, key, o)
			if !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("found %v", err)
			}
			var entry *auditproof.EntryError
			if tc.text == "" && (!errors.As(err, &entry) || entry.Index != tc.entry) {
				t.Errorf("found %v, want entry %d", err, tc.entry)
			}
		})
	}
}

// A vault that cannot be reached is no log that was tampered with.
func TestVerifyLogPassesOnFailedCalls(t *testing.T) {
	for _, method := range []string{"GetCheckpoint", "GetConsistencyProof", "ExportEntries", "GetInclusionProof"} {
		t.Run(method, func(t *testing.T) {
			s, client, key := rig(t, 10)
			o := auditproof.Options{Earlier: kept(t, client, key)}
			s.Audit.Append(fakeserver.SampleEntries(10)...)
			s.Audit.Prune(3)
			s.Fail(method, fakeserver.Busy(-1))
			_, err := auditproof.VerifyLog(t.Context(), client, key, o)
			if !errors.Is(err, cloakroom.ErrResourceExhausted) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestEarlierCheckpointOfAnotherLog(t *testing.T) {
	_, client, key := rig(t, 10)
	earlier := kept(t, client, key)
	earlier.Origin = "cloakroom.vault/other"
	if _, err := auditproof.VerifyLog(t.Context(), client, key, auditproof.Options{Earlier: earlier}); !errors.Is(err, auditproof.ErrCheckpoint) {
		t.Errorf("%v", err)
	}
}

func TestProgress(t *testing.T) {
	_, client, key := rig(t, 9000)
	var seen []uint64
	_, err := auditproof.VerifyLog(t.Context(), client, key, auditproof.Options{Progress: func(done, total uint64) {
		if total != 9000 {
			t.Errorf("total %d", total)
		}
		seen = append(seen, done)
	}})
	if err != nil || len(seen) != 2 || seen[1] != 8192 {
		t.Errorf("progress %v, %v", seen, err)
	}
}
