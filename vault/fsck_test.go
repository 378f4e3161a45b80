package vault_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// faultsOf are the faults of a check, sorted, without persons and details.
func faultsOf(all []vault.Fault) []string {
	var out []string
	for _, f := range all {
		line := string(f.Kind)
		if f.Field != "" {
			line += " " + f.Field
		}
		if f.Item != 0 {
			line += fmt.Sprint(" ", f.Item)
		}
		if f.Repaired {
			line += " repaired"
		}
		out = append(out, line)
	}
	slices.Sort(out)
	return out
}

// checkOnline checks an open vault.
func checkOnline(t *testing.T, v *vault.Vault, repair bool) (*vault.CheckReport, []string) {
	t.Helper()
	var all []vault.Fault
	r, err := v.Check(t.Context(), vault.CheckOptions{Repair: repair, Found: func(f vault.Fault) { all = append(all, f) }})
	if err != nil {
		t.Fatal(err)
	}
	if r.Faults != uint64(len(all)) {
		t.Errorf("%d faults are counted and %d were told", r.Faults, len(all))
	}
	return r, faultsOf(all)
}

// checkDir checks the directory of a stopped vault.
func checkDir(ctx context.Context, dir string, repair bool) (_ *vault.CheckReport, _ []string, err error) {
	kek, epochs, err := secrets(dir)
	if err != nil {
		return nil, nil, err
	}
	keyStore, err := boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "keys.db"), Tables: rows.KeyTables()})
	if err != nil {
		return nil, nil, err
	}
	defer func() { err = errors.Join(err, keyStore.Close()) }()
	var all []vault.Fault
	r, err := vault.Check(ctx, vault.Options{Keys: keyStore, KEK: kek, Epochs: epochs, Log: audit.Memory(), Values: func(s vault.Sealer) (store.Store, error) {
		return boltstore.Open(boltstore.Options{Path: filepath.Join(dir, "values.db"), Tables: rows.ValueTables(), Seal: s})
	}}, vault.CheckOptions{Repair: repair, Found: func(f vault.Fault) { all = append(all, f) }})
	return r, faultsOf(all), err
}

// busy fills a vault with what a check looks at.
func busy(t *testing.T, h *vaulttest.Harness) {
	t.Helper()
	for i := range 40 {
		subject := fmt.Sprintf("c-%d", i)
		upsert(t, h, subject, "full_name", "Ada", "email", "a@example.org", "email", "b@example.org")
		if i%3 == 0 {
			order(t, h, subject, "Main Street 1")
		}
		if i%4 == 0 {
			remove(t, h, "customers", subject)
		}
	}
	freeze(t, h, vault.FreezeRole, "billing")
}

func TestCheckOfAGoodVault(t *testing.T) {
	s := newSite(t)
	busy(t, s.h)
	r, faults := checkOnline(t, s.vault, false)
	if len(faults) > 0 || r.Persons != 40 || r.Erased != 6 || r.Records != 44 || r.Cells != 104 || r.Keys != 34 || r.Sealed == 0 {
		t.Errorf("found %q in %+v", faults, *r)
	}
	s.stop()
	r, faults, err := checkDir(t.Context(), s.dir, false)
	if err != nil || len(faults) > 0 || r.Persons != 40 || r.Cells != 104 {
		t.Errorf("offline: found %q in %+v, %v", faults, r, err)
	}
	s.start(false)
}

// While callers write, nothing looks wrong that is not.
func TestCheckWhileCallersWrite(t *testing.T) {
	s := newSite(t)
	busy(t, s.h)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				subject := fmt.Sprintf("w%d-%d", w, i%5)
				_, err := s.vault.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{
					record(subject, "full_name", "Bob", "email", fmt.Sprintf("a%d@example.org", i)),
				}})
				if err == nil && i%3 == 0 {
					_, err = s.vault.DeleteRecord(ctx, as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: subject})
				}
				if err != nil && ctx.Err() == nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range 20 {
		if _, faults := checkOnline(t, s.vault, i%2 == 1); len(faults) > 0 {
			t.Errorf("found %q", faults)
		}
	}
	cancel()
	wg.Wait()
}

func TestCheckFindsAndRepairs(t *testing.T) {
	for _, c := range []struct {
		name   string
		damage func(t *testing.T, h *vaulttest.Harness, ref uint64)
		want   []string // found
		left   []string // after a repair
	}{
		{"a member is missing", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			drop(t, h.Values, rows.Members, rows.MemberKey(1, ref))
		}, []string{"member_missing customers"}, nil},
		{"a member too many", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			change(t, h.Values, rows.Members, rows.MemberKey(2, ref), []byte{})
		}, []string{"member_stale orders"}, nil},
		{"a count in a header", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			header := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1, Records: 7}
			change(t, h.Values, rows.People, rows.HeaderKey(ref), header.Append(nil))
		}, []string{"header_count"}, nil},
		{"a key without a person", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			change(t, h.Keys, rows.Subjects, rows.RefKey(ref+100), []byte("spare"))
		}, []string{"key_spare"}, nil},
		{"a cell is missing", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			drop(t, h.Values, rows.People, rows.CellKey(ref, 2, 1))
		}, []string{"cell_missing customers.email 1"}, []string{"cell_missing customers.email 1"}},
		{"a cell is not listed", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			blob := dumpOf(t, h.Values, rows.ValueTables()).row(rows.People, rows.CellKey(ref, 2, 1))
			change(t, h.Values, rows.People, rows.CellKey(ref, 2, 9), blob)
		}, []string{"cell_closed customers.email 9", "cell_unlisted customers.email 9"}, []string{"cell_closed customers.email 9", "cell_unlisted customers.email 9"}},
		{"a cell of an unknown field", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			change(t, h.Values, rows.People, rows.CellKey(ref, 200, 1), []byte("x"))
		}, []string{"field_unknown field 200 1"}, []string{"field_unknown field 200 1"}},
		{"a key is missing", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			drop(t, h.Keys, rows.Subjects, rows.RefKey(ref))
		}, []string{"key_missing"}, []string{"key_missing"}},
		{"a key does not open", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			change(t, h.Keys, rows.Subjects, rows.RefKey(ref), []byte("other"))
		}, []string{"key_closed"}, []string{"key_closed"}},
		{"an id is missing", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			drop(t, h.Values, rows.People, rows.IdentityKey(ref))
		}, []string{"identity"}, []string{"identity"}},
		{"a header is missing", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			drop(t, h.Values, rows.People, rows.HeaderKey(ref))
		}, []string{"header_missing"}, []string{"header_missing"}},
		{"a header is damaged", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			change(t, h.Values, rows.People, rows.HeaderKey(ref), []byte{9})
		}, []string{"header_missing", "row_damaged"}, []string{"header_missing", "row_damaged"}},
		{"the ledger knows better", func(t *testing.T, h *vaulttest.Harness, ref uint64) {
			change(t, h.Values, rows.Ledger, rows.RefKey(ref), rows.AppendLedger(nil, 0))
		}, []string{"ledger"}, []string{"ledger"}},
		{"a freeze is gone", func(t *testing.T, h *vaulttest.Harness, _ uint64) {
			drop(t, h.Values, rows.Freezes, rows.NumberKey(1))
		}, []string{"decided_by"}, []string{"decided_by"}},
		{"a freeze is changed", func(t *testing.T, h *vaulttest.Harness, _ uint64) {
			change(t, h.Values, rows.Freezes, rows.NumberKey(1), []byte("x"))
		}, []string{"decided_by", "sealed_row"}, []string{"decided_by", "sealed_row"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSite(t)
			put(t, s.h, "c-1", "full_name", "Ada", "email", "a@example.org")
			freeze(t, s.h, vault.FreezeRole, "billing")
			active, _ := refsOf(t, s.h)
			c.damage(t, s.h, active[0])
			s.stop()
			for _, repair := range []bool{false, true} {
				want := slices.Clone(c.want)
				if repair && c.left == nil {
					for i := range want {
						want[i] += " repaired"
					}
				}
				if _, faults, err := checkDir(t.Context(), s.dir, repair); err != nil || !slices.Equal(faults, want) {
					t.Errorf("repair %t: found %q, %v, want %q", repair, faults, err, want)
				}
			}
			if _, faults, err := checkDir(t.Context(), s.dir, false); err != nil || !slices.Equal(faults, c.left) {
				t.Errorf("afterwards: found %q, %v, want %q", faults, err, c.left)
			}
		})
	}
}

// lookupRows remembers the rows that are written to the look-up.
type lookupRows struct {
	*boltstore.Store
	written map[string]uint64
}

func (l *lookupRows) Commit(ctx context.Context, b *store.Batch) error {
	for _, w := range b.Writes {
		if w.Table == rows.Lookup && w.Op == store.OpPut {
			ref, err := rows.ParseRef(w.Value)
			if err != nil {
				return err
			}
			l.written[string(w.Key)] = ref
		}
	}
	return l.Store.Commit(ctx, b)
}

// The look-up can be repaired while the vault serves.
func TestCheckRepairsTheLookUp(t *testing.T) {
	h := vaulttest.OnDisk(t)
	l := &lookupRows{written: map[string]uint64{}}
	h.Wrap = func(s store.Store) store.Store {
		l.Store = s.(*boltstore.Store)
		return l
	}
	h.Reopen()
	h.Apply(testPolicy)
	put(t, h, "c-1", "full_name", "Ada")
	put(t, h, "c-2", "full_name", "Bob")
	var keys []string
	for key := range l.written {
		keys = append(keys, key)
	}
	slices.SortFunc(keys, func(a, b string) int { return int(l.written[a]) - int(l.written[b]) })
	drop(t, h.Values, rows.Lookup, []byte(keys[0]))
	if get(t, h, "c-1") != nil {
		t.Fatal("the person is found without the row")
	}
	if _, faults := checkOnline(t, h.Vault, true); !slices.Equal(faults, []string{"lookup repaired"}) {
		t.Errorf("found %q", faults)
	}
	if get(t, h, "c-1") == nil {
		t.Error("the person is not found after the repair")
	}
	if _, faults := checkOnline(t, h.Vault, false); len(faults) > 0 {
		t.Errorf("found %q", faults)
	}
	// A row that finds somebody else is not for a program to judge.
	change(t, h.Values, rows.Lookup, []byte(keys[0]), rows.RefKey(l.written[keys[1]]))
	if _, faults := checkOnline(t, h.Vault, true); !slices.Equal(faults, []string{"lookup_other"}) {
		t.Errorf("found %q", faults)
	}
}

func TestFaultsHoldNoIDs(t *testing.T) {
	s := newSite(t)
	put(t, s.h, "canary-person", "full_name", "Canary Value")
	active, _ := refsOf(t, s.h)
	drop(t, s.h.Keys, rows.Subjects, rows.RefKey(active[0]))
	drop(t, s.h.Values, rows.Members, rows.MemberKey(1, active[0]))
	var text strings.Builder
	if _, err := s.vault.Check(t.Context(), vault.CheckOptions{Found: func(f vault.Fault) { fmt.Fprintln(&text, f) }}); err != nil {
		t.Fatal(err)
	}
	if strings.Contains(text.String(), "anary") || !strings.Contains(text.String(), "key_missing person ") {
		t.Errorf("told %q", text.String())
	}
}
