package index_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/audit/index"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
)

// The index follows a real log into a real store, over restarts of both.
func TestRealLogAndStore(t *testing.T) {
	dir, total := t.TempDir(), 0
	for round := range 4 {
		log, err := audit.Open(filepath.Join(dir, "log"), audit.Options{SegmentSize: 64 << 10})
		if err != nil {
			t.Fatal(err)
		}
		s, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "index.db"), Tables: index.Tables()})
		if err != nil {
			t.Fatal(err)
		}
		told := &lines{}
		x := open(t, index.Options{Log: log, Store: s, LotEntries: 300, Logger: told.logger()})
		var last audit.Receipt
		for range 1000 {
			last = log.Append(entry(total, fmt.Sprint(total%3), total%50))
			total++
		}
		if _, err := last.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := x.Await(t.Context(), log.Size()); err != nil {
			t.Fatal(err)
		}
		for n := range 51 {
			found := 0
			covered, err := x.Find(t.Context(), index.Query{All: []index.Key{index.Subject(subject(n)), index.Principal("1")}}, func(i uint64) error {
				found++
				if int(i)%50 != n || i%3 != 1 {
					t.Errorf("round %d: entry %d is not of subject %d", round, i, n)
				}
				return nil
			})
			want := 0
			for i := range total {
				if i%50 == n && i%3 == 1 {
					want++
				}
			}
			if err != nil || found != want || covered != uint64(total) {
				t.Errorf("round %d, subject %d: %d found, want %d, covered %d: %v", round, n, found, want, covered, err)
			}
		}
		if err := x.Healthy(); err != nil {
			t.Error(err)
		}
		if err := s.Check(t.Context()); err != nil {
			t.Error(err)
		}
		for what, close := range map[string]func() error{"index": x.Close, "log": log.Close} {
			if err := close(); err != nil {
				t.Errorf("close the %s: %v", what, err)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if len(told.all) > 0 {
			t.Errorf("round %d: told %q", round, told.all)
		}
	}
}
