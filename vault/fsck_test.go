package vault_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/boltstore"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

const operator = "local:1"

// gathered are the findings of a check, sorted, without persons and details.
type gathered struct{ lines []string }

func (g *gathered) found(f vault.FsckFinding) {
	line := f.Kind.String()
	if f.Field != "" {
		line += " " + f.Field
	}
	if f.Item != 0 {
		line += fmt.Sprint(" ", f.Item)
	}
	if f.Repaired {
		line += " repaired"
	}
	g.lines = append(g.lines, line)
	slices.Sort(g.lines)
}

// fsckOpen checks an open vault.
func fsckOpen(t *testing.T, v *vault.Vault, o vault.FsckOptions) (*vault.FsckReport, []string) {
	t.Helper()
	var g gathered
	o.Found, o.By = g.found, operator
	r, err := v.Fsck(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	wantCounted(t, r, g.lines)
	return r, g.lines
}

func wantCounted(t *testing.T, r *vault.FsckReport, found []string) {
	t.Helper()
	kinds := uint64(0)
	for _, n := range r.Kinds {
		kinds += n
	}
	repaired := 0
	for _, line := range found {
		if strings.HasSuffix(line, " repaired") {
			repaired++
		}
	}
	if n := uint64(len(found)); r.Findings != n || kinds != n || len(r.List) != len(found) || r.Repaired != uint64(repaired) {
		t.Errorf("%d faults were told, %d of them repaired; counted in %+v", len(found), repaired, r)
	}
}

// fsckClosed checks a vault that is closed, in memory or in files.
func fsckClosed(t *testing.T, h *vaulttest.Harness, o vault.FsckOptions) (*vault.FsckReport, []string) {
	t.Helper()
	var g gathered
	o.Found, o.By = g.found, operator
	parts := optionsOf(h, h.Log)
	if h.Dir != "" {
		keys, err := boltstore.Open(boltstore.Options{Path: filepath.Join(h.Dir, "keys.db"), Tables: rows.KeyTables()})
		if err != nil {
			t.Fatal(err)
		}
		defer keys.Close()
		parts.Keys, parts.Values = keys, func(s vault.Sealer) (store.Store, error) {
			return boltstore.Open(boltstore.Options{Path: filepath.Join(h.Dir, "values.db"), Tables: rows.ValueTables(), Seal: s})
		}
	}
	r, err := vault.Fsck(t.Context(), parts, o)
	if err != nil {
		t.Fatal(err)
	}
	wantCounted(t, r, g.lines)
	return r, g.lines
}

// furnish fills a vault with what a check looks at.
func furnish(t *testing.T, h *vaulttest.Harness) {
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

func TestFsckOfASoundVault(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		h.SparePersons = 8
		h.Reopen()
		furnish(t, h)
		all := vault.FsckOptions{Deep: true}
		want := func(when string, r *vault.FsckReport, found []string) {
			t.Helper()
			if len(found) > 0 || r.Persons != 40 || r.Erased != 6 || r.Records != 44 || r.Cells != 104 || r.Members != 44 ||
				r.Keys != 34+r.SpareKeys || r.Unread+r.Unsettled+r.Unfinished > 0 {
				t.Errorf("%s: found %q in %+v", when, found, r)
			}
		}
		size := h.Log.Size()
		r, found := fsckOpen(t, h.Vault, all)
		want("open", r, found)
		if h.Log.Size() != size {
			t.Error("a check that repairs nothing stands in the log")
		}
		h.Close()
		r, found = fsckClosed(t, h, all)
		want("closed", r, found)
		// The spare keys are swept by the next start, and then are no spares.
		h.Reopen()
		h.Vault.WaitSwept()
		r, found = fsckOpen(t, h.Vault, all)
		want("opened again", r, found)
		if r.SpareKeys != 0 {
			t.Errorf("%d spare keys after the sweep", r.SpareKeys)
		}
	})
}

// prepared is a vault with two persons who have an e-mail address, and a freeze.
func prepared(t *testing.T, h *vaulttest.Harness) (ref, other uint64) {
	t.Helper()
	put(t, h, "c-1", "full_name", "Ada", "email", "a@example.org")
	put(t, h, "c-2", "full_name", "Bob", "email", "b@example.org")
	freeze(t, h, vault.FreezeRole, "billing")
	h.Reopen() // what this run gave out is swept
	h.Vault.WaitSwept()
	active, _ := refsOf(t, h)
	return active[0], active[1]
}

func stored(t *testing.T, h *vaulttest.Harness) [2]dump {
	return [2]dump{dumpOf(t, h.Keys, rows.KeyTables()), dumpOf(t, h.Values, rows.ValueTables())}
}

// Each damage is found, and named. It is repaired where it can be derived, and
// then nothing else is changed.
func TestFsckFindsAndRepairs(t *testing.T) {
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			both(t, func(t *testing.T, h *vaulttest.Harness) {
				ref, other := prepared(t, h)
				sound := stored(t, h)
				c.damage(t, h, ref, other)
				damaged := stored(t, h)
				if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true}); !slices.Equal(found, c.want) {
					t.Errorf("open: found %q, want %q", found, c.want)
				}
				if now := stored(t, h); !sameDump(now, damaged) {
					t.Error("a check that was not told to repair changed something")
				}
				want, after := slices.Clone(c.want), damaged
				if !c.lasts {
					for i := range want {
						want[i] += " repaired"
					}
					after = sound
				}
				if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true, Repair: true}); !slices.Equal(found, want) {
					t.Errorf("repair: found %q, want %q", found, want)
				}
				if now := stored(t, h); !sameDump(now, after) {
					t.Error("the repair did not put back what was there, or changed something else")
				}
				left := c.want
				if !c.lasts {
					left = nil
				}
				if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true}); !slices.Equal(found, left) {
					t.Errorf("afterwards: found %q, want %q", found, left)
				}
			})
		})
	}
}

// A vault that is closed is checked in the same way, also when it would not
// open any more.
func TestFsckOfAClosedVault(t *testing.T) {
	for _, c := range damages {
		t.Run(c.name, func(t *testing.T) {
			h := open(t)
			ref, other := prepared(t, h)
			h.Close()
			sound := stored(t, h)
			c.damage(t, h, ref, other)
			damaged := stored(t, h)
			if _, found := fsckClosed(t, h, vault.FsckOptions{Deep: true}); !slices.Equal(found, c.want) || !sameDump(stored(t, h), damaged) {
				t.Errorf("found %q, want %q, and nothing changed", found, c.want)
			}
			_, found := fsckClosed(t, h, vault.FsckOptions{Deep: true, Repair: true})
			if c.lasts && (!slices.Equal(found, c.want) || !sameDump(stored(t, h), damaged)) {
				t.Errorf("repair: found %q, want %q, and nothing changed", found, c.want)
			}
			if !c.lasts && !sameDump(stored(t, h), sound) {
				t.Errorf("repair: found %q, and it is not as it was", found)
			}
		})
	}
}

func sameDump(a, b [2]dump) bool {
	for i := range a {
		for table, all := range a[i] {
			if table == rows.Control && i == 1 {
				continue // the vault's own work goes on
			}
			if !slices.EqualFunc(all, b[i][table], func(x, y store.Row) bool {
				return bytes.Equal(x.Key, y.Key) && bytes.Equal(x.Value, y.Value)
			}) {
				return false
			}
		}
	}
	return true
}

func TestFsckRepairIsInTheLog(t *testing.T) {
	h := open(t)
	size := h.Log.Size()
	fsckOpen(t, h.Vault, vault.FsckOptions{Repair: true})
	n := 0
	err := h.Log.Read(size, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err == nil && e.Action == audit.ActionRepair && e.Principal == operator && e.Outcome == audit.Allowed {
			n++
		}
		return err
	})
	if err != nil || n != 1 {
		t.Errorf("%d entries of the repair, %v", n, err)
	}
	if _, err := h.Vault.Fsck(t.Context(), vault.FsckOptions{Repair: true}); err == nil {
		t.Error("somebody repairs whom nobody knows")
	}
}

// A log that cannot be written stops a repair before it changes anything.
func TestFsckDoesNotRepairWithoutALog(t *testing.T) {
	h := open(t)
	ref, _ := prepared(t, h)
	drop(t, h.Values, rows.Members, rows.MemberKey(1, ref))
	before := stored(t, h)
	if err := h.Log.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Vault.Fsck(t.Context(), vault.FsckOptions{Repair: true, By: operator}); !errors.Is(err, &vault.Error{Reason: vault.AuditUnavailable}) {
		t.Errorf("error %v", err)
	}
	if !sameDump(stored(t, h), before) {
		t.Error("something was changed")
	}
}

func TestFsckFindingsHoldNoIDs(t *testing.T) {
	h := open(t)
	put(t, h, "canary-person", "full_name", "Canary Value")
	active, _ := refsOf(t, h)
	drop(t, h.Keys, rows.Subjects, rows.RefKey(active[0]))
	drop(t, h.Values, rows.Members, rows.MemberKey(1, active[0]))
	change(t, h.Values, rows.People, rows.CellKey(active[0], 1, 1), []byte("Canary Value"))
	r, _ := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true})
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again vault.FsckReport
	if err := json.Unmarshal(text, &again); err != nil || len(again.List) != 3 || again.List[0] != r.List[0] {
		t.Errorf("read back as %+v, %v", again, err)
	}
	for _, f := range r.List {
		text = append(text, f.String()...)
	}
	if strings.Contains(string(text), "anary") || !strings.Contains(string(text), "person ") {
		t.Errorf("told %s", text)
	}
}

// A sealed vault cannot be looked at, and says so; nor is anything repaired.
func TestFsckOfASealedVault(t *testing.T) {
	h := vaulttest.New(t)
	moody := &moodyKEK{KEK: h.KEK}
	h.KEK, h.ProbeEvery = moody, time.Millisecond
	h.Reopen()
	h.Apply(testPolicy)
	moody.say(keys.ErrDenied)
	awaitEntry(t, h, audit.ActionSeal)
	if _, err := h.Vault.Fsck(t.Context(), vault.FsckOptions{Repair: true, By: operator}); !errors.Is(err, &vault.Error{Reason: vault.KeysUnavailable}) {
		t.Errorf("error %v", err)
	}
}

func TestFsckCanBeStopped(t *testing.T) {
	h := open(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := h.Vault.Fsck(ctx, vault.FsckOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// What is under a version that is out of use is counted, and is no fault.
func TestFsckCountsWhatIsUnderKeysOutOfUse(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111", "full_name", "Ada")
	if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), "T-1"); err != nil {
		t.Fatal(err)
	}
	disable(t, h, cardKey, 1)
	if r, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true}); len(found) > 0 || r.Unread != 1 {
		t.Errorf("found %q, %d cells unread", found, r.Unread)
	}
}

// What an erasure, or a change of a key, left when it was cut off is no fault
// either: the next start brings it to its end.
func TestFsckOfWhatACrashLeft(t *testing.T) {
	h := vaulttest.New(t)
	c := &cut{}
	h.WrapKeys = c.wrap
	h.SparePersons = 4
	h.Reopen()
	h.Apply(testPolicy)
	put(t, h, "c-1", "full_name", "Ada")
	c.arm(0, false) // the erasure is committed, and the key stays
	if _, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: "c-1"}); err == nil {
		t.Fatal("it was not cut off")
	}
	h.Close()
	r, found := fsckClosed(t, h, vault.FsckOptions{Deep: true})
	if len(found) > 0 || r.Unfinished == 0 || r.SpareKeys == 0 || r.Erased != 1 {
		t.Errorf("found %q in %+v", found, r)
	}
	// Without the note of the erasure the key is one too many.
	from, _ := rows.ErasingRange()
	for _, row := range scanAll(t, h.Values, rows.Control) {
		if bytes.HasPrefix(row.Key, from) {
			drop(t, h.Values, rows.Control, row.Key)
		}
	}
	if _, found := fsckClosed(t, h, vault.FsckOptions{Deep: true, Repair: true}); !slices.Equal(found, []string{"key_erased"}) {
		t.Errorf("found %q", found)
	}
	h.WrapKeys = nil
}

// A note that an erasure was begun, of who is not erased, would cost the key at
// the next start.
func TestFsckOfAnErasureThatNobodyBegan(t *testing.T) {
	h := open(t)
	ref, _ := prepared(t, h)
	h.Close()
	change(t, h.Values, rows.Control, rows.ErasingKey(ref), []byte{1})
	before := stored(t, h)
	if _, found := fsckClosed(t, h, vault.FsckOptions{Deep: true, Repair: true}); !slices.Equal(found, []string{"erasing"}) || !sameDump(stored(t, h), before) {
		t.Errorf("found %q, and nothing may change", found)
	}
}

// Requests that should be forgotten long since are, by a repair.
func TestFsckForgetsRequests(t *testing.T) {
	h := open(t)
	_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", RequestID: "r-1", Records: []vault.RecordInput{record("c-1", "full_name", "Ada")}})
	if err != nil {
		t.Fatal(err)
	}
	if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{}); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	h.Clock.Add(2 * vault.RequestMemory)
	for _, c := range []struct {
		repair bool
		want   []string
	}{{false, []string{"request_stale"}}, {true, []string{"request_stale repaired"}}, {false, nil}} {
		if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Repair: c.repair}); !slices.Equal(found, c.want) {
			t.Errorf("repair %t: found %q, want %q", c.repair, found, c.want)
		}
	}
}
