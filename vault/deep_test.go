package vault_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// history is a vault with some history, and how its stores were before the
// last part of it.
type history struct {
	*site
	ada, bea, cy, dot, eve uint64 // cy is erased, dot has a record without values, and eve had one
	was, now               dump   // values.db
	wasKeys                dump   // keys.db
	note, photo, email     uint32
	older                  string // the directory before the last part of it
	customers, orders      uint16
}

func newHistory(t *testing.T) *history {
	t.Helper()
	s := &history{site: newSite(t), customers: 1, orders: 2, email: 2, note: 4, photo: 5, older: t.TempDir()}
	put(t, s.h, "mx-ada", "full_name", "Ada Lovelace", "note", "tea", "email", "a@example.org")
	order(t, s.h, "mx-ada", "Main Street 1")
	put(t, s.h, "bea", "note", "milk", "email", "b@example.org", "email", "c@example.org")
	put(t, s.h, "cy", "note", "rum")
	put(t, s.h, "dot")
	put(t, s.h, "eve")
	order(t, s.h, "eve", "High Street 1")
	active, _ := refsOf(t, s.h)
	s.ada, s.bea, s.cy, s.dot, s.eve = active[0], active[1], active[2], active[3], active[4]
	s.was, s.wasKeys = dumpOf(t, s.values, rows.ValueTables()), dumpOf(t, s.keys, rows.KeyTables())
	s.stop()
	s.copyTo(s.older)
	s.start(false)
	upsert(t, s.h, "mx-ada", "note", "coffee", "email", "a@example.org", "email", "d@example.org")
	upsert(t, s.h, "bea", "email", "b@example.org")
	remove(t, s.h, "customers", "cy")
	remove(t, s.h, "customers", "eve")
	s.apply(edited(t, "To help you.", "To help you well."))
	s.now = dumpOf(t, s.values, rows.ValueTables())
	return s
}

// clone copies a stopped vault and opens the copy.
func (s *history) clone(t *testing.T) *history {
	t.Helper()
	c := *s
	c.site, c.older = &site{t: t, dir: t.TempDir()}, t.TempDir()
	s.copyTo(c.dir)
	(&site{t: t, dir: s.older}).copyTo(c.older)
	c.start(false)
	t.Cleanup(c.stop)
	return &c
}

// cell is the key of a cell.
func cell(ref uint64, field uint32, item uint16) []byte { return rows.CellKey(ref, field, item) }

// set changes rows of the value store behind the vault's back; nil deletes.
func (s *history) set(pairs ...[]byte) {
	s.t.Helper()
	for i := 0; i < len(pairs); i += 2 {
		change(s.t, s.values, rows.People, pairs[i], pairs[i+1])
	}
}

// drop deletes a row of any store.
func drop(t *testing.T, s store.Store, table uint8, key []byte) {
	t.Helper()
	var b store.Batch
	b.Delete(table, key)
	if err := s.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

// Whatever is done to a directory behind the vault's back is found and named.
func TestDeepFindsTampering(t *testing.T) {
	base := newHistory(t)
	base.stop()
	for _, c := range []struct {
		name   string
		tamper func(s *history)
		want   []string
	}{
		{"nothing", func(*history) {}, nil},
		{"an older version of a cell", func(s *history) {
			s.set(cell(s.ada, s.note, 1), s.was.row(rows.People, cell(s.ada, s.note, 1)))
		}, []string{"cell_older customers.note 1"}},
		{"a cell of a deleted item", func(s *history) {
			s.set(cell(s.bea, s.email, 2), s.was.row(rows.People, cell(s.bea, s.email, 2)))
		}, []string{"cell_deleted customers.email 2"}},
		{"an erased person", func(s *history) {
			for _, r := range s.was.person(s.cy) {
				s.set(r.Key, r.Value)
			}
			change(s.t, s.keys, rows.Subjects, rows.RefKey(s.cy), s.wasKeys.row(rows.Subjects, rows.RefKey(s.cy)))
			drop(s.t, s.values, rows.Ledger, rows.RefKey(s.cy))
		}, []string{"header_older", "key_erased", "record_older customers", "cell_erased customers.note 1"}},
		{"the key of an erased person", func(s *history) {
			change(s.t, s.keys, rows.Subjects, rows.RefKey(s.cy), s.wasKeys.row(rows.Subjects, rows.RefKey(s.cy)))
		}, []string{"key_erased"}},
		{"a cell moved to another person", func(s *history) {
			s.set(cell(s.ada, s.note, 1), s.now.row(rows.People, cell(s.bea, s.note, 1)))
		}, []string{"cell_closed customers.note 1"}},
		{"a cell moved to another item", func(s *history) {
			s.set(cell(s.ada, s.email, 2), s.now.row(rows.People, cell(s.ada, s.email, 1)))
		}, []string{"cell_closed customers.email 2"}},
		{"a flipped bit", func(s *history) {
			blob := bytes.Clone(s.now.row(rows.People, cell(s.ada, s.note, 1)))
			blob[len(blob)-1] ^= 1
			s.set(cell(s.ada, s.note, 1), blob)
		}, []string{"cell_closed customers.note 1"}},
		{"a cell cut short", func(s *history) {
			s.set(cell(s.ada, s.note, 1), []byte{1})
		}, []string{"cell_closed customers.note 1"}},
		{"a cell that nobody wrote", func(s *history) {
			s.set(cell(s.ada, s.photo, 1), s.now.row(rows.People, cell(s.ada, s.note, 1)))
		}, []string{"cell_unwritten customers.photo 1"}},
		{"a cell of a field that nobody declared", func(s *history) {
			s.set(cell(s.ada, 99, 1), s.now.row(rows.People, cell(s.ada, s.note, 1)))
		}, []string{"cell_unwritten field 99 1"}},
		{"a cell that another run wrote", func(s *history) {
			s.set(cell(s.ada, s.note, 1), foreign(s))
		}, []string{"cell_unwritten customers.note 1"}},
		{"no cell", func(s *history) {
			drop(s.t, s.values, rows.People, cell(s.bea, s.note, 1))
		}, []string{"cell_missing customers.note 1"}},
		{"an older record", func(s *history) {
			s.set(rows.RecordKey(s.bea, s.customers), s.was.row(rows.People, rows.RecordKey(s.bea, s.customers)))
		}, []string{"record_older customers"}},
		{"an older record that has fewer items", func(s *history) {
			s.set(rows.RecordKey(s.ada, s.customers), s.was.row(rows.People, rows.RecordKey(s.ada, s.customers)))
		}, []string{"cell_unlisted customers.email 2", "record_older customers"}},
		{"no record", func(s *history) {
			drop(s.t, s.values, rows.People, rows.RecordKey(s.dot, s.customers))
		}, []string{"header_count", "record_missing customers"}},
		{"a record that nobody wrote", func(s *history) {
			s.set(rows.RecordKey(s.dot, s.orders), s.now.row(rows.People, rows.RecordKey(s.dot, s.customers)))
		}, []string{"record_unwritten orders", "header_count"}},
		{"a deleted record without items", func(s *history) {
			s.set(rows.RecordKey(s.eve, s.customers), s.was.row(rows.People, rows.RecordKey(s.eve, s.customers)))
		}, []string{"record_older customers", "header_count"}},
		{"a record that says deleted", func(s *history) {
			s.set(rows.RecordKey(s.dot, s.customers), s.now.row(rows.People, rows.RecordKey(s.eve, s.customers)))
		}, []string{"record_missing customers", "header_count"}},
		{"no person", func(s *history) {
			for _, r := range s.now.person(s.bea) {
				drop(s.t, s.values, rows.People, r.Key)
			}
			drop(s.t, s.keys, rows.Subjects, rows.RefKey(s.bea))
		}, []string{"person_missing", "record_missing customers", "cell_missing customers.email 1", "cell_missing customers.note 1"}},
		{"no erased person", func(s *history) {
			drop(s.t, s.values, rows.People, rows.HeaderKey(s.cy))
			drop(s.t, s.values, rows.Ledger, rows.RefKey(s.cy))
		}, []string{"header_missing"}},
		{"no header", func(s *history) {
			drop(s.t, s.values, rows.People, rows.HeaderKey(s.bea))
		}, []string{"header_missing"}},
		{"a header that counts too many", func(s *history) {
			h := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1, Records: 2}
			s.set(rows.HeaderKey(s.bea), h.Append(nil))
		}, []string{"header_count"}},
		{"a header that says erased", func(s *history) {
			h := rows.Header{State: rows.Erased, KeyGeneration: 1, TokenGeneration: 1}
			s.set(rows.HeaderKey(s.dot), h.Append(nil))
		}, []string{"ledger_missing", "key_erased", "header_erased"}},
		{"a header that is none", func(s *history) {
			s.set(rows.HeaderKey(s.dot), []byte{1, 2})
		}, []string{"row_damaged"}},
		{"a record that is none", func(s *history) {
			s.set(rows.RecordKey(s.dot, s.customers), []byte{1, 2})
		}, []string{"row_damaged customers", "header_count", "record_missing customers"}},
		{"a key that is none", func(s *history) {
			s.set(append(rows.HeaderKey(s.dot), 1, 2, 3), []byte{1})
		}, []string{"row_damaged"}},
		{"the erased header made active", func(s *history) {
			h := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1}
			s.set(rows.HeaderKey(s.cy), h.Append(nil))
		}, []string{"header_older"}},
		{"no line in the ledger", func(s *history) {
			drop(s.t, s.values, rows.Ledger, rows.RefKey(s.cy))
		}, []string{"ledger_missing"}},
		{"no key", func(s *history) {
			drop(s.t, s.keys, rows.Subjects, rows.RefKey(s.bea))
		}, []string{"key_missing"}},
		{"the key of another person", func(s *history) {
			change(s.t, s.keys, rows.Subjects, rows.RefKey(s.bea), s.wasKeys.row(rows.Subjects, rows.RefKey(s.ada)))
		}, []string{"key_closed"}},
		{"an older policy", func(s *history) {
			s.set(rows.ControlKey, s.was.row(rows.People, rows.ControlKey))
		}, []string{"policy_older", "guard_broken"}},
		{"no document of an older policy", func(s *history) {
			drop(s.t, s.values, rows.Policies, rows.VersionKey(1))
		}, []string{"policy_missing"}},
		{"two persons at once", func(s *history) {
			s.set(cell(s.ada, s.note, 1), s.was.row(rows.People, cell(s.ada, s.note, 1)))
			drop(s.t, s.values, rows.People, cell(s.bea, s.note, 1))
		}, []string{"cell_older customers.note 1", "cell_missing customers.note 1"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := base.clone(t)
			c.tamper(s)
			wantFound(t, s.deep(), c.want...)
		})
	}
}

// foreign returns a cell of ada's note that opens and is in no log that counts.
func foreign(s *history) []byte {
	s.t.Helper()
	other := &site{t: s.t, dir: s.older}
	other.start(false)
	defer other.stop()
	upsert(s.t, other.h, "mx-ada", "note", "water")
	return dumpOf(s.t, other.values, rows.ValueTables()).row(rows.People, cell(s.ada, s.note, 1))
}

// A finding names the entries: the last that wrote the item, and the one whose
// version is there instead. It says nothing that a caller gave.
func TestDeepNamesEntries(t *testing.T) {
	s := newHistory(t)
	wrote := map[audit.Action][]uint64{} // entries about ada's note
	err := s.log.Read(0, func(index uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err != nil {
			return err
		}
		for _, it := range e.Items {
			if it.Field == s.note && it.Item == 1 && it.Hash != [16]byte{} {
				wrote[e.Action] = append(wrote[e.Action], index)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	s.set(cell(s.ada, s.note, 1), s.was.row(rows.People, cell(s.ada, s.note, 1)))
	c := s.deep()
	wantFound(t, c, "cell_older customers.note 1")
	f := c.found[0]
	if want := vault.EntryNumber(wrote[audit.ActionUpdate][0] + 1); f.Last != want {
		t.Errorf("the last is %v, want %v", f.Last, want)
	}
	if want := vault.EntryNumber(wrote[audit.ActionCreate][0] + 1); f.Earlier != want {
		t.Errorf("what is there is of %v, want %v", f.Earlier, want)
	}
	text := f.String()
	for _, want := range []string{f.Person, "customers.note item 1", f.Last.String(), f.Earlier.String(), "put back to an older version"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in %q", want, text)
		}
	}
	for _, secret := range []string{"mx-ada", "tea", "coffee", fmt.Sprint(s.ada), fmt.Sprintf("%x", s.ada)} {
		if strings.Contains(text, secret) {
			t.Errorf("%q holds %q", text, secret)
		}
	}
	if len(f.Person) != 32 {
		t.Errorf("the person is %q", f.Person)
	}
}
