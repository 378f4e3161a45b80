package vault_test

import (
	"bytes"
	"context"
	"slices"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/audit"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
	"github.com/cloakroom-vault/cloakroom/vault/vaulttest"
)

// both runs a test on a vault in memory and on one on disk.
func both(t *testing.T, test func(t *testing.T, h *vaulttest.Harness)) {
	t.Helper()
	t.Run("memory", func(t *testing.T) { test(t, open(t)) })
	t.Run("disk", func(t *testing.T) {
		h := vaulttest.OnDisk(t)
		h.Apply(testPolicy)
		test(t, h)
	})
}

func record(subject string, pairs ...string) vault.RecordInput {
	return vault.RecordInput{SubjectID: subject, Fields: fields(pairs...)}
}

// upsert stores or changes one record; it must succeed.
func upsert(t *testing.T, h *vaulttest.Harness, subject string, pairs ...string) *vault.Record {
	t.Helper()
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
		Collection: "customers", Upsert: true, Records: []vault.RecordInput{record(subject, pairs...)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if r[0].Err != nil {
		t.Fatal(r[0].Err)
	}
	return r[0].Record
}

// order stores a record in the other collection, so that the person stays when
// the customer is deleted.
func order(t *testing.T, h *vaulttest.Harness, subject, street string) *vault.Record {
	t.Helper()
	r, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{
		Collection: "orders", Records: []vault.RecordInput{record(subject, "street", street)},
	})
	if err != nil || r[0].Err != nil {
		t.Fatal(err, r)
	}
	return r[0].Record
}

func remove(t *testing.T, h *vaulttest.Harness, collection, subject string) int {
	t.Helper()
	deleted, err := h.Vault.DeleteRecord(t.Context(), as("shop"), vault.DeleteRequest{Collection: collection, SubjectID: subject})
	if err != nil {
		t.Fatal(err)
	}
	return deleted.Values
}

// get returns a record as the shop sees it, or nil when there is none.
func get(t *testing.T, h *vaulttest.Harness, subject string) *vault.Record {
	t.Helper()
	r, err := h.Vault.GetRecords(t.Context(), as("shop"), vault.GetRequest{Collection: "customers", SubjectIDs: []string{subject}})
	if err != nil {
		t.Fatal(err)
	}
	switch {
	case r[0].Err == nil:
		return r[0].Record
	case r[0].Err.Reason != vault.RecordNotFound:
		t.Fatal(r[0].Err)
	}
	return nil
}

func tokensOf(r *vault.Record, field string) []string {
	for _, f := range r.Fields {
		if f.Field == field {
			return f.Tokens
		}
	}
	return nil
}

// shown reveals tokens to the reader, who may see everything in plain: each is
// the value, or the name of the refusal.
func shown(t *testing.T, h *vaulttest.Harness, tokens ...string) []string {
	t.Helper()
	var out vault.Revealed
	err := h.Vault.Detokenize(t.Context(), as("reader"), vault.DetokenizeRequest{Tokens: tokens, Purpose: "support"}, &out)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for i, it := range out.Items {
		if it.Err != nil {
			all = append(all, it.Err.Reason.String())
		} else {
			all = append(all, string(out.Value(i).Expose()))
		}
	}
	return all
}

func wantShown(t *testing.T, h *vaulttest.Harness, tokens []string, want ...string) {
	t.Helper()
	if len(tokens) != len(want) {
		t.Errorf("there are %d tokens, want %d", len(tokens), len(want))
		return
	}
	if len(want) == 0 {
		return
	}
	if got := shown(t, h, tokens...); !slices.Equal(got, want) {
		t.Errorf("revealed %q, want %q", got, want)
	}
}

func wantReason(t *testing.T, err error, want vault.Reason) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want %v", want)
		return
	}
	if got := reasonOf(t, err); got != want {
		t.Errorf("refused with %v, want %v", got, want)
	}
}

// entriesSince returns the entries that the log got after the first n.
func entriesSince(h *vaulttest.Harness, n int) []*audit.Entry { return h.Log.Entries()[n:] }

// gate is a store whose commits can be failed or followed.
type gate struct {
	store.Store
	mu     sync.Mutex
	before func(*store.Batch) error // an error is the answer, and nothing is done
	after  func(*store.Batch) error // an error is the answer, though it was done
}

func (g *gate) set(before, after func(*store.Batch) error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.before, g.after = before, after
}

func (g *gate) Commit(ctx context.Context, b *store.Batch) error {
	g.mu.Lock()
	before, after := g.before, g.after
	g.mu.Unlock()
	if before != nil {
		if err := before(b); err != nil {
			return err
		}
	}
	if err := g.Store.Commit(ctx, b); err != nil || after == nil {
		return err
	}
	return after(b)
}

// scanAll returns all rows of an ordered table.
func scanAll(t *testing.T, s store.Store, table uint8) []store.Row {
	t.Helper()
	var all []store.Row
	from := []byte{0}
	for {
		page, err := s.Scan(context.Background(), table, from, nil, 1000)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, page...)
		if len(page) < 1000 {
			return all
		}
		from = store.Next(page[len(page)-1].Key)
	}
}

// writes tells whether a batch changes a table.
func writes(b *store.Batch, table uint8) bool {
	return slices.ContainsFunc(b.Writes, func(w store.Write) bool { return w.Table == table })
}

// reading counts the rows of people that are asked for.
type reading struct {
	store.Store
	people int
}

func (r *reading) Get(ctx context.Context, keys []store.Key, out *store.Rows) error {
	for _, k := range keys {
		if k.Table == rows.People && !bytes.Equal(k.Key, rows.ControlKey) || k.Table == rows.Lookup || k.Table == rows.Members {
			r.people++
		}
	}
	return r.Store.Get(ctx, keys, out)
}

// shared is a store that outlives the vaults on it.
type shared struct{ store.Store }

func (shared) Close() error { return nil }

// node opens a second vault on the same stores, as another node would.
func node(t *testing.T, h *vaulttest.Harness) *vault.Vault {
	t.Helper()
	v, err := vault.Open(t.Context(), vault.Options{
		Keys: h.Keys, Values: func(vault.Sealer) (store.Store, error) { return shared{h.Values}, nil },
		KEK: h.KEK, Epochs: h.Epochs, Log: h.Log, Now: h.Clock.Now,
	})
	if err != nil {
		t.Fatal(err)
	}
	v.WaitSwept()
	t.Cleanup(func() {
		if err := v.Close(); err != nil {
			t.Error(err)
		}
	})
	return v
}
