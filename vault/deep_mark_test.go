package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// A log folder put back to an older state is refused at the next start, and
// found by the check.
func TestLogPutBack(t *testing.T) {
	s := newHistory(t)
	s.stop()
	s.putBack(s.older, "audit")
	if p, err := openParts(t.Context(), s.dir, false); !errors.Is(err, vault.ErrLogOlder) {
		t.Errorf("opened with %v", err)
		if err == nil {
			_ = p.close()
		}
	}
	c := s.deep()
	if len(c.found) == 0 || c.found[0].Kind != vault.LogOlder {
		t.Fatalf("found %v", c.kinds())
	}
	wantFound(t, c, "log_older", "policy_unwritten",
		"record_unwritten customers", "cell_unwritten customers.email 1", "cell_unwritten customers.email 2", "cell_unwritten customers.note 1",
		"cell_unwritten customers.email 1", "cell_missing customers.email 2",
		"header_erased", "record_missing customers", "cell_missing customers.note 1", "record_missing customers")
}

// One entry fewer is an older log; the same entries are not.
func TestLogShorterByOne(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	h.Close()
	whole := h.Log
	h.Log = edit(t, whole, func(e []*audit.Entry) []*audit.Entry { return e[:len(e)-1] })
	if err := h.TryOpen(); !errors.Is(err, vault.ErrLogOlder) {
		t.Errorf("opened with %v", err)
	}
	h.Log = whole
	if err := h.TryOpen(); err != nil {
		t.Error(err)
	}
}

// An older policy does not know the newest fields; their cells are not to
// blame.
func TestPolicyPutBack(t *testing.T) {
	h := open(t)
	was := dumpOf(t, h.Values, rows.ValueTables()).row(rows.People, rows.ControlKey)
	h.Apply(edited(t, "      - {name: photo,", "      - {name: nick, type: string, category: user.name, purposes: [support]}\n      - {name: photo,"))
	put(t, h, "c-1", "nick", "ada")
	h.Close()
	change(t, h.Values, rows.People, rows.ControlKey, was)
	c := deepMemory(t, h, h.Log)
	wantFound(t, c, "policy_older", "guard_broken")
	if f := c.found[0]; f.Number != 1 || f.Last == 0 || c.report.Cells != 1 {
		t.Errorf("found %v among %d cells", f, c.report.Cells)
	}
}

// Values put back to an older state beside a newer log: nothing in the files
// says so but the cells.
func TestValuesPutBack(t *testing.T) {
	s := newHistory(t)
	s.stop()
	s.putBack(s.older, "values.db", "values.scattered.db")
	c := s.deep()
	wantFound(t, c, "policy_older",
		"cell_older customers.email 1", "cell_older customers.note 1", "record_older customers", "cell_missing customers.email 2",
		"record_older customers", "cell_older customers.email 1", "cell_deleted customers.email 2",
		"header_older", "record_older customers", "cell_erased customers.note 1", "record_older customers")
}

// A log of the same length that others wrote is refused too.
func TestLogRewritten(t *testing.T) {
	for name, tree := range map[string]bool{"with its tree": true, "without a tree": false} {
		t.Run(name, func(t *testing.T) {
			s := newHistory(t)
			s.stop()
			s.start(false)
			s.stop() // the mark knows the checkpoint
			other := &site{t: t, dir: s.older}
			other.start(false)
			for range 30 {
				upsert(t, other.h, "mx-ada", "note", "water")
			}
			other.stop()
			s.putBack(s.older, "audit")
			if !tree {
				if err := os.RemoveAll(filepath.Join(s.dir, "audit", audit.TreeDir)); err != nil {
					t.Fatal(err)
				}
			}
			p, err := openParts(t.Context(), s.dir, false)
			if !errors.Is(err, vault.ErrLogOther) {
				t.Errorf("opened with %v", err)
			}
			if err == nil {
				_ = p.close()
			}
			if c := s.deep(); len(c.found) == 0 || c.found[0].Kind != vault.LogOther {
				t.Errorf("found %v", c.kinds())
			}
		})
	}
}

// The tree can be made again from the log, also for the mark.
func TestMarkWithoutTree(t *testing.T) {
	s := newHistory(t)
	s.restart()
	s.stop()
	if err := os.RemoveAll(filepath.Join(s.dir, "audit", audit.TreeDir)); err != nil {
		t.Fatal(err)
	}
	s.start(false)
	wantFound(t, s.deep())
}

// A log that is lost for good is begun anew. What was stored before is older
// than it, for ever.
func TestBeginLog(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	put(t, h, "c-2", "note", "rum")
	h.Close()
	h.Log = audit.Memory()
	if err := h.TryOpen(); !errors.Is(err, vault.ErrLogOlder) {
		t.Fatalf("an empty log was taken: %v", err)
	}
	o := vault.Options{
		Keys: h.Keys, KEK: h.KEK, Epochs: h.Epochs, Log: h.Log,
		Values: func(vault.Sealer) (store.Store, error) { return h.Values, nil },
	}
	if err := vault.BeginLog(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := h.TryOpen(); err != nil {
			t.Fatal(err)
		}
		upsert(t, h, "c-1", "note", "coffee")
		remove(t, h, "customers", "c-1")
		put(t, h, "c-1", "note", "tea")
		c := deepMemory(t, h, h.Log)
		wantFound(t, c)
		if c.report.Older != 2 { // the cell and the record of c-2
			t.Errorf("%d cells and records are older than the log, want 2", c.report.Older)
		}
	}
	size := h.Log.Size()
	if err := vault.BeginLog(t.Context(), o); err != nil || size == 0 { // a log that holds entries is not begun again
		t.Fatal(err)
	}
	h.Log = audit.Memory()
	if err := h.TryOpen(); !errors.Is(err, vault.ErrLogOlder) {
		t.Errorf("an empty log was taken again: %v", err)
	}
}

// A new vault has nothing that its log does not tell of.
func TestBeginLogOfANewVault(t *testing.T) {
	h := vaulttest.New(t)
	h.Close()
	o := vault.Options{
		Keys: h.Keys, KEK: h.KEK, Epochs: h.Epochs, Log: h.Log,
		Values: func(vault.Sealer) (store.Store, error) { return h.Values, nil },
	}
	if err := vault.BeginLog(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	h.Apply(testPolicy)
	put(t, h, "c-1", "note", "tea")
	active, _ := refsOf(t, h)
	blob := cellsOf(t, h, active[0])[0].Value
	change(t, h.Values, rows.People, cell(active[0], 5, 1), blob)
	wantFound(t, deepMemory(t, h, h.Log), "cell_unwritten customers.photo 1")
}

// The mark follows the log while the vault runs, and is not written for
// nothing.
func TestMarkIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := open(t)
		read := func() []byte {
			t.Helper()
			return dumpOf(t, h.Values, rows.ValueTables()).row(rows.Control, rows.MarkKey)
		}
		wait := func() {
			<-time.After(11 * time.Minute)
			synctest.Wait()
		}
		first := read()
		if first == nil {
			t.Fatal("Open left no mark")
		}
		wait()
		second := read()
		if bytes.Equal(first, second) {
			t.Error("the mark did not follow the log")
		}
		wait()
		if !bytes.Equal(second, read()) {
			t.Error("a mark was written for nothing")
		}
		put(t, h, "c-1", "note", "tea")
		h.Close()
		if bytes.Equal(second, read()) {
			t.Error("Close left an older mark")
		}
		if bytes.Equal(first, second) || bytes.Contains(second, []byte{0, 0, 0, 0, 0, 0}) {
			t.Error("the mark is in clear")
		}
	})
}

// A mark that was changed is not read as none.
func TestDamagedMark(t *testing.T) {
	h := open(t)
	h.Close()
	change(t, h.Values, rows.Control, rows.MarkKey, []byte("not a mark"))
	if err := h.TryOpen(); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("opened with %v", err)
	}
}

// Without a mark nobody would know a log that was put back: the vault does not
// open, and says that the log is not to be trusted. To begin a new one resets it.
func TestMarkRemoved(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "note", "tea")
	whole := h.Log
	for name, log := range map[string]*audit.MemoryLog{
		"with the whole log": whole,
		"with an older log":  edit(t, whole, func(e []*audit.Entry) []*audit.Entry { return e[:len(e)-1] }),
		"with no log":        audit.Memory(),
	} {
		t.Run(name, func(t *testing.T) {
			if h.Log = log; h.Vault != nil {
				h.Close()
			}
			drop(t, h.Values, rows.Control, rows.MarkKey)
			if err := h.TryOpen(); !errors.Is(err, vault.ErrLogOther) {
				t.Errorf("opened with %v", err)
			}
			if name != "with no log" {
				if c := deepMemory(t, h, log); len(c.found) == 0 || c.found[0].Kind != vault.MarkMissing {
					t.Errorf("found %v", c.kinds())
				}
			}
		})
	}
	h.Log = audit.Memory()
	if err := vault.BeginLog(t.Context(), optionsOf(h, h.Log)); err != nil {
		t.Fatal(err)
	}
	if err := h.TryOpen(); err != nil {
		t.Fatal(err)
	}
	if get(t, h, "c-1") == nil {
		t.Error("the record is gone")
	}
}

// A vault that was never opened has a mark.
func TestMarkOfANewVault(t *testing.T) {
	h := vaulttest.New(t)
	h.Close()
	drop(t, h.Values, rows.Control, rows.MarkKey)
	if err := h.TryOpen(); !errors.Is(err, vault.ErrLogOther) {
		t.Errorf("opened with %v", err)
	}
}
