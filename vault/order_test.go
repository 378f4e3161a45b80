package vault_test

import (
	"context"
	"sync"
	"testing"

	"github.com/cloakroom-vault/cloakroom/vault"
	"github.com/cloakroom-vault/cloakroom/vault/rows"
	"github.com/cloakroom-vault/cloakroom/vault/store"
)

// A person's key is durable before the header that makes the person exist, and
// the header is gone before the key.
func TestOrderOfTheTwoStores(t *testing.T) {
	h := open(t)
	var values, keys *gate
	h.Wrap = func(s store.Store) store.Store { values = &gate{Store: s}; return values }
	h.WrapKeys = func(s store.Store) store.Store { keys = &gate{Store: s}; return keys }
	h.Reopen()
	headers := 0
	values.set(func(b *store.Batch) error {
		for _, w := range b.Writes {
			k, err := rows.ParsePersonKey(w.Key)
			if w.Table != rows.People || err != nil || !k.Header {
				continue
			}
			headers++
			var have store.Rows
			if err := h.Keys.Get(context.Background(), []store.Key{{Table: rows.Subjects, Key: rows.RefKey(k.Ref)}}, &have); err != nil {
				return err
			}
			if _, ok := have.Value(0); !ok {
				t.Error("a header is written, and its key is not there")
			}
		}
		return nil
	}, nil)
	keys.set(func(b *store.Batch) error {
		for _, w := range b.Writes {
			if w.Op != store.OpDelete {
				continue
			}
			var have store.Rows
			key := append(append([]byte(nil), w.Key...), 0)
			if err := h.Values.Get(context.Background(), []store.Key{{Table: rows.People, Key: key}}, &have); err != nil {
				return err
			}
			row, _ := have.Value(0)
			if head, err := rows.ParseHeader(row); err != nil || head.State != rows.Erased {
				t.Error("a key is destroyed, and its person is not erased")
			}
		}
		return nil
	}, nil)
	put(t, h, "c-1", "note", "tea")
	tokenize(t, h, "note", "c-2", "tea")
	remove(t, h, "customers", "c-1")
	remove(t, h, "customers", "c-2")
	if headers != 4 {
		t.Errorf("%d headers were written, want 4", headers)
	}

	// Without a key there is no person.
	keys.set(func(*store.Batch) error { return store.ErrFull }, nil)
	_, err := h.Vault.PutRecords(t.Context(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-3", "note", "tea")}})
	wantReason(t, err, vault.StoreFull)
	if get(t, h, "c-3") != nil {
		t.Error("a person without a key is there")
	}
}

// A new record of a person whom another node erases at the same time belongs
// to a new person: nothing brings the erased one back.
func TestNewRecordOfAnErasedPerson(t *testing.T) {
	h := open(t)
	street := tokenOf(t, order(t, h, "c-1", "Main Street 1"), "street")
	was, _ := refsOf(t, h)
	other := node(t, h)
	var p *peeking
	h.Wrap = func(s store.Store) store.Store { p = &peeking{Store: s}; return p }
	h.Reopen()
	if got, refusal := reveal(t, h, "reader", street, "payment", 0); got != "Main Street 1" {
		t.Fatal(refusal) // now the key is in the cache, so that it is not missed
	}
	p.then = func() {
		if _, err := other.DeleteRecord(context.Background(), as("shop"), vault.DeleteRequest{Collection: "orders", SubjectID: "c-1"}); err != nil {
			t.Error(err)
		}
	}
	wantShown(t, h, []string{tokenOf(t, put(t, h, "c-1", "note", "tea"), "note")}, "tea")
	active, erased := refsOf(t, h)
	if len(erased) != 1 || erased[0] != was[0] || len(active) != 1 {
		t.Errorf("active %v, erased %v; before: %v", active, erased, was)
	}
}

// pausing holds the first batch that makes a record until a page of members
// was read, which is where a policy looks for values of a field it drops.
type pausing struct {
	store.Store
	mu            sync.Mutex
	armed         bool
	arrived, goOn chan struct{}
	done          chan struct{}
	scanned       sync.Once
}

func (p *pausing) Commit(ctx context.Context, b *store.Batch) error {
	p.mu.Lock()
	mine := p.armed && writes(b, rows.Members)
	p.armed = p.armed && !mine
	p.mu.Unlock()
	if !mine {
		return p.Store.Commit(ctx, b)
	}
	close(p.arrived)
	<-p.goOn
	defer close(p.done)
	return p.Store.Commit(ctx, b)
}

func (p *pausing) Scan(ctx context.Context, table uint8, from, to []byte, limit int) ([]store.Row, error) {
	page, err := p.Store.Scan(ctx, table, from, to, limit)
	if table == rows.Members {
		p.scanned.Do(func() {
			close(p.goOn)
			<-p.done
		})
	}
	return page, err
}

// A write that was decided before a field was closed, and comes to the store
// after the look for values, is decided anew.
func TestWriteOnItsWayDuringADrop(t *testing.T) {
	h := open(t)
	put(t, h, "c-1", "full_name", "Ada Lovelace")
	p := &pausing{armed: true, arrived: make(chan struct{}), goOn: make(chan struct{}), done: make(chan struct{})}
	h.Wrap = func(s store.Store) store.Store { p.Store = s; return p }
	h.Reopen()
	answer := make(chan vault.RecordResult, 1)
	go func() {
		r, err := h.Vault.PutRecords(context.Background(), as("shop"), vault.PutRequest{Collection: "customers", Records: []vault.RecordInput{record("c-2", "note", "late")}})
		if err != nil {
			t.Error(err)
		}
		answer <- r[0]
	}()
	<-p.arrived
	if n, _, err := apply(h, "admin", dropNote(t)); n != 2 || err != nil {
		t.Errorf("version %d, %v", n, err)
	}
	// It comes again while the field is closed, or when it is gone.
	if r := <-answer; r.Err == nil || r.Err.Reason != vault.UnknownField && r.Err.Reason != vault.Contention {
		t.Errorf("the write was answered with %+v", r)
	}
}
