package vault_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/filekek"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// Nothing that the vault itself does looks like tampering.
func TestDeepOfABusyVault(t *testing.T) {
	s := newSite(t)
	for round := range 3 {
		for i := range 20 {
			subject := fmt.Sprintf("c-%d", i)
			upsert(t, s.h, subject, "full_name", fmt.Sprintf("N %d", round), "email", fmt.Sprintf("a%d@example.org", round), "email", "b@example.org")
			if i%3 == round {
				upsert(t, s.h, subject, "email", "c@example.org")
			}
			if i%4 == 0 && round == 0 {
				order(t, s.h, subject, "Main Street 1")
			}
			if i%5 == round {
				remove(t, s.h, "customers", subject) // with the last record the person goes
			}
		}
		tokenize(t, s.h, "email", "c-19", "d@example.org", "c-18", "c@example.org", "new", "e@example.org")
		put(t, s.h, fmt.Sprintf("empty-%d", round))
		s.restart()
	}
	remove(t, s.h, "customers", "empty-0")
	upsert(t, s.h, "c-1", "note", "tea")
	if _, err := s.vault.UpdateRecord(t.Context(), as("shop"), vault.UpdateRequest{
		Collection: "customers", Record: record("c-1"), Mask: []string{"note"},
	}); err != nil {
		t.Fatal(err)
	}
	s.apply(dropNote(t))
	upsert(t, s.h, "c-1", "full_name", "After The Drop")
	active, erased := refsOf(t, s.h)
	cells := 0
	for _, ref := range active {
		cells += len(cellsOf(t, s.h, ref))
	}
	c := s.deep()
	wantFound(t, c)
	if r := c.report; r.Persons != uint64(len(active)+len(erased)) || r.Erased != uint64(len(erased)) || r.Cells != uint64(cells) || r.Older != 0 || r.Outbox != 0 || r.Entries == 0 {
		t.Errorf("counted %+v; want %d active, %d erased, %d cells", *r, len(active), len(erased), cells)
	}
}

// Many persons are read in pages, and so are their keys and the ledger.
func TestDeepOfManyPersons(t *testing.T) {
	const persons = 1100
	h := open(t)
	for first := 0; first < persons; first += 100 {
		if _, err := h.Vault.PutRecords(t.Context(), as("shop"), benchBatch(first, 100, false)); err != nil {
			t.Fatal(err)
		}
	}
	active, _ := refsOf(t, h)
	last := active[persons-1]
	beyond := rows.RefKey(last + 1)
	change(t, h.Keys, rows.Subjects, beyond, []byte("a key made ahead of need"))
	c := deepMemory(t, h, h.Log)
	wantFound(t, c)
	if r := c.report; r.Persons != persons || r.Cells != 3*persons || r.SpareKeys != 1 || r.Entries < persons {
		t.Errorf("counted %+v", *r)
	}
	for _, ref := range active[:persons-1] {
		change(t, h.Values, rows.Ledger, rows.RefKey(ref), rows.AppendLedger(nil, 0))
	}
	change(t, h.Values, rows.Ledger, beyond, rows.AppendLedger(nil, 0))
	drop(t, h.Keys, rows.Subjects, rows.RefKey(last))
	c = deepMemory(t, h, h.Log)
	if n := len(c.found); n != 2*(persons-1)+2 { // active and with a key, though the ledger says erased
		t.Fatalf("%d findings", n)
	}
	c.found = c.found[2*(persons-1)-2:]
	wantFound(t, c, "header_older", "key_erased", "key_missing", "header_missing")
}

// A collection that is renamed keeps its number, and its name may be used for
// another.
func TestDeepFollowsNames(t *testing.T) {
	s := newSite(t)
	put(t, s.h, "c-1", "full_name", "Ada Lovelace")
	order(t, s.h, "c-1", "Main Street 1")
	put(t, s.h, "c-2")
	renamed := strings.ReplaceAll(edited(t, "name: orders\n", "name: parcels\n    renamed_from: orders\n"), "orders.*", "parcels.*")
	s.apply(renamed)
	again := strings.Replace(renamed, "    renamed_from: orders\n", "", 1)
	s.apply(strings.ReplaceAll(strings.Replace(again, "roles:\n", "  - name: orders\n    fields:\n"+
		"      - {name: street, type: street, category: user.contact.address, purposes: [payment]}\nroles:\n", 1), "parcels.*", "orders.*"))
	order(t, s.h, "c-2", "High Street 1")
	remove(t, s.h, "orders", "c-2")
	c := s.deep()
	wantFound(t, c)
	if c.report.Cells != 2 {
		t.Errorf("%d cells", c.report.Cells)
	}
}

// A crash at any moment leaves nothing that looks like tampering, before the
// next start has put it right.
func TestDeepAfterKills(t *testing.T) {
	dir := t.TempDir()
	if err := filekek.Generate(filepath.Join(dir, "kek")); err != nil {
		t.Fatal(err)
	}
	if _, err := filekek.CreateEpochs(filepath.Join(dir, "epochs")); err != nil {
		t.Fatal(err)
	}
	p, err := openParts(t.Context(), dir, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.vault.ApplyPolicy(t.Context(), as("admin"), vault.ApplyRequest{Document: []byte(testPolicy)}); err != nil {
		t.Fatal(err)
	}
	if err := p.close(); err != nil {
		t.Fatal(err)
	}
	known := map[string]*killState{}
	for w := range killWorkers {
		for n := range killSubjects {
			known[killSubject(w, n)] = &killState{}
		}
	}
	outbox, cells := uint64(0), uint64(0)
	for range 8 {
		runAndKill(t, dir, known)
		c, err := deepDir(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		wantFound(t, c)
		outbox, cells = outbox+c.report.Outbox, cells+c.report.Cells
	}
	t.Logf("%d cells, %d entries in outboxes", cells, outbox)
	if outbox == 0 || cells == 0 {
		t.Errorf("no kill left an entry in the outbox: %d cells, %d entries", cells, outbox)
	}
}

// What is committed and not logged yet counts as the end of the log.
func TestDeepReadsTheOutbox(t *testing.T) {
	h := open(t)
	var g *gate
	h.Wrap = func(s store.Store) store.Store { g = &gate{Store: s}; return g }
	h.Reopen()
	put(t, h, "c-1", "note", "tea")
	deaf(h, g)
	_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
		Collection: "customers", Upsert: true, Records: []vault.RecordInput{record("c-1", "note", "coffee", "email", "a@example.org")},
	})
	wantReason(t, err, vault.AuditUnavailable)
	active, _ := refsOf(t, h)
	c := deepMemory(t, h, h.Log)
	wantFound(t, c)
	if c.report.Outbox != 1 || c.report.Cells != 2 {
		t.Errorf("counted %+v", *c.report)
	}
	drop(t, h.Values, rows.People, cell(active[0], 2, 1))
	c = deepMemory(t, h, h.Log)
	wantFound(t, c, "cell_missing customers.email 1")
	if f := c.found[0]; f.Last != vault.InOutbox || f.Last.String() != "an entry of the outbox" {
		t.Errorf("the last entry is %v", f.Last)
	}
}

// Rotating a field's key puts the outer lock on anew, which is no change; a
// version out of use leaves cells that cannot be compared.
func TestDeepAfterRotation(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	put(t, h, "c-2", "note", "milk")
	if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), "T-1"); err != nil { // this test does it by hand
		t.Fatal(err)
	}
	active, _ := refsOf(t, h)
	id := keys.ID{Kind: keys.KindField, Number: 4}
	ring := h.Vault.Ring()
	version, err := ring.AddVersion(t.Context(), id)
	if err == nil {
		err = ring.Promote(t.Context(), id, version)
	}
	if err == nil {
		err = h.Vault.Rewrap(t.Context(), cell(active[0], 4, 1))
	}
	if err != nil {
		t.Fatal(err)
	}
	c := deepMemory(t, h, h.Log)
	wantFound(t, c)
	if c.report.Cells != 2 || c.report.Unread != 0 {
		t.Errorf("counted %+v", *c.report)
	}
	h.Reopen()
	if err := h.Vault.Ring().SetState(t.Context(), id, 1, keys.Disabled); err != nil {
		t.Fatal(err)
	}
	c = deepMemory(t, h, h.Log)
	wantFound(t, c)
	if c.report.Unread != 1 {
		t.Errorf("%d cells are unread, want 1", c.report.Unread)
	}
}

// edit returns a log with the entries of another, changed.
func edit(t *testing.T, log *audit.MemoryLog, change func([]*audit.Entry) []*audit.Entry) *audit.MemoryLog {
	t.Helper()
	out := audit.Memory()
	for _, e := range change(log.Entries()) {
		if _, err := out.Append(e).Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// An entry that comes twice is not the last word, and one that comes late may
// be.
func TestDeepOrderOfEntries(t *testing.T) {
	for _, c := range []struct {
		name  string
		apart time.Duration // between the changes
		// The entries of the three changes of one cell are the last three.
		change func([]*audit.Entry) []*audit.Entry
		fine   []int // versions of the cell that nothing is said against
	}{
		{"as it was", time.Second, func(e []*audit.Entry) []*audit.Entry { return e }, []int{2}},
		{"the first told again", time.Second, func(e []*audit.Entry) []*audit.Entry { return append(e, e[len(e)-3]) }, []int{2}},
		{"all told again", time.Second, func(e []*audit.Entry) []*audit.Entry { return append(e, e[len(e)-3:]...) }, []int{2}},
		{"told again by a clock that stands", 0, func(e []*audit.Entry) []*audit.Entry { return append(e, e[len(e)-3]) }, []int{2}},
		{"the second is late", time.Second, func(e []*audit.Entry) []*audit.Entry {
			n := len(e)
			e[n-1], e[n-2] = e[n-2], e[n-1]
			return e
		}, []int{1, 2}},
		{"the clock was set back", -time.Second, func(e []*audit.Entry) []*audit.Entry { return e }, []int{0, 1, 2}},
		{"the first is late, and all is told again", time.Second, func(e []*audit.Entry) []*audit.Entry {
			n := len(e)
			e[n-1], e[n-3] = e[n-3], e[n-1] // 2, 1, 0
			return append(e, e[n-2], e[n-1])
		}, []int{0, 1, 2}},
		{"an older one is late, a newer one follows", time.Second, func(e []*audit.Entry) []*audit.Entry {
			n := len(e)
			e[n-2], e[n-3] = e[n-3], e[n-2] // 1, 0, 2
			return e
		}, []int{2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			var versions [][]byte
			var key []byte
			for i := range 3 {
				upsert(t, h, "c-1", "note", fmt.Sprint("note ", i))
				active, _ := refsOf(t, h)
				key = cell(active[0], 4, 1)
				versions = append(versions, dumpOf(t, h.Values, rows.ValueTables()).row(rows.People, key))
				h.Clock.Add(c.apart)
			}
			log := edit(t, h.Log, c.change)
			for i, version := range versions {
				change(t, h.Values, rows.People, key, version)
				got := deepMemory(t, h, log)
				if slices.Contains(c.fine, i) {
					wantFound(t, got)
				} else {
					wantFound(t, got, "cell_older customers.note 1")
				}
			}
		})
	}
}

// tail is a log whose older entries were pruned.
type tail struct {
	*audit.MemoryLog
	first uint64
}

func (l tail) First() uint64 { return l.first }

func (l tail) Read(from uint64, fn func(index uint64, raw []byte) error) error {
	return l.MemoryLog.Read(max(from, l.first), fn)
}

// What is older than a pruned log is counted, and what came after is judged.
func TestDeepOfAPrunedLog(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea", "email", "a@example.org")
	put(t, h, "c-2", "note", "rum")
	order(t, h, "c-2", "Main Street 1")
	active, _ := refsOf(t, h)
	was := dumpOf(t, h.Values, rows.ValueTables())
	first := h.Log.Size()
	upsert(t, h, "c-1", "note", "coffee")
	remove(t, h, "customers", "c-2")
	log := tail{h.Log, first}
	c := deepMemory(t, h, log)
	wantFound(t, c)
	if c.report.Older != 3 || c.report.First != first || c.report.Entries != 2 { // the e-mail, the order and its street
		t.Errorf("counted %+v", *c.report)
	}
	change(t, h.Values, rows.People, cell(active[0], 4, 1), was.row(rows.People, cell(active[0], 4, 1)))
	change(t, h.Values, rows.People, cell(active[1], 4, 1), was.row(rows.People, cell(active[1], 4, 1)))
	change(t, h.Values, rows.People, cell(active[0], 2, 1), []byte("moved"))
	c = deepMemory(t, h, log)
	wantFound(t, c, "cell_closed customers.email 1", "cell_unwritten customers.note 1", "cell_deleted customers.note 1")
	// What the log does not tell any more, the ledger does.
	h.Reopen()
	remove(t, h, "orders", "c-2")
	header := rows.Header{State: rows.Active, KeyGeneration: 1, TokenGeneration: 1}
	change(t, h.Values, rows.People, rows.HeaderKey(active[1]), header.Append(nil))
	drop(t, h.Values, rows.People, cell(active[0], 2, 1))
	drop(t, h.Values, rows.People, cell(active[0], 4, 1))
	c = deepMemory(t, h, log)
	wantFound(t, c, "cell_missing customers.note 1", "header_older")
}

// The check ends with its context, and what Verify says ends it.
func TestDeepEnds(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	h.Close()
	o := vault.Options{
		Keys: h.Keys, KEK: h.KEK, Epochs: h.Epochs, Log: h.Log,
		Values: func(vault.Sealer) (store.Store, error) { return h.Values, nil },
	}
	for _, stage := range []string{"entries", "cells"} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := vault.Deep(ctx, o, vault.DeepOptions{Progress: func(p vault.DeepProgress) {
			if p.Done > p.Total {
				t.Errorf("%d of %d", p.Done, p.Total)
			}
			if p.Stage == stage {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("ended among the %s: %v", stage, err)
		}
		cancel()
	}
	bad := errors.New("the log does not hold")
	key := ""
	_, err := vault.Deep(t.Context(), o, vault.DeepOptions{
		Verify: func(_ context.Context, k string) error { key = k; return bad },
		Found:  func(f vault.Finding) { t.Error(f) },
	})
	if !errors.Is(err, bad) {
		t.Errorf("Verify was not heard: %v", err)
	}
	h.Reopen()
	if signer, err := h.Vault.AuditSigner(); err != nil || signer.VerifierKey() != key {
		t.Errorf("Verify was given %q, %v", key, err)
	}
	h.Close()
	o.Log = struct{ audit.Log }{h.Log}
	if _, err := vault.Deep(t.Context(), o, vault.DeepOptions{}); err == nil {
		t.Error("a log that cannot be read was checked")
	}
}

// A log of another vault is not taken for one in which things are missing.
func TestDeepOfAnotherLog(t *testing.T) {
	h, other := open(t), vaulttest.New(t)
	other.Apply(testPolicy)
	put(t, h, "c-1", "note", "tea")
	put(t, other, "c-1", "note", "tea")
	h.Close()
	_, err := deepOf(t.Context(), vault.Options{
		Keys: h.Keys, KEK: h.KEK, Epochs: h.Epochs, Log: other.Log,
		Values: func(vault.Sealer) (store.Store, error) { return h.Values, nil },
	})
	if !errors.Is(err, vault.ErrLogOther) {
		t.Errorf("got %v", err)
	}
}

// Nobody else may have the directory open.
func TestDeepOfALockedVault(t *testing.T) {
	s := newSite(t)
	if _, err := deepDir(t.Context(), s.dir); !errors.Is(err, audit.ErrLocked) && !errors.Is(err, store.ErrLocked) {
		t.Errorf("got %v", err)
	}
}
