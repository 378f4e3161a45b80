package vault_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cloakroom-vault/cloakroom/keys"
	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// A sealed vault has no keysets by which values could be counted: it says so,
// and neither that no value needs a version nor that every value is damaged.
func TestNothingIsCountedWhileSealed(t *testing.T) {
	h := onDisk(t)
	moody := &moodyKEK{KEK: h.KEK}
	h.KEK = moody
	h.ProbeEvery, h.AwayLimit = time.Millisecond, time.Hour
	h.Reopen()
	put(t, h, "c-1", "card", "4111111111111111")
	moody.say(keys.ErrDenied)
	awaitEntry(t, h, audit.ActionSeal)
	sealed := &vault.Error{Reason: vault.KeysUnavailable}
	if _, err := h.Vault.Keys(t.Context(), as("keeper"), true); !errors.Is(err, sealed) {
		t.Errorf("counted: %v", err)
	}
	if n, err := h.Vault.CountUnder(t.Context(), cardKey, 1); !errors.Is(err, sealed) {
		t.Errorf("%d values need a version, %v", n, err)
	}
	if r, err := h.Vault.Fsck(t.Context(), vault.FsckOptions{}); !errors.Is(err, sealed) || err.Error() == "" {
		t.Errorf("checked: %+v, %v", r, err)
	}
	moody.say(nil)
	awaitEntry(t, h, audit.ActionUnseal)
	if got := valuesOf(keyOf(t, h, cardKey)); len(got) != 1 || got[0] != 1 {
		t.Errorf("values by version: %v", got)
	}
}

// Keys that went out of use leave the files also when the power went at any
// moment of the change: that they are to be rewritten is durable before.
func TestKeysOutOfUseLeaveTheFiles(t *testing.T) {
	destroyed := func(h *vaulttest.Harness) bool {
		return keyOf(t, h, cardKey).Versions[0].State == keys.Destroyed
	}
	root := func(h *vaulttest.Harness) bool { return h.Vault.RootInfo().Wrapping > 1 }
	for _, c := range []struct {
		name    string
		changed func(*vaulttest.Harness) bool
		do      func(context.Context, *vaulttest.Harness) error
	}{
		{"a version is destroyed", destroyed, func(ctx context.Context, h *vaulttest.Harness) error {
			_, err := h.Vault.DestroyKey(ctx, as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "T-1"})
			return err
		}},
		{"the root is rotated", root, func(ctx context.Context, h *vaulttest.Harness) error {
			_, err := h.Vault.RotateKey(ctx, as("keeper"), vault.KeyChange{Key: vault.KeyRef{Kind: vault.KeyRoot}, Reason: "T-1"})
			return err
		}},
		{"the root is wrapped anew", root, func(ctx context.Context, h *vaulttest.Harness) error {
			_, _, err := h.Vault.RewrapRoot(ctx, as("keeper"), "T-1")
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for at, finished := 0, false; !finished; at++ {
				h := onDisk(t)
				disable(t, h, cardKey, 1)
				idle(t, h)
				for compact(t, h) { // nothing is due
				}
				power := &cut{}
				h.Wrap, h.WrapKeys = powered(power), powered(power)
				h.Reopen()
				idle(t, h)
				power.arm(at, true)
				_ = c.do(t.Context(), h)
				power.mu.Lock()
				finished = !power.over
				power.over = !finished
				power.mu.Unlock()
				due := compactionDue(t, h.Values)
				_ = h.Vault.Close()
				h.Vault = nil
				_ = h.Keys.Close()
				h.Wrap, h.WrapKeys = nil, nil
				if err := h.TryOpen(); err != nil {
					t.Fatal(err)
				}
				if c.changed(h) && !due && !finished {
					t.Errorf("cut at %d: it is done, and the file with the old keys stays", at)
				}
				h.Close()
			}
		})
	}
}

// powered is wrap for engines that keep files, which it lets be seen.
func powered(c *cut) func(store.Store) store.Store {
	return func(s store.Store) store.Store {
		return &slowCompactor{Store: c.wrap(s)}
	}
}

func compactionDue(t *testing.T, values store.Store) bool {
	t.Helper()
	var have store.Rows
	if err := values.Get(t.Context(), []store.Key{{Table: rows.Control, Key: rows.CompactKey}}, &have); err != nil {
		t.Fatal(err)
	}
	_, due := have.Value(0)
	return due
}

// A change of a key that was stored, and whose answer and every look after it
// were lost, is brought to its end by the next one, with its entry in the log.
func TestLostAnswerOfAKeyChange(t *testing.T) {
	h := vaulttest.New(t)
	h.Apply(testPolicy)
	deaf := new(deafStore)
	h.WrapKeys = func(s store.Store) store.Store { deaf.Store = s; return deaf }
	h.Reopen()
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	idle(t, h)
	deaf.deaf.Store(true)
	change := vault.KeyChange{Key: cardKey, Version: 1, Reason: "LOST-1"}
	if _, err := h.Vault.DisableKey(t.Context(), as("keeper"), change); err == nil {
		t.Fatal("an answer that was lost came")
	}
	deaf.deaf.Store(false)
	rotate(t, h, vault.KeyRef{Kind: vault.KeyField, Name: "customers.full_name"})
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDisabled {
		t.Errorf("a value under a version that was disabled: %v", refusal)
	}
	logged := 0
	for _, e := range h.Log.Entries() {
		if e.Action == audit.ActionKeyDisable && e.Reason == "LOST-1" && e.Outcome == audit.Allowed {
			logged++
		}
	}
	if logged != 1 {
		t.Errorf("the log has %d entries of it, want 1", logged)
	}
}

// deafStore stores, and while it is deaf neither says so nor can be read.
type deafStore struct {
	store.Store
	deaf      atomic.Bool
	deafReads atomic.Int32 // of the keyring, since it is deaf
}

var errDeaf = fmt.Errorf("%w: it does not answer", store.ErrBusy)

func (s *deafStore) Commit(ctx context.Context, b *store.Batch) error {
	err := s.Store.Commit(ctx, b)
	if err == nil && s.deaf.Load() {
		return errDeaf
	}
	return err
}

func (s *deafStore) Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]store.Row, error) {
	if s.deaf.Load() {
		// The change reads what is stored before it writes.
		if table == rows.Keyring && s.deafReads.Add(1) == 1 {
			return s.Store.Scan(ctx, table, from, to, limit)
		}
		return nil, errDeaf
	}
	return s.Store.Scan(ctx, table, from, to, limit)
}

// What a restore deletes again, and keys that it destroys again, leave its files
// as well.
func TestRestoredFilesAreCompacted(t *testing.T) {
	s, b := newSite(t), newBackups(t)
	const persons = 400
	var many []vault.RecordInput
	for i := range persons {
		many = append(many, vault.RecordInput{SubjectID: fmt.Sprintf("gone-%d", i), Fields: fields("full_name", "Gone")})
	}
	if _, err := s.vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: many}); err != nil {
		t.Fatal(err)
	}
	var gone [][]byte
	for _, r := range scanAll(t, s.keys, rows.Subjects) {
		gone = append(gone, r.Value)
	}
	put(t, s.h, "kept", "full_name", "Kept")
	report := b.make(s)
	for i := range persons {
		remove(t, s.h, "customers", fmt.Sprintf("gone-%d", i))
	}
	b.restore(s, report.Values, report.Keys)
	compact(t, s.h) // waits for the one that is due
	files := &vaulttest.Harness{Dir: s.dir}
	for _, what := range gone {
		if in := inFiles(t, files, what); len(in) > 0 {
			t.Fatalf("the key of a person who was erased is still in %v", in)
		}
	}
}

// A request that was withdrawn, put back into the store by somebody else with
// its one approval, is not a request any more.
func TestWithdrawnRequestPutBack(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), ""); err != nil {
		t.Fatal(err)
	}
	disable(t, h, cardKey, 1)
	r, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Version: 1, Reason: "T-1", Force: true})
	if err != nil {
		t.Fatal(err)
	}
	asked := scanAll(t, h.Values, rows.KeyRequests)
	if _, err := h.Vault.ApproveKeyRequest(t.Context(), as("first"), r.ID, "T-1"); err != nil {
		t.Fatal(err)
	}
	approved := scanAll(t, h.Values, rows.KeyRequests)
	if err := h.Vault.WithdrawKeyRequest(t.Context(), as("keeper"), r.ID, "T-1"); err != nil {
		t.Fatal(err)
	}
	for name, row := range map[string][]store.Row{"approved once": approved, "as it was asked for": asked} {
		var b store.Batch
		b.Put(rows.KeyRequests, row[0].Key, row[0].Value)
		if err := h.Values.Commit(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if done, err := h.Vault.ApproveKeyRequest(t.Context(), as("second"), r.ID, "T-1"); done || !errors.Is(err, &vault.Error{Reason: vault.ApprovalNotFound}) {
			t.Errorf("%s: %t, %v", name, done, err)
		}
		h.Reopen()
		if list, err := h.Vault.KeyRequests(t.Context(), as("first")); err != nil || len(list) != 0 {
			t.Errorf("%s: listed %v, %v", name, list, err)
		}
	}
}

// A token of a version that is out of use says so.
func TestTokensOfRetiredVersions(t *testing.T) {
	h := open(t)
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	domain := vault.KeyRef{Kind: vault.KeyDomain, Name: "default"}
	disable(t, h, domain, 1)
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDisabled {
		t.Errorf("of a disabled version: %v", refusal)
	}
	r, err := h.Vault.DestroyKey(t.Context(), as("keeper"), vault.KeyChange{Key: domain, Version: 1, Reason: "T-1"})
	if err != nil {
		t.Fatal(err)
	}
	for _, who := range []string{"first", "second"} {
		if _, err := h.Vault.ApproveKeyRequest(t.Context(), as(who), r.ID, "T-1"); err != nil {
			t.Fatal(err)
		}
	}
	if _, refusal := reveal(t, h, "billing", token, "payment", 0); refusal != vault.KeyDestroyed {
		t.Errorf("of a destroyed version: %v", refusal)
	}
	if got, refusal := reveal(t, h, "billing", tokenOf(t, put(t, h, "c-2", "card", "4111111111111111"), "card"), "payment", 0); got == "" {
		t.Errorf("of the version in use: %v", refusal)
	}
}

// A lot of the re-wrap that was sealed before a version was disabled is not
// stored afterwards: nothing comes to stand under a version that is out of use.
func TestRewrapSealsNothingUnderADisabledVersion(t *testing.T) {
	h := open(t)
	if err := h.Vault.PauseRewrap(t.Context(), as("keeper"), ""); err != nil {
		t.Fatal(err)
	}
	token := tokenOf(t, put(t, h, "c-1", "card", "4111111111111111"), "card")
	rotate(t, h, cardKey)
	err := h.Vault.RewrapBetween(t.Context(), func() { disable(t, h, cardKey, 2) })
	if err != nil {
		t.Fatal(err)
	}
	if got := valuesOf(keyOf(t, h, cardKey)); got[1] != 0 {
		t.Errorf("values under the versions: %v", got)
	}
	if got, refusal := reveal(t, h, "billing", token, "payment", 0); got == "" {
		t.Errorf("the value: %v", refusal)
	}
	if err := h.Vault.RewrapBetween(t.Context(), func() {}); err != nil {
		t.Fatal(err)
	}
	if got := valuesOf(keyOf(t, h, cardKey)); got[2] != 1 {
		t.Errorf("the re-wrap took nothing along: %v", got)
	}
}

// cutAfterKeyset ends a run when a keyset was stored, and its answer is lost.
type cutAfterKeyset struct {
	store.Store
	c *cut
}

func (s *cutAfterKeyset) Commit(ctx context.Context, b *store.Batch) error {
	s.c.mu.Lock()
	defer s.c.mu.Unlock()
	if s.c.over {
		return errCut
	}
	err := s.Store.Commit(ctx, b)
	if err == nil && slices.ContainsFunc(b.Writes, func(w store.Write) bool { return w.Table == rows.Keyring }) {
		s.c.over = true
		return errCut
	}
	return err
}

// The row of a pending change, put back after the change was done and another
// came, is not carried out once more, nor logged.
func TestPendingChangePutBack(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "card", "4111111111111111")
	power := &cut{}
	power.arm(1<<30, false)
	h.Wrap, h.WrapKeys = power.wrap, func(s store.Store) store.Store { return &cutAfterKeyset{s, power} }
	h.Reopen()
	idle(t, h)
	if _, err := h.Vault.RotateKey(t.Context(), as("keeper"), vault.KeyChange{Key: cardKey, Reason: "CUT-1"}); err == nil {
		t.Fatal("nothing was cut off")
	}
	_ = h.Vault.Close()
	h.Vault, h.Wrap, h.WrapKeys = nil, nil, nil
	var row []byte
	for _, r := range scanAll(t, h.Values, rows.Control) {
		if string(r.Key) == string(rows.PendingKeyKey) {
			row = r.Value
		}
	}
	if row == nil {
		t.Fatal("no row of a pending change")
	}
	if err := h.TryOpen(); err != nil {
		t.Fatal(err)
	}
	entries := func() (n int) {
		for _, e := range h.Log.Entries() {
			if e.Reason == "CUT-1" && e.Action == audit.ActionKeyRotate {
				n++
			}
		}
		return n
	}
	if n := entries(); n != 1 {
		t.Fatalf("%d entries after the start, want 1", n)
	}
	rotate(t, h, vault.KeyRef{Kind: vault.KeyField, Name: "customers.note"})
	var b store.Batch
	b.Put(rows.Control, rows.PendingKeyKey, row)
	if err := h.Values.Commit(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	h.Reopen()
	if n := entries(); n != 1 {
		t.Errorf("%d entries after the row was put back, want 1", n)
	}
	rotate(t, h, cardKey)
}
