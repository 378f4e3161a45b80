package vault_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// While callers write and erase, keys rotate and an epoch ends, nothing looks
// wrong that is not, and a repair finds nothing to do.
func TestFsckWhileEverythingChanges(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		h.SparePersons = 3
		h.Reopen()
		furnish(t, h)
		ctx, stop := context.WithCancel(context.Background())
		var all sync.WaitGroup
		for w := range 4 {
			all.Go(func() {
				for i := 0; ctx.Err() == nil && i < 150; i++ {
					if err := disturb(h, fmt.Sprintf("w%d-%d", w, rand.IntN(5)), i); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Go(func() {
			for i := 0; ctx.Err() == nil && i < 3; i++ {
				for _, key := range []vault.KeyRef{{Kind: vault.KeyField, Name: "customers.full_name"}, {Kind: vault.KeyRows}, {Kind: vault.KeyLookup}, {Kind: vault.KeyEpoch}} {
					_, err := h.Vault.RotateKey(context.Background(), as("keeper"), vault.KeyChange{Key: key, Reason: "T-1"})
					if err != nil && !errors.Is(err, &vault.Error{Reason: vault.InvalidRequest}) {
						t.Errorf("rotate %s: %v", key, err)
						return
					}
				}
			}
		})
		for i := range 8 {
			r, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: i%2 == 0, Repair: i%3 == 0, RowsOnly: i%5 != 0})
			if len(found) > 0 || r.Unsettled > 0 || r.Persons < 40 {
				t.Errorf("found %q in %+v", found, r)
			}
		}
		stop()
		all.Wait()
		if r, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true}); len(found) > 0 || r.Unread > 0 {
			t.Errorf("afterwards: found %q in %+v", found, r)
		}
	})
}

// disturb writes to a person, who is erased now and then.
func disturb(h *vaulttest.Harness, subject string, i int) error {
	ctx := context.Background()
	in := record(subject, "full_name", "Bob", "email", fmt.Sprintf("a%d@example.org", i))
	if i%2 == 0 {
		in = record(subject, "email", "x@example.org", "email", "y@example.org", "note", "tea")
	}
	r, err := h.Vault.PutRecords(ctx, as("shop"), vault.PutRequest{Collection: "customers", Upsert: true, Records: []vault.RecordInput{in}})
	if err == nil && r[0].Err != nil && r[0].Err.Reason != vault.Contention {
		err = r[0].Err
	}
	if err == nil && i%3 == 0 {
		_, err = h.Vault.DeleteRecord(ctx, as("shop"), vault.DeleteRequest{Collection: "customers", SubjectID: subject})
		if errors.Is(err, &vault.Error{Reason: vault.RecordNotFound}) || errors.Is(err, &vault.Error{Reason: vault.Contention}) {
			err = nil
		}
	}
	return err
}

// lookupRows remembers the rows that are written to the look-up, which cannot
// be listed.
type lookupRows struct {
	store.Store
	mu      sync.Mutex
	written map[string]uint64
}

func (l *lookupRows) Commit(ctx context.Context, b *store.Batch) error {
	for _, w := range b.Writes {
		if w.Table == rows.Lookup && w.Op == store.OpPut {
			ref, err := rows.ParseRef(w.Value)
			if err != nil {
				return err
			}
			l.mu.Lock()
			l.written[string(w.Key)] = ref
			l.mu.Unlock()
		}
	}
	return l.Store.Commit(ctx, b)
}

// of returns the keys of a person's rows.
func (l *lookupRows) of(ref uint64) (all [][]byte) {
	for key, who := range l.written {
		if who == ref {
			all = append(all, []byte(key))
		}
	}
	return all
}

// The look-up can be repaired while the vault serves, and no other way is
// looked up but with Deep.
func TestFsckRepairsTheLookup(t *testing.T) {
	both(t, func(t *testing.T, h *vaulttest.Harness) {
		l := &lookupRows{written: map[string]uint64{}}
		h.Wrap = func(s store.Store) store.Store {
			l.Store = s
			return l
		}
		h.Reopen()
		put(t, h, "c-1", "full_name", "Ada")
		put(t, h, "c-2", "full_name", "Bob")
		refs, _ := refsOf(t, h)
		one, two := l.of(refs[0])[0], l.of(refs[1])[0]
		drop(t, h.Values, rows.Lookup, one)
		if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Repair: true}); len(found) > 0 {
			t.Errorf("found %q, without an id being opened", found)
		}
		for _, c := range []struct {
			repair bool
			want   []string
		}{{false, []string{"lookup_missing"}}, {true, []string{"lookup_missing repaired"}}, {false, nil}} {
			if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true, Repair: c.repair}); !slices.Equal(found, c.want) {
				t.Errorf("repair %t: found %q, want %q", c.repair, found, c.want)
			}
		}
		if get(t, h, "c-1") == nil {
			t.Error("the person is not found after the repair")
		}
		// A row that finds somebody else, or nobody, is not for a program to judge.
		for _, other := range [][]byte{rows.RefKey(refs[1]), []byte("x")} {
			change(t, h.Values, rows.Lookup, one, other)
			if _, found := fsckOpen(t, h.Vault, vault.FsckOptions{Deep: true, Repair: true}); !slices.Equal(found, []string{"lookup_other"}) {
				t.Errorf("found %q", found)
			}
		}
		change(t, h.Values, rows.Lookup, one, rows.RefKey(refs[0]))
		change(t, h.Values, rows.Lookup, two, rows.RefKey(refs[1]))
	})
}

// A look-up whose file is lost is made anew by a repair of a closed vault.
func TestFsckMakesALostLookupAnew(t *testing.T) {
	h := vaulttest.OnDisk(t)
	h.Apply(testPolicy)
	furnish(t, h)
	for i := range 3 { // more than the engine keeps in its log
		q := vault.PutRequest{Collection: "customers"}
		for k := range 200 {
			q.Records = append(q.Records, record(fmt.Sprintf("m-%d-%d", i, k), "note", "tea"))
		}
		if _, err := h.Vault.PutRecords(t.Context(), as("shop"), q); err != nil {
			t.Fatal(err)
		}
	}
	h.Close()
	if err := os.Remove(filepath.Join(h.Dir, "values.scattered.db")); err != nil {
		t.Fatal(err)
	}
	if _, found := fsckClosed(t, h, vault.FsckOptions{Deep: true}); !slices.Equal(found, []string{"lookup_lost"}) {
		t.Errorf("found %q", found)
	}
	if _, found := fsckClosed(t, h, vault.FsckOptions{Deep: true, Repair: true}); !slices.Equal(found, []string{"lookup_lost repaired"}) {
		t.Errorf("found %q", found)
	}
	if _, found := fsckClosed(t, h, vault.FsckOptions{Deep: true}); len(found) > 0 {
		t.Errorf("found %q", found)
	}
	h.Reopen()
	if get(t, h, "c-1") == nil {
		t.Error("the person is not found after the repair")
	}
}

// A repair that is cut off at any commit, before or after it, leaves each thing
// as it was or as it should be; the next one does the rest.
func TestFsckRepairIsCutOff(t *testing.T) {
	for at := 0; ; at++ {
		through := false
		for _, applied := range []bool{false, true} {
			h := vaulttest.New(t)
			c := &cut{}
			h.Wrap = c.wrap
			h.Reopen()
			h.Apply(testPolicy)
			ref, other := prepared(t, h)
			sound := stored(t, h)
			drop(t, h.Values, rows.Members, rows.MemberKey(1, ref))
			change(t, h.Values, rows.Members, rows.MemberKey(2, other), []byte{})
			change(t, h.Values, rows.Members, rows.MemberKey(1, other+9), []byte{})
			damaged := stored(t, h)
			h.Close()
			parts := optionsOf(h, h.Log)
			parts.Values = func(vault.Sealer) (store.Store, error) { return c.wrap(h.Values), nil }
			c.arm(at, applied)
			_, err := vault.Fsck(t.Context(), parts, vault.FsckOptions{Repair: true, By: operator})
			if through = err == nil; !through && !errors.Is(err, errCut) {
				t.Fatal(err)
			}
			between := stored(t, h)
			for _, r := range slices.Concat(between[1][rows.Members], damaged[1][rows.Members]) {
				was, now, want := damaged[1].row(rows.Members, r.Key), between[1].row(rows.Members, r.Key), sound[1].row(rows.Members, r.Key)
				if (now == nil) != (was == nil) && (now == nil) != (want == nil) || !bytes.Equal(now, nil) {
					t.Errorf("cut off at %d: a row is neither as it was nor as it should be", at)
				}
			}
			h.Wrap = nil
			fsckClosed(t, h, vault.FsckOptions{Repair: true})
			if !sameDump(stored(t, h), sound) {
				t.Errorf("cut off at %d (applied %t): the next repair did not do the rest", at, applied)
			}
		}
		if through {
			if at == 0 {
				t.Error("nothing was cut off")
			}
			return
		}
	}
}
