package vault_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/keys/keystest"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/backup"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
)

// keeper gives the guard every right on keys and two others the right to approve.
func keeper() string {
	return strings.Replace(testPolicy, "actions: [incident.read, incident.freeze, incident.thaw, incident.honey]}",
		"actions: [incident.read, incident.freeze, incident.thaw, incident.honey, keys.read, keys.rotate, keys.disable, keys.destroy, keys.approve]}", 1)
}

// Freezes and marks are as the log says they are now.
func TestRestoreFreezesAgain(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	card := tokenOf(t, put(t, s.h, "c-1", "card", "4111111111111111", "full_name", "Ada"), "card")
	put(t, s.h, "trap", "full_name", "Nobody")
	thawed, stays := freeze(t, s.h, vault.FreezeRole, "billing"), freeze(t, s.h, vault.FreezePrincipal, "spiffe://cloakroom.example/clerk")
	mark := func(subject string) {
		t.Helper()
		if err := s.vault.MarkHoney(t.Context(), as("guard"), vault.HoneyRequest{Subject: subject, Reason: "T-1"}); err != nil {
			t.Fatal(err)
		}
	}
	mark("trap")
	report := b.make(s)
	thaw(t, s.h, thawed.ID)
	field := freeze(t, s.h, vault.FreezeField, "customers.card")
	coll := freeze(t, s.h, vault.FreezeCollection, "orders")
	role := freeze(t, s.h, vault.FreezeRole, "support")
	short := freeze(t, s.h, vault.FreezeVault, "")
	thaw(t, s.h, short.ID)
	if err := s.vault.UnmarkHoney(t.Context(), as("guard"), "trap", "T-2"); err != nil {
		t.Fatal(err)
	}
	mark("c-1")

	got := b.restore(s, report.Values, report.Keys)
	if got.Freezes != 3 || got.Thawed != 1 || got.HoneyEnded != 1 || got.HoneyLost != 1 || got.Frozen {
		t.Errorf("the report says %+v", got)
	}
	list, err := s.vault.Freezes(t.Context(), as("guard"))
	if err != nil {
		t.Fatal(err)
	}
	want := []*vault.Freeze{stays, field, coll, role}
	if len(list) != len(want) {
		t.Fatalf("%d freezes are in force, want %d", len(list), len(want))
	}
	for i, f := range list {
		if w := want[i]; f.ID != w.ID || f.Kind != w.Kind || f.Target != w.Target || f.Reason != w.Reason || f.By != w.By {
			t.Errorf("freeze %d is %+v, want %+v", i, f, *w)
		}
	}
	if all := shown(t, s.h, card); all[0] != "FROZEN" {
		t.Errorf("a field that was frozen since opens to %q", all[0])
	}
	if next := freeze(t, s.h, vault.FreezeField, "customers.note"); next.ID <= short.ID {
		t.Errorf("the number %d was given out before", next.ID)
	}
	wantFound(t, s.deep(), "honey_missing")
	s.start(false)
}

// A policy that was applied after the backup is lost, so all values stay shut
// until somebody looked.
func TestRestoreWithoutTheNewestPolicy(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	token := tokenOf(t, put(t, s.h, "c-1", "full_name", "Ada"), "full_name")
	report := b.make(s)
	s.apply(strings.Replace(testPolicy, "      - {name: photo,", "      - {name: nick, type: string, category: user.name, purposes: [support]}\n      - {name: photo,", 1))
	nick := tokenOf(t, upsert(t, s.h, "c-1", "full_name", "Ada", "nick", "Countess"), "nick")
	before := s.vault.PolicyVersion()

	got := b.restore(s, report.Values, report.Keys)
	if got.PolicyLost != before || got.PolicyNow != before+1 || !got.Frozen || s.vault.PolicyVersion() != before+1 {
		t.Errorf("the report says %+v; version %d is in force", got, s.vault.PolicyVersion())
	}
	if value, refusal := reveal(t, s.h, "reader", token, "support", 0); refusal != vault.Frozen {
		t.Errorf("a value opens to %q, %v", value, refusal)
	}
	list, err := s.vault.Freezes(t.Context(), as("guard"))
	if err != nil || len(list) != 1 || list[0].Kind != vault.FreezeVault || list[0].Reason != "restore" {
		t.Fatalf("the freezes are %v, %v", list, err)
	}
	thaw(t, s.h, list[0].ID)
	if all := shown(t, s.h, token, nick); !slices.Equal(all, []string{"Ada", "TOKEN_NOT_FOUND"}) {
		t.Errorf("thawed, the tokens open to %q", all)
	}
	// Another field must not get the number of the lost one.
	s.apply(strings.Replace(testPolicy, "      - {name: photo,", "      - {name: title, type: string, category: user.name, purposes: [support]}\n      - {name: photo,", 1))
	upsert(t, s.h, "c-1", "full_name", "Ada", "title", "Dr.")
	if all := shown(t, s.h, nick); all[0] != "TOKEN_NOT_FOUND" {
		t.Errorf("the token of a lost field opens to %q", all[0])
	}
	for _, f := range s.deep().found {
		switch f.Kind {
		case vault.CellMissing, vault.PolicyMissing, vault.CellOlder:
		default:
			t.Errorf("found %s", f)
		}
	}
	s.start(false)
}

// Keys that went out of use after the backup are out of use again, and what they
// still lock in the backup is not lost when it was not lost then.
func TestRestoreRetiresKeys(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	s.apply(keeper())
	r := put(t, s.h, "c-1", "full_name", "Ada", "email", "a@example.org", "card", "4111111111111111")
	report := b.make(s)
	change := func(f func(key vault.KeyRef, version uint32) error, kind vault.KeyKind, name string, version uint32) {
		t.Helper()
		if err := f(vault.KeyRef{Kind: kind, Name: name}, version); err != nil {
			t.Fatal(err)
		}
	}
	rotate := func(k vault.KeyRef, _ uint32) error {
		_, err := s.vault.RotateKey(t.Context(), as("guard"), vault.KeyChange{Key: k, Reason: "T-1"})
		return err
	}
	disable := func(k vault.KeyRef, version uint32) error {
		_, err := s.vault.DisableKey(t.Context(), as("guard"), vault.KeyChange{Key: k, Version: version, Reason: "T-1"})
		return err
	}
	enable := func(k vault.KeyRef, version uint32) error {
		return s.vault.EnableKey(t.Context(), as("guard"), vault.KeyChange{Key: k, Version: version, Reason: "T-1"})
	}
	destroy := func(k vault.KeyRef, version uint32) error {
		_, err := s.vault.DestroyKey(t.Context(), as("guard"), vault.KeyChange{Key: k, Version: version, Reason: "T-1"})
		return err
	}
	change(disable, vault.KeyField, "customers.email", 1)
	change(disable, vault.KeyField, "customers.card", 1)
	change(enable, vault.KeyField, "customers.card", 1)
	change(rotate, vault.KeyField, "customers.note", 0)
	change(disable, vault.KeyField, "customers.note", 1)
	change(destroy, vault.KeyField, "customers.note", 1)
	note := "a note is locked by a version that the backup does not have"
	upsert(t, s.h, "c-1", "full_name", "Ada", "email", "a@example.org", "card", "4111111111111111", "note", note)

	got := b.restore(s, report.Values, report.Keys)
	if got.KeysDisabled != 1 || got.KeysDestroyed != 1 || len(got.KeysLost) != 1 || got.KeysLost[0] != "field customers.note v2" {
		t.Errorf("the report says %+v", got)
	}
	all := shown(t, s.h, tokenOf(t, r, "full_name"), tokenOf(t, r, "email"), tokenOf(t, r, "card"))
	if !slices.Equal(all, []string{"Ada", "KEY_DISABLED", "4111111111111111"}) {
		t.Errorf("the values open to %q", all)
	}
	for _, f := range s.deep().found {
		if f.Kind != vault.CellMissing && f.Kind != vault.CellOlder {
			t.Errorf("found %s", f)
		}
	}
	s.start(false)
}

// A version that was destroyed since nothing needed it locks values of the
// backup: they move to another.
func TestRestoreMovesValuesOfADestroyedKey(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	s.apply(keeper())
	var tokens []string
	for _, name := range []string{"Ada", "Bob"} {
		tokens = append(tokens, tokenOf(t, put(t, s.h, name, "full_name", name), "full_name"))
	}
	report := b.make(s)
	k := vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyField, Name: "customers.full_name"}, Version: 1, Reason: "T-1"}
	if _, err := s.vault.RotateKey(t.Context(), as("guard"), vault.KeyChange{Key: k.Key, Reason: "T-1"}); err != nil {
		t.Fatal(err)
	}
	if err := s.vault.WatchKeyWork(t.Context(), as("guard"), true, func([]vault.KeyWork) error { return nil }); err != nil {
		t.Fatal(err) // nothing is left under the version
	}
	if _, err := s.vault.DisableKey(t.Context(), as("guard"), k); err != nil {
		t.Fatal(err)
	}
	if waits, err := s.vault.DestroyKey(t.Context(), as("guard"), k); err != nil || waits != nil {
		t.Fatal(waits, err)
	}
	got := b.restore(s, report.Values, report.Keys)
	if all := shown(t, s.h, tokens...); !slices.Equal(all, []string{"Ada", "Bob"}) {
		t.Errorf("the values open to %q", all)
	}
	if got.KeysDestroyed != 1 || got.Rewrapped != 2 {
		t.Errorf("the report says %+v", got)
	}
	list, err := s.vault.Keys(t.Context(), as("guard"), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range list.Keys {
		if key.Ref == k.Key && key.Versions[0].State != keys.Destroyed {
			t.Errorf("version 1 is %v", key.Versions[0].State)
		}
	}
	wantFound(t, s.deep())
	s.start(false)
}

func TestRestoreRefuses(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	put(t, s.h, "c-1", "full_name", "Ada")
	first := b.make(s)
	put(t, s.h, "c-2", "full_name", "Bob")
	s.restart() // a checkpoint covers all
	second := b.make(s)
	put(t, s.h, "c-3", "full_name", "Eve")
	s.stop()
	other := newSite(t)
	put(t, other.h, "c-1", "full_name", "Ada")
	put(t, other.h, "c-2", "full_name", "Ada")
	others := b.make(other)
	other.stop()

	fresh := func(t *testing.T) string {
		dir := filepath.Join(t.TempDir(), "vault")
		s.copyTo(dir)
		files, err := filepath.Glob(filepath.Join(dir, "*.db"))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if err := os.Remove(f); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	type change = func(*vault.Options, *vault.RestoreOptions)
	for _, c := range []struct {
		name         string
		values, keys backup.Artefact
		prepare      func(dir string) error
		change       change
		want         error
	}{
		{"keys of a later run", first.Values, second.Keys, nil, nil, nil},
		{"keys of an earlier run", second.Values, first.Keys, nil, nil, vault.ErrBackupPair},
		{"two of values", first.Values, first.Keys, nil, func(_ *vault.Options, r *vault.RestoreOptions) {
			r.Keys = b.reader(first.Values.Path, b.valuesKEK)
		}, vault.ErrBackupPair},
		{"exchanged", first.Values, first.Keys, nil, func(_ *vault.Options, r *vault.RestoreOptions) { r.Values, r.Keys = r.Keys, r.Values }, vault.ErrBackupPair},
		{"of two vaults", first.Values, others.Keys, nil, nil, vault.ErrBackupPair},
		{"another vault's log", others.Values, others.Keys, nil, nil, keys.ErrWrongKey}, // another vault's KEK, too
		{"no log", second.Values, second.Keys, func(dir string) error { return os.RemoveAll(filepath.Join(dir, "audit")) }, nil, vault.ErrBackupLog},
		{"a KEK that is away", first.Values, first.Keys, nil, func(o *vault.Options, _ *vault.RestoreOptions) {
			kek := keystest.NewKEK()
			kek.Fail(keys.ErrAway)
			o.KEK = kek
		}, keys.ErrAway},
		{"an epoch that has ended", first.Values, first.Keys, nil, func(o *vault.Options, _ *vault.RestoreOptions) {
			epochs := keystest.NewEpochKEK()
			if err := errors.Join(epochs.Create(t.Context(), 1), epochs.Destroy(t.Context(), 1)); err != nil {
				t.Fatal(err)
			}
			o.Epochs = epochs
		}, keys.ErrDestroyed},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := fresh(t)
			if c.prepare != nil {
				if err := c.prepare(dir); err != nil {
					t.Fatal(err)
				}
			}
			var with []change
			if c.change != nil {
				with = append(with, c.change)
			}
			_, err := b.restoreTo(dir, c.values, c.keys, with...)
			if !errors.Is(err, c.want) || c.want == nil && err != nil {
				t.Errorf("got %v, want %v", err, c.want)
			}
		})
	}
	t.Run("stores that are not empty", func(t *testing.T) {
		dir := fresh(t)
		if _, err := b.restoreTo(dir, first.Values, first.Keys); err != nil {
			t.Fatal(err)
		}
		if _, err := b.restoreTo(dir, first.Values, first.Keys); !errors.Is(err, vault.ErrExists) {
			t.Errorf("got %v", err)
		}
	})
	t.Run("damaged artefacts", func(t *testing.T) {
		for _, at := range []*backup.Artefact{&first.Values, &first.Keys} {
			whole, err := os.ReadFile(at.Path)
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(t.TempDir(), "damaged.cloak")
			if err := os.WriteFile(path, append(bytes.Clone(whole), 0), 0o600); err != nil {
				t.Fatal(err)
			}
			values, keyFile := first.Values, first.Keys
			if at == &first.Values {
				values.Path = path
			} else {
				keyFile.Path = path
			}
			if _, err := b.restoreTo(fresh(t), values, keyFile); !errors.Is(err, backup.ErrDamaged) {
				t.Errorf("got %v", err)
			}
		}
	})
}

// The keys of the log itself were changed since the backup: what signed it is
// gone, and the log goes on; what named persons in it is gone, and nobody can
// tell who was erased.
func TestRestoreWithOlderKeysOfTheLog(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	s.apply(keeper())
	put(t, s.h, "c-1", "full_name", "Ada")
	put(t, s.h, "c-2", "full_name", "Bob")
	report := b.make(s)
	rotate := func(kind vault.KeyKind) {
		t.Helper()
		if _, err := s.vault.RotateKey(t.Context(), as("guard"), vault.KeyChange{Key: vault.KeyRef{Kind: kind}, Reason: "T-1"}); err != nil {
			t.Fatal(err)
		}
	}
	rotate(vault.KeyAuditSigner)
	remove(t, s.h, "customers", "c-1")
	s.restart()
	got := b.restore(s, report.Values, report.Keys)
	if got.Erased != 1 || !slices.Equal(got.KeysLost, []string{"audit-signer v2"}) || strings.Count(got.VerifierKeys, "\n") != 1 {
		t.Errorf("the report says %+v", got)
	}
	second := b.make(s)
	rotate(vault.KeyAuditRef)
	remove(t, s.h, "customers", "c-2")
	s.stop()
	s.lose()
	if _, err := b.restoreTo(s.dir, second.Values, second.Keys); !errors.Is(err, vault.ErrBackupUnread) {
		t.Errorf("without the key that names persons: %v", err)
	}
	for _, f := range []string{"keys.db", "values.db", "values.scattered.db"} {
		if err := os.Remove(filepath.Join(s.dir, f)); err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
	}
	forced, err := b.restoreTo(s.dir, second.Values, second.Keys, func(_ *vault.Options, r *vault.RestoreOptions) { r.AcceptUnread = true })
	if err != nil || forced.Unread == 0 || !forced.Frozen {
		t.Errorf("accepted: %+v, %v", forced, err)
	}
	s.start(false)
}

// A log that has as many entries and others is not the one of the backup.
func TestRestoreWithALogThatForked(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	put(t, s.h, "c-1", "full_name", "Ada")
	s.stop()
	old := filepath.Join(t.TempDir(), "old")
	s.copyTo(old)
	s.start(false)
	put(t, s.h, "c-2", "full_name", "Bob")
	s.restart()
	report := b.make(s)
	s.stop()
	s.putBack(old, "audit", "keys.db", "values.db", "values.scattered.db")
	s.start(false)
	for _, subject := range []string{"x", "y", "z"} {
		put(t, s.h, subject, "full_name", "Eve")
	}
	s.stop()
	s.lose()
	if _, err := b.restoreTo(s.dir, report.Values, report.Keys); !errors.Is(err, vault.ErrBackupLog) {
		t.Errorf("got %v", err)
	}
}

// Entries that the copy had in its outbox and the log has already are not logged
// again.
func TestRestoreLogsNothingTwice(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	for _, subject := range []string{"c-1", "c-2", "c-3"} {
		put(t, s.h, subject, "full_name", "Ada")
	}
	if len(scanAll(t, s.h.Values, rows.Outbox)) == 0 {
		t.Fatal("the outbox is empty")
	}
	report := b.make(s)
	put(t, s.h, "c-4", "full_name", "Ada")
	b.restore(s, report.Values, report.Keys)
	seen, restores := map[[16]byte]bool{}, 0
	err := s.log.Read(0, func(_ uint64, raw []byte) error {
		e, err := audit.Decode(raw)
		if err != nil {
			return err
		}
		if seen[e.ID] {
			t.Errorf("an entry of %s stands there twice", e.Action)
		}
		seen[e.ID] = true
		if e.Action == audit.ActionRestore {
			restores++
			if e.Principal != "local:0" || !strings.HasPrefix(e.Object, "lane 2, ") {
				t.Errorf("%s restored %q", e.Principal, e.Object)
			}
		}
		return nil
	})
	if err != nil || restores != 1 {
		t.Errorf("%d entries tell of the restore, %v", restores, err)
	}
}
